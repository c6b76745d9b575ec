"""The steps of a batch as single transitions."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from walks import batch_of

from framework_curiosity import steps as module
from framework_curiosity.steps import steps_of


def random_batch(seed, steps=7, environments=3):
    """One whose observations are all different numbers, with ends, and steps that are not valid after some of them."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.arange(2.0 * (steps + 1) * environments)
    done = torch.rand(steps, environments, generator=generator) < 0.4
    after = torch.cat((torch.zeros(1, environments, dtype=torch.bool), done[:-1]))
    valid = ~(after & (torch.rand(steps, environments, generator=generator) < 0.5))
    done &= valid
    cut = torch.rand(done.shape, generator=generator) < 0.5
    index = done.flatten().nonzero().squeeze(1)
    return batch_of(
        numbers[: (steps + 1) * environments].view(steps + 1, environments, 1),
        torch.arange(steps * environments).view(steps, environments),
        terminated=done & ~cut,
        truncated=done & cut,
        valid=valid,
        final_index=index,
        final_observations={"observation": numbers[(steps + 1) * environments :][: len(index)].view(-1, 1)},
    )


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 2**31))
def test_no_step_leads_into_the_next_episode(seed):
    """Each valid step leads to the next observation, or to the true last one of the episode that it ended."""
    batch = random_batch(seed)
    steps = steps_of(batch)
    expected = []
    finals = batch.final_observations["observation"][:, 0].tolist()
    index = batch.final_index.tolist()
    count = batch.rewards.shape[1]
    for t in range(batch.rewards.shape[0]):
        for n in range(count):
            if batch.valid[t, n]:
                place = t * count + n
                after = finals[index.index(place)] if place in index else batch.observations["observation"][t + 1, n, 0]
                expected.append((place, float(batch.observations["observation"][t, n, 0]), float(after), place))
    columns = (steps.index, steps.observations["observation"], steps.following["observation"], steps.actions)
    assert list(zip(*(x.flatten().tolist() for x in columns), strict=True)) == expected


@pytest.mark.parametrize("size", [1, 4, 100])
def test_parts_are_the_whole(monkeypatch, size):
    """Parts hold every step once, in order; of no steps there is no part."""
    monkeypatch.setattr(module, "_PART_BYTES", 0)
    monkeypatch.setattr(module, "_SMALLEST_PART", size)
    whole = steps_of(random_batch(0))
    parts = list(whole.parts())
    assert max(len(part) for part in parts) <= size
    assert torch.equal(torch.cat([part.index for part in parts]), whole.index)
    assert list(whole.take(whole.index[:0]).parts()) == []


def test_rows_are_seen_through_a_function():
    """What is picked comes out of ``see``; actions do not go through it."""
    whole = steps_of(random_batch(0))
    halved = evolve(whole, see=lambda rows: {name: x / 2 for name, x in rows.items()})
    picked = halved.take(torch.tensor([2, 0]))
    assert torch.equal(picked.observations["observation"], whole.observations["observation"][[2, 0]] / 2)
    assert torch.equal(picked.following["observation"], whole.following["observation"][[2, 0]] / 2)
    assert torch.equal(picked.actions, whole.actions[[2, 0]])
