"""The Blind Cliffwalk of Schaul et al. (2016), section 3.1: what priorities are for."""

from __future__ import annotations

import numpy as np
import torch
from played import context

from framework.interfaces import Batch
from framework_replay.config import PrioritizedConfig, UniformConfig
from framework_replay.prioritized import Prioritized
from framework_replay.uniform import Uniform


def chain(length: int) -> Batch:
    """All 2^(n+1) - 2 steps of every way to walk the chain: right goes on, wrong ends, the last right one pays 1."""
    states, actions, rewards, ends = [], [], [], []
    for wrong_at in range(length):
        # As often as its actions happen to be drawn: halving with every further step.
        for _ in range(2 ** (length - 1 - wrong_at)):
            for state in range(wrong_at + 1):
                states.append(state)
                actions.append(int(state < wrong_at))
                rewards.append(0.0)
                ends.append(state == wrong_at)
    states += range(length)
    actions += [1] * length
    rewards += [0.0] * (length - 1) + [1.0]
    ends += [False] * (length - 1) + [True]
    count, ended = len(states), np.array(ends)[:, None]
    observed = torch.tensor([*states, 0])[:, None]
    return Batch(
        observations={"state": observed},
        actions=torch.tensor(actions)[:, None],
        rewards=torch.tensor(rewards)[:, None],
        terminated=torch.from_numpy(ended),
        truncated=torch.zeros(count, 1, dtype=torch.bool),
        first=torch.from_numpy(np.concatenate(([[True]], ended))),
        valid=torch.ones(count, 1, dtype=torch.bool),
        final_index=torch.from_numpy(np.flatnonzero(ended)),
        final_observations={"state": torch.zeros(int(ended.sum()), dtype=torch.int64)},
    )


def updates_until_learned(replay: Uniform | Prioritized, length: int, seed: int, at_once: int) -> int:
    """Q-learning with a table until its mean squared error is below 0.001, as in the paper.

    ``at_once`` steps are drawn together, which changes nothing where priorities are not looked at.
    """
    rng, discount, rate, updates = np.random.default_rng(seed), 1 - 1 / length, 0.25, 0
    table, true = np.zeros((length + 1, 2)), np.zeros((length + 1, 2))
    true[:length, 1] = discount ** np.arange(length - 1, -1, -1)
    while np.square(table - true)[:length].mean() > 1e-3:
        transitions, ids, _ = replay.sample(at_once, rng)
        columns = (
            transitions.observations["state"],
            transitions.actions,
            transitions.next_observations["state"],
            transitions.terminated,
        )
        errors = []
        for state, action, after, over, reward in zip(
            *(x.tolist() for x in columns), transitions.rewards[:, 0], strict=True
        ):
            errors.append(float(reward) + (0.0 if over else discount * table[after].max()) - table[state, action])
            table[state, action] += rate * errors[-1]
        replay.update_priorities(ids, np.abs(errors))
        updates += at_once
    return updates


def test_prioritized_beats_uniform_and_more_so_on_longer_chains() -> None:
    """It needs fewer updates, by a factor that grows with the chain to more than 6."""
    factors = []
    for length in (2, 5, 9):
        batch = chain(length)
        steps = len(batch.rewards)
        uniform, prioritized = [], []
        for seed in range(4):
            replay: Uniform | Prioritized = Uniform(UniformConfig(capacity=steps), context(1))
            replay.add(batch)
            uniform.append(updates_until_learned(replay, length, seed, at_once=10))
            replay = Prioritized(PrioritizedConfig(capacity=steps, alpha=1.0), context(1))
            replay.add(batch)
            prioritized.append(updates_until_learned(replay, length, seed, at_once=1))
        factors.append(np.mean(uniform) / np.mean(prioritized))
    assert factors[0] < factors[1] < factors[2], factors
    assert factors[2] > 6, factors
