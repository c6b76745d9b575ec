"""The targets of DQN, against plain sums."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_dqn.targets import td_targets


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=4), st.booleans(), st.floats(-9, 9, width=32)
        ),
        min_size=1,
        max_size=5,
    ),
    gamma=st.floats(0, 1),
)
def test_targets_are_discounted_sums(rows, gamma):
    """``sum gamma^k r_k + gamma^m V`` over the m steps that each transition has, without V where it terminated."""
    rewards = np.zeros((len(rows), 4), np.float32)
    expected = []
    for row, (step_rewards, terminated, value) in zip(rewards, rows, strict=True):
        row[: len(step_rewards)] = step_rewards
        total = sum(gamma**k * reward for k, reward in enumerate(step_rewards))
        expected.append(total + (0.0 if terminated else gamma ** len(step_rewards) * value))
    targets = td_targets(
        torch.from_numpy(rewards),
        torch.tensor([len(step_rewards) for step_rewards, _, _ in rows]),
        torch.tensor([terminated for _, terminated, _ in rows]),
        torch.tensor([value for _, _, value in rows], dtype=torch.float32),
        gamma,
    )
    np.testing.assert_allclose(targets.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_values_after_a_terminated_step_do_not_matter():
    """Not even where the value is as low as that of actions that no mask allows."""
    lowest = torch.tensor([torch.finfo(torch.float32).min])
    targets = td_targets(torch.tensor([[2.0]]), torch.tensor([1]), torch.tensor([True]), lowest, 0.99)
    assert targets.item() == 2.0
