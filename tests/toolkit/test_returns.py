"""Advantages and returns, against definitions written out as slow loops."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from framework.toolkit.returns import (
    discounted_returns,
    forward_scan,
    gae,
    lambda_returns,
    next_values,
    reverse_scan,
    vtrace,
)

EXACT = {"rtol": 0.0, "atol": 1e-10}


class Episodes(NamedTuple):
    """Arguments of `gae`, in its order."""

    rewards: Tensor
    values: Tensor
    terminated: Tensor
    truncated: Tensor
    final_index: Tensor
    final_values: Tensor


def episodes(seed: int, steps: int = 12, count: int = 3, ends: float = 0.25) -> Episodes:
    g = torch.Generator().manual_seed(seed)
    done = torch.rand(steps, count, generator=g) < ends
    terminated = done & (torch.rand(steps, count, generator=g) < 0.5)
    index = done.flatten().nonzero().squeeze(1)
    normal = {"generator": g, "dtype": torch.float64}
    return Episodes(
        torch.randn(steps, count, **normal),
        torch.randn(steps + 1, count, **normal),
        terminated,
        done & ~terminated,
        index[torch.randperm(len(index), generator=g)],
        torch.randn(len(index), **normal),
    )


def value_after(e: Episodes, t: int, n: int) -> float:
    """V of what step t of environment n led to."""
    if e.terminated[t, n]:
        return 0.0
    if e.truncated[t, n]:
        return e.final_values[(e.final_index == t * e.rewards.shape[1] + n).nonzero().item()].item()
    return e.values[t + 1, n].item()


def delta(e: Episodes, t: int, n: int, gamma: float) -> float:
    return e.rewards[t, n].item() + gamma * value_after(e, t, n) - e.values[t, n].item()


def last_of_episode(e: Episodes, t: int, n: int) -> int:
    """The last step of the episode that step t belongs to, or of the trajectory."""
    ends = (e.terminated | e.truncated)[t:, n].nonzero()
    return t + ends[0].item() if len(ends) else len(e.rewards) - 1


def each_step(e: Episodes, formula) -> Tensor:
    steps, count = e.rewards.shape
    rows = [[formula(t, n) for n in range(count)] for t in range(steps)]
    return torch.tensor(rows, dtype=torch.float64)


seeds = st.integers(0, 2**32 - 1)
fractions = st.floats(0, 1)
modest = settings(derandomize=True, deadline=None, max_examples=30)


@modest
@given(seeds, fractions, fractions, st.integers(1, 20))
def test_gae_is_the_double_sum(seed, gamma, lam, steps):
    """A[t] is the sum over the episode's rest of (gamma * lam)^k times the k-th TD error from t."""
    e = episodes(seed, steps)

    def formula(t, n):
        end = last_of_episode(e, t, n)
        return sum((gamma * lam) ** (k - t) * delta(e, k, n, gamma) for k in range(t, end + 1))

    torch.testing.assert_close(gae(*e, gamma=gamma, lam=lam), each_step(e, formula), **EXACT)


def test_gae_with_lambda_zero_is_the_td_error():
    """With lam = 0 nothing is summed."""
    e = episodes(1)
    torch.testing.assert_close(gae(*e, gamma=0.9, lam=0.0), each_step(e, lambda t, n: delta(e, t, n, 0.9)), **EXACT)


def test_gae_with_lambda_one_is_the_return_minus_the_value():
    """With lam = 1 only V(s) remains of the values between."""
    e = episodes(2)
    expected = discounted_returns(*e, gamma=0.9) - e.values[:-1]
    torch.testing.assert_close(gae(*e, gamma=0.9, lam=1.0), expected, **EXACT)


def test_endless_reward_cut_short_has_no_advantage():
    """Reward 1 forever, cut only by truncation, with V = 1 / (1 - gamma) everywhere: all advantages are 0."""
    e = episodes(3)
    value = 1 / (1 - 0.99)
    e = e._replace(
        rewards=torch.ones_like(e.rewards),
        values=torch.full_like(e.values, value),
        final_values=torch.full_like(e.final_values, value),
        truncated=e.truncated | e.terminated,
        terminated=torch.zeros_like(e.terminated),
    )
    torch.testing.assert_close(gae(*e, gamma=0.99, lam=0.95), torch.zeros_like(e.rewards), **EXACT)


