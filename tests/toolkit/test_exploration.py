"""Epsilon-greedy exploration."""

from __future__ import annotations

import pytest
import torch

from framework.toolkit.exploration import annealed, epsilon_greedy, greedy

VALUES = torch.tensor([[0.0, 3.0, 1.0], [5.0, 2.0, 4.0]])
LEGAL = torch.tensor([[True, False, True], [True, True, True]])


def test_greedy_actions_are_the_best_legal_ones() -> None:
    """The best one of each row; a mask takes it away."""
    assert greedy(VALUES).tolist() == [1, 0]
    assert greedy(VALUES, LEGAL).tolist() == [2, 0]


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_random_actions_are_as_frequent_as_epsilon_says(epsilon: float) -> None:
    """Each legal action with the probability epsilon / legal, and the greedy one with 1 - epsilon more."""
    count = 20_000
    generator = torch.Generator().manual_seed(0)
    values, legal = VALUES[:1].expand(count, 3), LEGAL[:1].expand(count, 3)
    actions = epsilon_greedy(values, torch.tensor(epsilon), generator, legal)
    shares = torch.bincount(actions, minlength=3) / count
    torch.testing.assert_close(shares, torch.tensor([epsilon / 2, 0.0, 1 - epsilon / 2]), atol=0.015, rtol=0)


def test_epsilon_may_differ_between_environments() -> None:
    """One that explores always, beside one that never does."""
    generator = torch.Generator().manual_seed(0)
    epsilons = torch.tensor([1.0, 0.0])
    actions = torch.stack([epsilon_greedy(VALUES, epsilons, generator) for _ in range(60)])
    assert actions[:, 0].unique().tolist() == [0, 1, 2]
    assert actions[:, 1].unique().tolist() == [0]


def test_epsilon_is_annealed_in_a_line() -> None:
    """Over a fraction of the run; a fraction of 0 is the end at once."""
    assert [annealed(1.0, 0.1, 0.5, progress) for progress in (0.0, 0.25, 0.5, 1.0)] == pytest.approx(
        [1.0, 0.55, 0.1, 0.1]
    )
    assert annealed(1.0, 0.1, 0.0, 0.0) == 0.1
