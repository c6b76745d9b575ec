"""Minibatches: their advantages are standardized."""

from __future__ import annotations

import pytest
import torch

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