def test_an_episode_end_separates():
    """What comes after an episode's end changes nothing before it, and the other way round."""
    e = episodes(4, steps=8, count=1, ends=0.0)
    e.truncated[3, 0] = True
    e = e._replace(final_index=torch.tensor([3]), final_values=torch.tensor([0.7], dtype=torch.float64))
    no_finals = (torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64))
    whole = gae(*e, gamma=0.9, lam=0.8)
    head = Episodes(
        e.rewards[:4], torch.cat((e.values[:4], e.final_values[None])), *(x[:4] for x in e[2:4]), *no_finals
    )
    head.truncated[3, 0] = False
    tail = Episodes(e.rewards[4:], e.values[4:], *(x[4:] for x in e[2:4]), *no_finals)
    separate = torch.cat([gae(*part, gamma=0.9, lam=0.8) for part in (head, tail)])
    torch.testing.assert_close(whole, separate, **EXACT)


def test_discounted_returns_are_the_sum_of_rewards():
    """Each return is the discounted sum of the episode's rewards from there, and of the value where it goes on."""
    e = episodes(5)

    def formula(t, n):
        end = last_of_episode(e, t, n)
        rewards = sum(0.9 ** (k - t) * e.rewards[k, n].item() for k in range(t, end + 1))
        return rewards + 0.9 ** (end - t + 1) * value_after(e, end, n)

    torch.testing.assert_close(discounted_returns(*e, gamma=0.9), each_step(e, formula), **EXACT)


def test_next_values_leave_the_values_alone():
    """The values that are passed in are not written to."""
    e = episodes(6)
    before = e.values.clone()
    next_values(e.values, e.terminated, e.final_index, e.final_values)
    assert torch.equal(e.values, before)


@modest
@given(seeds, fractions, fractions, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.7, 1.0, 1.5]))
def test_vtrace_is_the_explicit_sum(seed, gamma, lam, rho_bar, rho_pg):
    """v - V is the sum of gamma^k times the product of c times the clipped TD errors; advantages follow from v."""
    e = episodes(seed)
    log_ratios = torch.randn(e.rewards.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rho = log_ratios.exp()

    def correction(t, n):
        total, product = 0.0, 1.0
        for k in range(t, last_of_episode(e, t, n) + 1):
            total += product * min(rho_bar, rho[k, n].item()) * delta(e, k, n, gamma)
            product *= gamma * lam * min(1.0, rho[k, n].item())
        return total

    targets = e.values[:-1] + each_step(e, correction)

    def advantage(t, n):
        going_on = t + 1 < len(targets) and last_of_episode(e, t, n) > t
        after = targets[t + 1, n].item() if going_on else value_after(e, t, n)
        error = e.rewards[t, n].item() + gamma * after - e.values[t, n].item()
        return min(rho_pg, rho[t, n].item()) * error

    estimates = vtrace(*e, log_ratios, gamma=gamma, lam=lam, rho_bar=rho_bar, rho_pg=rho_pg)
    torch.testing.assert_close(estimates.targets, targets, **EXACT)
    torch.testing.assert_close(estimates.advantages, each_step(e, advantage), **EXACT)


def test_vtrace_on_policy_is_the_n_step_return():
    """With rho = 1 and lam = 1 the targets are the bootstrapped returns."""
    e = episodes(7)
    estimates = vtrace(*e, torch.zeros_like(e.rewards), gamma=0.9, lam=1.0)
    torch.testing.assert_close(estimates.targets, discounted_returns(*e, gamma=0.9), **EXACT)


def test_vtrace_on_policy_agrees_with_gae():
    """With rho = 1 the targets are those of generalised advantage estimation with the same lam."""
    e = episodes(8)
    estimates = vtrace(*e, torch.zeros_like(e.rewards), gamma=0.9, lam=0.7)
    torch.testing.assert_close(estimates.targets - e.values[:-1], gae(*e, gamma=0.9, lam=0.7), **EXACT)


@modest
@given(seeds, fractions, fractions)
def test_gae_of_stale_data_is_the_explicit_sum(seed, gamma, lam):
    """Later TD errors count as far as the policy would still have come there; it is V-trace's correction over rho."""
    e = episodes(seed)
    log_ratios = torch.randn(e.rewards.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rho = log_ratios.exp()

    def advantage(t, n):
        total, product = 0.0, 1.0
        for k in range(t, last_of_episode(e, t, n) + 1):
            total += product * delta(e, k, n, gamma)
            product *= gamma * lam * (min(1.0, rho[k + 1, n].item()) if k + 1 < len(rho) else 0.0)
        return total

    advantages = gae(*e, log_ratios, gamma=gamma, lam=lam)
    torch.testing.assert_close(advantages, each_step(e, advantage), **EXACT)
    correction = vtrace(*e, log_ratios, gamma=gamma, lam=lam).targets - e.values[:-1]
    torch.testing.assert_close(advantages * rho.clamp(max=1.0), correction, **EXACT)
    on_policy = gae(*e, torch.zeros_like(log_ratios), gamma=gamma, lam=lam)
    torch.testing.assert_close(on_policy, gae(*e, gamma=gamma, lam=lam), **EXACT)


def test_vtrace_ignores_actions_that_the_policy_would_not_take():
    """With rho near 0 the targets are the values, and nothing is an advantage."""
    e = episodes(9)
    estimates = vtrace(*e, torch.full_like(e.rewards, -80.0), gamma=0.9)
    torch.testing.assert_close(estimates.targets, e.values[:-1], **EXACT)
    torch.testing.assert_close(estimates.advantages, torch.zeros_like(e.rewards), **EXACT)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 9, 128])
