"""What off-policy algorithms share, against plain statements of it."""

from __future__ import annotations

import pytest
import torch
from small_off_policy import Halving, with_streams
from small_ppo import collect, make_context, ppo
from torch import nn

from framework.errors import FrameworkError
from framework.interfaces import Stream
from framework.toolkit.off_policy import AddedBonuses, UpdatesPerStep, mean_norm, move_target, n_step_returns, numbers
from framework.toolkit.optimizer import LossScale


def bonuses_of(discount: float = 0.9) -> tuple[AddedBonuses, Halving]:
    bonus = Halving()
    context = with_streams(make_context(), Stream("new", bonus, 0.25, discount))
    return AddedBonuses(context, 0.9, "sarsa"), bonus


def test_bonuses_are_added_by_weight_and_learn() -> None:
    """Rewards rise by weight times bonus, metrics have the stream's name, and updates record gradients."""
    context = make_context()
    batch = collect(ppo(context), context)
    bonuses, _ = bonuses_of()
    rewards, metrics = bonuses.add_to(batch.rewards, batch)
    assert torch.equal(rewards, batch.rewards + 0.25)
    assert metrics == {"bonus/new/reward": 1.0}
    with torch.no_grad():
        assert bonuses.update(batch) == {"bonus/new/level": 0.5}


def test_the_state_of_bonuses_is_that_of_each() -> None:
    """Loaded elsewhere, it goes on."""
    bonuses, bonus = bonuses_of()
    bonus.level *= 0.125
    restored, twin = bonuses_of()
    restored.load_state_dict(bonuses.state_dict())
    assert twin.level == 0.125


def test_another_discount_is_refused() -> None:
    """There is one value for all rewards; the message names bonus, both numbers and the algorithm."""
    with pytest.raises(FrameworkError, match=r"sarsa .* bonus new, 0.5, must be gamma, 0.9"):
        bonuses_of(discount=0.5)


def test_fractions_of_gradient_steps_add_up() -> None:
    """0.3 for each of 5 steps: 1 or 2 an update, 15 after ten; none before learning starts, and none made up for."""
    updates = UpdatesPerStep(0.3, learning_starts=20)
    assert [updates.due(5, stored=1) for _ in range(3)] == [0, 0, 0]
    counts = [updates.due(5, stored=1) for _ in range(10)]
    assert set(counts) == {1, 2}
    assert sum(counts) == 15


def test_gradient_steps_wait_for_something_stored() -> None:
    """An empty buffer owes nothing."""
    updates = UpdatesPerStep(1.0, learning_starts=0)
    assert updates.due(4, stored=0) == 0
    assert updates.due(4, stored=1) == 4


def test_gradient_steps_owed_are_state() -> None:
    """Restored counts go on as those that were saved, fractions included."""
    updates, restored = UpdatesPerStep(0.3, 4), UpdatesPerStep(0.3, 4)
    updates.due(5, stored=1)
    restored.load_state_dict(updates.state_dict())
    assert [restored.due(1, 1) for _ in range(20)] == [updates.due(1, 1) for _ in range(20)]


@pytest.mark.parametrize("tau", [1.0, 0.25])
def test_a_target_moves_part_of_the_way(tau: float) -> None:
    """Parameters are averaged, with 1 copied; buffers are copied always."""
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    target = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).requires_grad_(False)
    network[1].running_mean.fill_(7.0)
    before = [x.clone() for x in target.parameters()]
    move_target(target, network, tau)
    for moved, old, new in zip(target.parameters(), before, network.parameters(), strict=True):
        torch.testing.assert_close(moved, (1 - tau) * old + tau * new)
    assert torch.equal(target[1].running_mean, network[1].running_mean)


def test_mean_norms_leave_out_steps_that_overflowed() -> None:
    """With a loss scale; without one, what is not finite shows."""
    norms = [torch.tensor(x) for x in (1.0, float("inf"), 3.0)]
    assert mean_norm(norms, LossScale("cpu")) == 2.0
    assert mean_norm(norms, None) == float("inf")
    assert mean_norm(norms[1:2], LossScale("cpu")) == 0.0


def test_numbers_are_plain() -> None:
    """Names stay, in order."""
    assert list(numbers({"b": torch.tensor(2.0), "a": torch.tensor(1.0)}).items()) == [("b", 2.0), ("a", 1.0)]


def test_returns_of_several_steps_are_discounted_sums() -> None:
    """One by one; what follows is discounted by the number of steps, and by 0 after a termination."""
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    returns, discounts = n_step_returns(rewards, torch.tensor([3, 2, 1]), torch.tensor([False, True, False]), 0.5)
    assert returns.tolist() == [3.0, 2.0, 3.0]
    assert discounts.tolist() == [0.125, 0.0, 0.5]
