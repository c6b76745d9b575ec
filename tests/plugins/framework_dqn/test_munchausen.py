"""Munchausen targets against plain sums over the actions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from small_dqn import ListReplay, dqn, dqn_context, slow_projection
from small_ppo import collect

from framework_dqn.config import DQNConfig
from framework_dqn.munchausen import munchausen_rewards, soft_policy

ALPHA, TEMPERATURE, CLIP = 0.8, 0.3, -0.5


def slow_policy(values: list[float], legal: list[bool], temperature: float) -> list[float]:
    """Probabilities of the softmax policy."""
    highest = max(value for value, allowed in zip(values, legal, strict=True) if allowed)
    odds = [
        math.exp((value - highest) / temperature) if allowed else 0.0
        for value, allowed in zip(values, legal, strict=True)
    ]
    return [odd / sum(odds) for odd in odds]


numbers = st.floats(-5, 5, width=32)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=5),
    temperature=st.sampled_from([0.03, 0.5, 2.0]),
    action=st.integers(0, 4),
    reward=numbers,
)
def test_policy_and_rewards_are_the_definitions(
    rows: list[tuple[float, bool]], temperature: float, action: int, reward: float
) -> None:
    """With any mask; later rewards stay as they are, and the batch's own too."""
    action %= len(rows)
    values, legal = [value for value, _ in rows], [allowed for _, allowed in rows]
    legal[action] = True
    mask = torch.tensor([legal])
    expected = slow_policy(values, legal, temperature)
    policy, entropies = soft_policy(torch.tensor([values]), mask, temperature)
    torch.testing.assert_close(policy, torch.tensor([expected]), rtol=1e-3, atol=1e-5)
    for probability, entropy in zip(expected, entropies[0].tolist(), strict=True):
        if probability > 1e-30:
            assert entropy == pytest.approx(-temperature * math.log(probability), rel=1e-3, abs=1e-4)
    assert entropies.isfinite().all()
    rewards = torch.tensor([[reward, 7.0]])
    options = DQNConfig(munchausen_temperature=temperature)
    changed = munchausen_rewards(rewards, torch.tensor([values]), torch.tensor([action]), mask, options)
    log_prob = temperature * math.log(expected[action]) if expected[action] else -math.inf
    assert changed[0, 0].item() == pytest.approx(reward + 0.9 * min(max(log_prob, -1.0), 0.0), abs=1e-3)
    assert changed[0, 1] == 7.0
    assert rewards[0, 0] == reward


def made(**options: Any) -> Any:
    replay = ListReplay(2)
    context = dqn_context(action=Discrete(4, start=2), replay=lambda: replay)
    settings = {"munchausen_alpha": ALPHA, "munchausen_temperature": TEMPERATURE, "munchausen_clip": CLIP, **options}
    algorithm = dqn(context, gamma=0.9, updates_per_step=8 / 64, munchausen=True, **settings)
    mask = torch.rand(17, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 2] = True
    algorithm.update(collect(algorithm, context, action_mask=mask))
    transitions, *_ = replay.sample(16, np.random.default_rng(3))
    return algorithm, transitions


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("distribution", ["none", "categorical", "quantile"])
def test_targets_are_those_of_the_soft_policy(distribution: str, double: bool) -> None:
    """``r + alpha * clip(tau log pi) + gamma^n * sum_a pi (Q - tau log pi)``, all of the target network's values.

    Of quantiles each is so averaged; atoms are those of all actions, each moved by its action's entropy.
    """
    algorithm, transitions = made(distribution=distribution, atoms=5, v_min=-2.0, v_max=2.0, double=double)
    atoms = torch.linspace(-2, 2, 5)

    def outputs(rows: dict[str, torch.Tensor]) -> tuple[list[Any], list[list[float]]]:
        result = algorithm._target(rows)[0]
        means = {"none": lambda x: x, "quantile": lambda x: x.mean(-1), "categorical": lambda x: x.softmax(-1) @ atoms}
        return (result.softmax(-1) if distribution == "categorical" else result), means[distribution](result).tolist()

    with torch.no_grad():
        targets = algorithm.targets(transitions, torch.ones(16))
        _, before = outputs(transitions.observations)
        following, after = outputs(transitions.next_observations)
    for row in range(16):
        taken = int(transitions.actions[row]) - 2
        policy = slow_policy(before[row], transitions.action_mask[row].tolist(), TEMPERATURE)
        reward = transitions.rewards[row, 0].item() + ALPHA * max(TEMPERATURE * math.log(policy[taken]), CLIP)
        steps = int(transitions.steps[row])
        reward += sum(0.9**k * transitions.rewards[row, k].item() for k in range(1, steps))
        discount = 0.0 if transitions.terminated[row] else 0.9**steps
        policy = slow_policy(after[row], transitions.next_action_mask[row].tolist(), TEMPERATURE)
        legal = [action for action in range(4) if policy[action] > 0]
        bonus = {action: -TEMPERATURE * math.log(policy[action]) for action in legal}
        value = reward + discount * sum(policy[a] * (after[row][a] + bonus[a]) for a in legal)
        if distribution == "none":
            assert targets.values[row].item() == pytest.approx(value, abs=1e-4)
            continue
        if distribution == "quantile":
            expected = [
                reward + discount * sum(policy[a] * (following[row, a, k].item() + bonus[a]) for a in legal)
                for k in range(5)
            ]
        else:
            pairs = [
                (reward + discount * (atom + bonus[a]), policy[a] * following[row, a, k].item())
                for a in legal
                for k, atom in enumerate(atoms.tolist())
            ]
            expected = slow_projection(*map(list, zip(*pairs, strict=True)), atoms.tolist())
        torch.testing.assert_close(targets.returns[row], torch.tensor(expected), rtol=1e-3, atol=1e-4)
