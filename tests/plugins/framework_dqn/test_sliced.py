"""DQN in slices: the gradient of the whole minibatch, up to the order in which it is added up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_dqn import ListReplay, dqn, dqn_context
from small_ppo import collect

from framework_dqn.sliced import Sliced


def updated(slices: int) -> Any:
    """Metrics, weights and priorities after some gradient steps in so many slices."""
    replay = ListReplay(prioritized=True)
    context = dqn_context(replay=lambda: replay)
    algorithm = dqn(context, slices=slices, updates_per_step=4 / 64, learning_rate=3e-3)
    metrics = algorithm.update(collect(algorithm, context))
    weights = torch.cat([parameter.detach().flatten() for parameter in algorithm.policy.parameters()])
    return metrics, weights, replay.priorities


@pytest.mark.parametrize("slices", [2, 5, 64])
def test_slices_change_nothing_but_rounding(slices: int) -> None:
    """Weights, metrics and priorities are those of one slice; more slices than transitions are one for each."""
    metrics, weights, priorities = updated(slices)
    expected_metrics, expected, expected_priorities = updated(1)
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=3e-5)
    assert metrics == pytest.approx(expected_metrics, rel=1e-3, abs=1e-4)
    assert priorities == pytest.approx(expected_priorities, rel=1e-3, abs=1e-4)


def test_one_slice_is_the_whole_minibatch() -> None:
    """Which is computed as if there were no slices."""
    assert not isinstance(dqn(dqn_context())._backward, Sliced)
    assert isinstance(dqn(dqn_context(), slices=2)._backward, Sliced)
