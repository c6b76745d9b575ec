"""Attention over sets of which some members may be absent."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from framework_encoders.attention import Attention, Block, CrossBlock, attend, pooled


def slow_attention(queries, keys, values, present):
    """Each query's weighted mean of the values that are there, one number at a time."""
    result = torch.zeros_like(queries)
    for b, h, q in torch.cartesian_prod(*(torch.arange(size) for size in queries.shape[:3])).tolist():
        present_keys = [k for k in range(keys.shape[2]) if present[b, k]]
        scores = [float(queries[b, h, q] @ keys[b, h, k]) / queries.shape[-1] ** 0.5 for k in present_keys]
        weights = torch.tensor(scores, dtype=torch.float64).exp()
        for weight, k in zip(weights / weights.sum(), present_keys, strict=True):
            result[b, h, q] += weight * values[b, h, k]
    return result


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 10_000))
def test_attention_is_the_weighted_mean_of_what_is_there(rows, queries, tokens, seed):
    """`attend` equals the sum over the tokens that are there, and is zero where none is."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        q, k, v = (torch.randn(rows, 2, count, 4) for count in (queries, tokens, tokens))
        present = torch.rand(rows, tokens) < 0.6
    torch.testing.assert_close(attend(q, k, v, present), slow_attention(q, k, v, present), rtol=1e-4, atol=1e-5)
    all_present = torch.ones_like(present)
    torch.testing.assert_close(attend(q, k, v), slow_attention(q, k, v, all_present), rtol=1e-4, atol=1e-5)


@torch.random.fork_rng()
def test_nothing_to_attend_to_gives_finite_gradients():
    """A row without any token: zero, and no gradient reaches its keys and values."""
    q, k, v = (torch.randn(2, 1, 3, 4, requires_grad=True) for _ in range(3))
    present = torch.tensor([[False] * 3, [True] * 3])
    attend(q, k, v, present).square().sum().backward()
    for x in (q, k, v):
        assert x.grad.isfinite().all()
        assert torch.equal(x.grad[0], torch.zeros(1, 3, 4))
        assert x.grad[1].abs().sum() > 0


@pytest.mark.parametrize("heads", [1, 2, 4])
@torch.random.fork_rng()
def test_each_head_attends_by_itself(heads):
    """`Attention` is the attention of each head on its own slice of the projections, joined by the output layer."""
    layer = Attention(8, heads)
    queries, tokens = torch.randn(3, 2, 8), torch.randn(3, 5, 8)
    projected = layer.projections(queries).chunk(3, -1)[0], *layer.projections(tokens).chunk(3, -1)[1:]
    parts = [x.split(8 // heads, -1) for x in projected]
    outputs = [attend(*(x.unsqueeze(1) for x in head)).squeeze(1) for head in zip(*parts, strict=True)]
    torch.testing.assert_close(layer(queries, tokens), layer.output(torch.cat(outputs, -1)))
    torch.testing.assert_close(layer(tokens, tokens), layer(tokens, tokens.clone()))


@torch.random.fork_rng()
def test_a_block_keeps_what_it_gets():
    """Both kinds of block add to their first argument: where what they add is zero, it comes out as it went in."""
    x, tokens = torch.randn(3, 2, 8), torch.randn(3, 5, 8)
    for block, arguments in ((Block(8, 2, 2), (x,)), (CrossBlock(8, 2, 2), (x, tokens))):
        assert not torch.allclose(block(*arguments), x, atol=1e-2)
        for layer in (block.attention.output, block.feed_forward.output):
            nn.init.zeros_(layer.weight)
        assert torch.equal(block(*arguments), x)


def test_pooling_is_the_mean_of_what_is_there():
    """Absent tokens do not count; without any, the mean is zero, not NaN."""
    tokens = torch.tensor([[[1.0], [3.0], [9.0]], [[5.0], [float("nan")], [7.0]], [[1.0], [2.0], [3.0]]])
    present = torch.tensor([[True, True, False], [True, False, False], [False] * 3])
    assert pooled(tokens, present).tolist() == [[2.0], [5.0], [0.0]]
    assert pooled(tokens[:1]).item() == pytest.approx(13 / 3)
