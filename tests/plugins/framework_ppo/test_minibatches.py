"""Minibatches: advantages are standardized in each, or over the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from remembering import Remembering
from small_ppo import collect, make_context, ppo

from framework_ppo.minibatches import standardized


@pytest.mark.parametrize(("rows", "size"), [(12, 4), (13, 4), (3, 4), (4, 4), (9, 8)])
def test_each_minibatch_is_standardized(rows, size):
    """Every minibatch has mean 0 and deviation 1, the short last one too; one of a single row is 0."""
    advantages = torch.randn(rows, generator=torch.Generator().manual_seed(rows), dtype=torch.float64) * 5 + 3
    results = standardized(advantages, size)
    assert len(results) == rows
    for before, after in zip(advantages.split(size), results.split(size), strict=True):
        expected = (before - before.mean()) / (before.std(correction=0) + 1e-8)
        torch.testing.assert_close(after, expected, rtol=1e-9, atol=1e-9)
    if rows % size == 1:
        assert results[-1] == 0


def test_equal_advantages_are_zero():
    """Without deviation there is nothing to divide by, and nothing to learn."""
    assert torch.equal(standardized(torch.full((8,), 0.5), 4), torch.zeros(8))


@pytest.mark.parametrize("value", [0.1, 1000.1, -3e7])
def test_rounding_is_no_advantage(value: float) -> None:
    """Advantages that are equal but for the last bit of float32 stay at zero, whatever their size."""
    advantages = torch.full((257,), value)
    advantages[::3] = torch.nextafter(advantages[::3], torch.tensor(torch.inf))
    assert standardized(advantages, 256).abs().max() == 0


def advantages_learned_from(encoder: Any = None, **options: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The valid advantages of a batch, and those of the minibatches of one epoch."""
    context = make_context(encoder=encoder and (lambda context: encoder(None, context)))
    algorithm = ppo(context, epochs=1, minibatch_size=24, **options)
    valid = torch.ones(16, 4, dtype=torch.bool)
    valid[3, 1] = valid[8, 2] = False
    batch = collect(algorithm, context, ends=0.0, valid=valid)
    targets = algorithm._estimate_targets(batch, [])
    parts = [part.advantages for _, part in algorithm._minibatches(batch, targets)]
    return targets.advantages[valid], parts


@pytest.mark.parametrize("encoder", [None, Remembering], ids=["rows", "sequences"])
def test_advantages_may_be_normalized_over_the_batch(encoder: Any) -> None:
    """By the mean and deviation of all valid steps, so that minibatches differ in theirs."""
    advantages, parts = advantages_learned_from(encoder, normalize_advantages="batch")
    expected = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
    torch.testing.assert_close(torch.cat(parts).sort().values, expected.sort().values)
    assert any(part.mean().abs() > 0.01 for part in parts)


def test_true_is_each_minibatch_and_false_is_none() -> None:
    """As files of before have it."""
    named, true = (advantages_learned_from(normalize_advantages=value)[1] for value in ("minibatch", True))
    assert all(torch.equal(*pair) for pair in zip(named, true, strict=True))
    assert all(part.mean().abs() < 1e-5 for part in named)
    advantages, raw = advantages_learned_from(normalize_advantages=False)
    assert torch.equal(torch.cat(raw).sort().values, advantages.sort().values)