def test_scans_are_the_recursions(steps):
    """Both scans solve their recursion for every length, powers of two or not."""
    g = torch.Generator().manual_seed(steps)
    x, decay = (torch.rand(steps, 2, generator=g, dtype=torch.float64) for _ in range(2))
    backward, forward = torch.zeros_like(x), torch.zeros_like(x)
    for t in range(steps):
        forward[t] = x[t] + (decay[t] * forward[t - 1] if t else 0)
    for t in reversed(range(steps)):
        backward[t] = x[t] + (decay[t] * backward[t + 1] if t + 1 < steps else 0)
    torch.testing.assert_close(reverse_scan(x, decay), backward, **EXACT)
    torch.testing.assert_close(forward_scan(x, decay), forward, **EXACT)


@modest
@given(seeds, fractions, fractions, st.integers(1, 20))
def test_lambda_returns_are_the_mixed_returns_of_all_lengths(seed, gamma, lam, steps):
    """G[t] is the mean of the n-step returns from t, weighted by (1 - lam) * lam^(n - 1), the longest by the rest."""
    e = episodes(seed, steps)

    def formula(t, n):
        end, rewards, mixed = last_of_episode(e, t, n), 0.0, 0.0
        for k in range(t, end + 1):
            rewards += gamma ** (k - t) * e.rewards[k, n].item()
            whole = rewards + gamma ** (k - t + 1) * value_after(e, k, n)
            mixed += lam ** (k - t) * (1.0 if k == end else 1.0 - lam) * whole
        return mixed

    torch.testing.assert_close(lambda_returns(*e, gamma=gamma, lam=lam), each_step(e, formula), **EXACT)


def test_lambda_returns_are_values_plus_generalised_advantages():
    """Which is how they come from the same TD errors; with lam = 1 they are discounted returns."""
    e = episodes(5)
    expected = gae(*e, gamma=0.9, lam=0.7) + e.values[:-1]
    torch.testing.assert_close(lambda_returns(*e, gamma=0.9, lam=0.7), expected, **EXACT)
    torch.testing.assert_close(lambda_returns(*e, gamma=0.9, lam=1.0), discounted_returns(*e, gamma=0.9), **EXACT)
