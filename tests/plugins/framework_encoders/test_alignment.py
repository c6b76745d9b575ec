"""Contrastive alignment of two modalities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.toolkit.optimizer import FlatOptimizer
from framework_encoders.alignment import Alignment, contrastive_loss, same_rows

SCALE = torch.tensor(math.log(1 / 0.07))


def slow_loss(u, v, log_scale, positives):
    """The mean over rows of both directions' cross-entropy to the mean of the positives, one pair at a time."""
    count, scale = len(u), math.exp(min(float(log_scale), math.log(100)))
    similarity = [[scale * float(a @ b / a.norm() / b.norm()) for b in v] for a in u]
    total = 0.0
    for rows in (similarity, list(zip(*similarity, strict=True))):
        for i, row in enumerate(rows):
            highest = max(row)
            normalizer = highest + math.log(sum(math.exp(x - highest) for x in row))
            matching = [j for j in range(count) if positives[i][j]]
            total -= sum(row[j] - normalizer for j in matching) / len(matching)
    return total / (2 * count)


def pair(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 5, generator=generator, dtype=torch.float64)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.floats(-2, 6), st.integers(0, 1000))
def test_it_is_the_loss_of_the_paper(captions, log_scale, seed):
    """Symmetric cross-entropy over scaled cosines, where rows of the same caption are positives all."""
    u, v = pair(len(captions), seed)
    positives = [[left == right for right in captions] for left in captions]
    loss = contrastive_loss(u, v, torch.tensor(log_scale, dtype=torch.float64), torch.tensor(positives))
    assert loss.item() == pytest.approx(slow_loss(u, v, log_scale, positives), rel=1e-6, abs=1e-6)


def test_all_captions_different_is_the_default():
    """Row i alone belongs to row i."""
    u, v = pair(4)
    expected = slow_loss(u, v, SCALE, torch.eye(4))
    assert contrastive_loss(u, v, SCALE).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7, 64])
@pytest.mark.parametrize("shared", [False, True])
def test_equal_embeddings_give_the_logarithm_of_their_number(count, shared):
    """Where nothing tells rows apart the loss is ln N, whichever rows are positives."""
    embeddings = pair(1)[0].expand(count, 5)
    positives = torch.arange(count) % 3 if shared else torch.arange(count)
    positives = positives.unsqueeze(0) == positives.unsqueeze(1)
    assert contrastive_loss(embeddings, embeddings, SCALE, positives).item() == pytest.approx(math.log(count), abs=1e-6)


def test_what_it_is_invariant_to():
    """Symmetric in both modalities; neither the length of embeddings nor a common order of rows matters."""
    u, v = pair(6)
    positives = same_rows(torch.tensor([[0], [1], [0], [2], [3], [1]]))
    loss = contrastive_loss(u, v, SCALE, positives)
    order = torch.tensor([3, 5, 0, 1, 4, 2])
    lengths = torch.tensor([[0.1], [1], [3], [1e3], [7], [2]], dtype=torch.float64)
    torch.testing.assert_close(contrastive_loss(v, u, SCALE, positives), loss)
    torch.testing.assert_close(contrastive_loss(u * lengths, v * 0.3, SCALE, positives), loss)
    torch.testing.assert_close(contrastive_loss(u[order], v[order], SCALE, positives[order][:, order]), loss)
    assert not torch.allclose(contrastive_loss(u[order], v, SCALE, positives), loss)


def test_no_rows_are_no_loss():
    """Zero, with a gradient that is zero too."""
    u, v = (torch.zeros(0, 5, requires_grad=True) for _ in range(2))
    loss = contrastive_loss(u, v, SCALE)
    loss.backward()
    assert loss.item() == 0.0


def test_the_scale_is_cut_at_a_hundred_and_comes_back():
    """Beyond ln 100 the loss stays as it is, and the gradient leads back where that would be better."""
    u, v = pair(4)
    at, beyond = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (math.log(100), 9.0))
    assert contrastive_loss(u, v, beyond).item() == pytest.approx(contrastive_loss(u, v, at).item())
    contrastive_loss(u, v, beyond).backward()
    assert beyond.grad > 0


def test_same_rows_are_found():
    """All entries must agree, whatever the shape of rows; no rows give no pairs."""
    rows = torch.tensor([[[1, 2], [3, 4]], [[1, 2], [3, 5]], [[1, 2], [3, 4]]])
    assert same_rows(rows).tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert same_rows(torch.zeros(0, 3)).shape == (0, 0)


def test_the_temperature_starts_as_in_the_paper_and_is_spared_from_weight_decay():
    """ln(1 / 0.07); a step without gradient shrinks the projections alone."""
    with torch.random.fork_rng():
        module = Alignment(4)
    assert module.log_scale.item() == pytest.approx(2.6593, abs=1e-4)
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    FlatOptimizer(module, weight_decay=0.1).step(0.1)
    changed = [name for name, parameter in module.named_parameters() if not torch.equal(parameter, before[name])]
    assert sorted(changed) == ["left.weight", "right.weight"]


def test_it_is_computed_in_float32():
    """Under autocast too: exp(tau) times a rounded cosine would be noise."""
    with torch.random.fork_rng():
        module = Alignment(5)
    u, v = pair(6).float()
    with torch.autocast("cpu", torch.bfloat16):
        loss = module(u, v)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, module(u, v), rtol=0.1, atol=0.1)
