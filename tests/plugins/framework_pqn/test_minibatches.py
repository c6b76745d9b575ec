"""Minibatches of steps and of whole environments, and their slices."""

from __future__ import annotations

import pytest
import torch
from small_ppo import collect, make_context
from small_pqn import pqn, remembering

from framework_pqn.minibatches import row_minibatches, sequence_minibatches
from framework_pqn.objective import Targets


def made(context):
    """A batch in which two steps are not valid, and targets that tell which step they are of."""
    batch = collect(pqn(context), context)
    batch.valid[4, 1] = batch.valid[2, 3] = False
    numbers = torch.arange(batch.valid.numel()).view(batch.valid.shape)
    return batch, Targets(torch.zeros_like(numbers), numbers.float())


def rows_of(minibatch):
    """The observations of the steps that are learned from, [B, ...]."""
    return minibatch.observations["observation"].flatten(0, 1)[minibatch.step_index]


@pytest.mark.parametrize(("size", "count"), [(62, 1), (31, 2), (60, 2), (1000, 1)])
def test_rows_cover_each_epoch(size, count):
    """Every valid step once an epoch, each with its own target, in another order each time."""
    batch, targets = made(make_context())
    parts = list(row_minibatches(batch, targets, size, 2, torch.Generator().manual_seed(0)))
    assert len(parts) == 2 * count
    expected = batch.observations["observation"][:-1].flatten(0, 1)
    orders = []
    for epoch in (parts[:count], parts[count:]):
        numbers = torch.cat([part.targets.returns for part in epoch]).long()
        assert torch.equal(numbers.sort().values, batch.valid.flatten().nonzero().squeeze(1))
        assert torch.equal(torch.cat(list(map(rows_of, epoch))), expected[numbers])
        orders.append(numbers)
    assert not torch.equal(*orders)


@pytest.mark.parametrize(("size", "count"), [(16, 4), (31, 4), (32, 2), (1000, 1), (1, 4)])
def test_sequences_are_whole_environments(size, count):
    """As many as make up the size, at least one, each with its memory and its starts of episodes."""
    context = remembering()
    batch, targets = made(context)
    batch.memory = {"h": torch.arange(4.0).unsqueeze(1).expand(4, 8)}
    parts = list(sequence_minibatches(batch, targets, size, 1, torch.Generator().manual_seed(0)))
    assert len(parts) == count
    for part in parts:
        columns = part.memory["h"][:, 0].long()
        assert torch.equal(part.first, batch.first[:-1, columns])
        assert torch.equal(part.observations["observation"], batch.observations["observation"][:-1, columns])
        numbers = part.targets.returns.long()
        assert torch.equal(rows_of(part), batch.observations["observation"][:-1].flatten(0, 1)[numbers])
        expected = targets.returns[:, columns][batch.valid[:, columns]].long()
        assert torch.equal(numbers.sort().values, expected.sort().values)


@pytest.mark.parametrize("count", [1, 2, 3, 50])
@pytest.mark.parametrize("context", [make_context(), remembering()], ids=["rows", "sequences"])
def test_slices_are_the_minibatch(context, count):
    """Each step is in one slice, with its observation and target; none is empty, however many are asked for."""
    batch, targets = made(context)
    minibatches = sequence_minibatches if "h" in batch.memory else row_minibatches
    (whole,) = minibatches(batch, targets, 1000, 1, torch.Generator())
    slices = whole.slices(count)
    assert len(slices) == min(count, whole.first.shape[1])
    assert torch.equal(torch.cat([rows for _, rows in slices]).sort().values, torch.arange(62))
    for part, rows in slices:
        assert len(rows) == len(part.step_index) > 0
        assert torch.equal(part.targets.returns, whole.targets.returns[rows])
        assert torch.equal(rows_of(part), rows_of(whole)[rows])
