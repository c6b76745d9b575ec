"""Running moments against those of all rows at once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.toolkit.normalize import ReturnScale, RunningMoments, Standardize


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 2**32 - 1), st.randoms())
def test_merged_parts_are_the_whole(sizes, seed, random):
    """Moments of shuffled parts, merged, are those of all rows pooled; empty parts change nothing."""
    rows = torch.randn(sum(sizes), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    parts = list(rows.split(sizes))
    random.shuffle(parts)
    total = RunningMoments((3,))
    for part in parts:
        moments = RunningMoments((3,))
        moments.update(part)
        total.merge(moments.count, moments.mean, moments.m2)
    assert total.count == len(rows)
    if len(rows):
        torch.testing.assert_close(total.mean, rows.mean(0), rtol=0, atol=1e-10)
    if len(rows) > 1:
        torch.testing.assert_close(total.variance, rows.var(0, correction=0), rtol=0, atol=1e-10)


def test_a_large_offset_does_no_harm():
    """The variance of numbers around 1e8 is exact to ten digits."""
    rows = torch.randn(1000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moments = RunningMoments((1,))
    for part in (rows + 1e8).split(37):
        moments.update(part)
    torch.testing.assert_close(moments.variance, rows.var(0, correction=0), rtol=1e-6, atol=0)


def test_nothing_changes_without_rows():
    """An update with no rows leaves everything bit for bit as it was."""
    moments = RunningMoments((2,))
    moments.update(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    before = {name: value.clone() for name, value in moments.state_dict().items()}
    moments.update(torch.zeros(0, 2))
    assert all(torch.equal(value, before[name]) for name, value in moments.state_dict().items())


def test_standardize_brings_to_mean_zero_and_deviation_one():
    """Rows standardised by their own moments have them, and stay within the bound."""
    rows = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 100.0]) + 7
    moments, standardize = RunningMoments((2,)), Standardize((2,), clip=2.5)
    assert torch.equal(standardize(torch.tensor([[1.5, -40.0]])), torch.tensor([[1.5, -2.5]]))
    moments.update(rows)
    unclipped = Standardize((2,), clip=100.0)
    for module in (standardize, unclipped):
        module.set(moments)
    result = unclipped(rows)
    torch.testing.assert_close(result.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.std(0, correction=0), torch.ones(2), rtol=1e-5, atol=0)
    assert standardize(rows).abs().max() == 2.5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float64])
def test_standardize_gives_float32(dtype):
    """Whatever the numbers are, networks get float32."""
    assert Standardize((2,))(torch.ones(3, 2, dtype=dtype)).dtype == torch.float32


def test_a_constant_is_standardized_to_zero():
    """Zero variance gives zeros, not infinities."""
    moments, standardize = RunningMoments((1,)), Standardize((1,))
    moments.update(torch.full((9, 1), 5.0))
    standardize.set(moments)
    assert torch.equal(standardize(torch.full((2, 1), 5.0)), torch.zeros(2, 1))


def slow_scale(rewards, done, valid, gamma, sums):
    """The scale of each batch by a loop over steps and environments; ``sums`` runs on."""
    discounted = []
    for r, d, v in zip(rewards, done, valid, strict=True):
        for n in range(len(r)):
            sums[n] = gamma * sums[n] + r[n].item()
            if v[n]:
                discounted.append(sums[n])
            if d[n]:
                sums[n] = 0.0
    return discounted


def test_return_scale_runs_on_across_batches():
    """Rewards are divided by the deviation of all discounted sums so far, of valid steps, cut at episode ends."""
    g = torch.Generator().manual_seed(0)
    scale, sums, discounted = ReturnScale(3, 0.9), [0.0] * 3, []
    for _ in range(4):
        rewards = torch.randn(7, 3, generator=g)
        done, valid = torch.rand(7, 3, generator=g) < 0.2, torch.rand(7, 3, generator=g) < 0.9
        discounted += slow_scale(rewards, done, valid, 0.9, sums)
        expected = rewards / torch.tensor(discounted, dtype=torch.float64).std(correction=0)
        torch.testing.assert_close(scale(rewards, done, valid), expected.float(), rtol=1e-5, atol=1e-6)


def test_return_scale_starts_anew_where_batches_do_not_continue():
    """With ``continued`` false, a batch counts the same whatever came before it."""
    rewards, never = torch.ones(5, 2), torch.zeros(5, 2, dtype=torch.bool)
    scale = ReturnScale(2, 0.9)
    scale(rewards, never, ~never, continued=False)
    first = scale.moments.mean.clone()
    scale(rewards, never, ~never, continued=False)
    torch.testing.assert_close(scale.moments.mean, first)


def test_rewards_that_never_vary_stay_finite():
    """Zero variance gives a finite reward."""
    never = torch.zeros(4, 2, dtype=torch.bool)
    assert torch.equal(ReturnScale(2, 0.9)(torch.zeros(4, 2), never, ~never), torch.zeros(4, 2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.int32, torch.float32])
def test_standardize_is_exact_far_from_zero(dtype):
    """Numbers around 7e7 come out as those around 0 do: with their mean, and no two that differ made equal."""
    spread = torch.arange(-64, 65, dtype=torch.float64)[:, None] * 8
    moments, standardize = RunningMoments((1,)), Standardize((1,))
    rows = (spread + 2**26).to(dtype)
    moments.update(rows)
    standardize.set(moments)
    result = standardize(rows)
    torch.testing.assert_close(result, (spread / spread.std(correction=0)).float(), rtol=1e-6, atol=1e-6)
    assert len(result.unique()) == len(spread)


@pytest.mark.parametrize("value", [5.0, 0.1, -1e6])
def test_a_constant_has_scale_one(value):
    """What has never varied is not magnified when it does: also where rounding makes its variance not quite zero."""
    moments, standardize = RunningMoments((1,)), Standardize((1,))
    for size in (3, 7, 11):
        moments.update(torch.full((size, 1), value))
    standardize.set(moments)
    assert moments.scale(1e-8).item() == 1.0
    torch.testing.assert_close(standardize(torch.full((1, 1), value) + 1.0), torch.ones(1, 1), rtol=0, atol=0.1)


@pytest.mark.parametrize("reward", [1.0, 0.1, -3.0])
def test_equal_rewards_of_one_step_episodes_stay_as_they_are(reward):
    """Their sums never vary, so there is no deviation to divide by; from the first that differs on there is one."""
    scale, always = ReturnScale(4, 0.99), torch.ones(8, 4, dtype=torch.bool)
    for _ in range(5):
        rewards = torch.full((8, 4), reward)
        assert torch.equal(scale(rewards, always, always), rewards)
    rewards[0] = 2 * reward
    assert not torch.equal(scale(rewards, always, always), rewards)


@pytest.mark.parametrize(("batches", "expected"), [(1, 10.0), (20, 10.0), (200, 10.0)])
def test_one_reward_after_many_zeros_is_bounded(batches, expected):
    """It is as rare as its scale is large; the bound is 10, or what is given."""
    never = torch.zeros(64, 8, dtype=torch.bool)
    scales = [ReturnScale(8, 0.99), ReturnScale(8, 0.99, clip=3.0)]
    rewards = torch.zeros(64, 8)
    for scale in scales:
        for _ in range(batches):
            assert torch.equal(scale(rewards, never, ~never), rewards)
    rewards[-1, 0] = -1.0
    assert scales[0](rewards, never, ~never)[-1, 0] == -expected
    assert scales[1](rewards, never, ~never)[-1, 0] == -3


def test_a_mean_beyond_float32_gives_numbers():
    """Whatever the scale is, infinity less infinity is none."""
    rows = torch.tensor([[1e300], [2e300]], dtype=torch.float64)
    moments, standardize = RunningMoments((1,)), Standardize((1,))
    moments.update(rows)
    standardize.set(moments)
    assert standardize(rows).isfinite().all()


@pytest.mark.parametrize("reward", [1.0, 1e6])
def test_rewards_that_differ_by_rounding_stay_as_they_are(reward):
    """One-step episodes whose rewards differ in the last bit of float32 have no deviation to divide by."""
    rewards, always = torch.full((8, 4), reward), torch.ones(8, 4, dtype=torch.bool)
    rewards[::2] = torch.nextafter(rewards[::2], torch.tensor(torch.inf))
    assert torch.equal(ReturnScale(4, 0.99, clip=torch.inf)(rewards, always, always), rewards)
