"""Exported policies held against the policies themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from exporting import make
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from framework.errors import FrameworkError
from framework.export.act_module import ActModule, interface_of
from framework.export.verify import COUNTS, STEPS, _legal, _samples, shortfall, verify


def runner(module: ActModule, change: Any = None) -> Any:
    """What runs a module, with its outputs changed."""

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            tensors = module({name: torch.from_numpy(array.copy()) for name, array in inputs.items()})
        outputs = {name: tensor.numpy().copy() for name, tensor in tensors.items()}
        if change is not None:
            change(inputs, outputs)
        return outputs

    return run


def check(change: Any = None, action: str = "discrete", encoder: str = "gru") -> Any:
    policy, context = make("ppo", encoder, "vector", action)
    masked = action == "discrete"
    interface = interface_of(policy, context.observation_space, context.action_space, masked=masked)
    return verify(runner(ActModule(policy, interface), change), policy, interface, 1e-4)


def test_a_policy_agrees_with_itself() -> None:
    """On all rows, without any difference."""
    result = check()
    assert (result.rows, result.ties, result.largest) == (sum(COUNTS) * STEPS, 0, 0.0)


def test_rounding_is_measured() -> None:
    """Relative to numbers that are larger than 1."""

    def change(inputs: Any, outputs: Any) -> None:
        outputs["mean"] *= 1 + 1e-5

    assert 0 < check(change, "box").largest <= 1.1e-5


def _forget(inputs: Any, outputs: Any) -> None:
    outputs["next_memory/policy/hidden"] = outputs["next_memory/policy/hidden"] * 0


def _shift(inputs: Any, outputs: Any) -> None:
    outputs["action"] = 2 + (outputs["action"] - 1) % 3


def _widen(inputs: Any, outputs: Any) -> None:
    outputs["action"] = outputs["action"].astype(np.int32)


def _break(inputs: Any, outputs: Any) -> None:
    if len(outputs["action"]) == 7:
        raise ValueError("batches of 3 only")


def _void(inputs: Any, outputs: Any) -> None:
    outputs["logits"][:] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_forget, r"another next_memory/policy/hidden than the policy: the largest difference is .*--tolerance"),
        (_shift, "another action than the policy, in 1 of 1 rows"),
        (_widen, r"gives action as int32\[1\], and the policy int64\[1\]"),
        (_break, "fails for a batch of 7: batches of 3 only"),
        (_void, "another logits than the policy: the largest difference is nan"),
    ],
)
def test_what_does_not_agree_is_refused(change: Any, message: str) -> None:
    """By the first output that differs."""
    with pytest.raises(FrameworkError, match=message):
        check(change)


def test_ties_are_no_differences() -> None:
    """Another choice that is as probable within the tolerance is counted."""
    policy, context = make("ppo", "mlp", "vector", "discrete")
    for parameter in policy.action_head.parameters():  # type: ignore[attr-defined]
        parameter.data.zero_()
    interface = interface_of(policy, context.observation_space, context.action_space, masked=False)
    result = verify(runner(ActModule(policy, interface), _shift), policy, interface, 1e-4)
    assert result.ties == result.rows


def test_a_policy_that_does_not_tell_its_distribution_has_no_ties() -> None:
    """Its choices must be equal."""
    policy, context = make("dqn", "mlp", "vector", "discrete")
    interface = interface_of(policy, context.observation_space, context.action_space, masked=True)
    verify(runner(ActModule(policy, interface)), policy, interface, 1e-4)
    with pytest.raises(FrameworkError, match="another action"):
        verify(runner(ActModule(policy, interface), _shift), policy, interface, 1e9)


def test_shortfall_of_choices() -> None:
    """Below the best of its group, numbered from the space's start; for a Gaussian, from the mean within its bounds."""
    logits = np.array([[0.0, 2.0, -1.0], [5.0, 4.0, 4.0]])
    assert shortfall(Discrete(3, start=-1), np.array([0, 1]), {"logits": logits}).tolist() == [[0.0], [1.0]]
    parts = MultiDiscrete([2, 1], start=[1, 4])
    assert shortfall(parts, np.array([[1, 4], [2, 4]]), {"logits": logits}).tolist() == [[2.0, 0.0], [1.0, 0.0]]
    bits = np.array([[1, 0, 1], [0, 1, 1]], np.int8)
    assert shortfall(MultiBinary(3), bits, {"logits": logits}).tolist() == [[0.0, 2.0, 1.0], [5.0, 0.0, 0.0]]
    mean = np.array([[3.0, -0.5]])
    assert shortfall(Box(-1, 1, (2,)), np.array([[1.0, -0.25]]), {"mean": mean}).tolist() == [[0.0, 0.25]]
    u = np.array([[0.0, np.arctanh(0.5)]])
    squashed = shortfall(Box(-1, 3, (2,)), np.array([[1.0, 2.25]]), {"pre_squash_mean": u})
    np.testing.assert_allclose(squashed, [[0.0, 0.25]], atol=1e-6)


def test_observations_are_of_the_space_and_of_a_size_that_networks_know() -> None:
    """Bounds beyond all measure are none."""
    rng = np.random.default_rng(0)
    huge = np.finfo(np.float32).max
    samples = _samples(Box(np.array([-huge, 0.0], np.float32), np.array([huge, 1.0], np.float32)), 100, rng)
    assert samples.dtype == np.float32
    assert np.abs(samples).max() < 10
    assert samples[:, 1].min() >= 0
    assert {int(value) for value in _samples(Discrete(3, start=5), 100, rng)} == {5, 6, 7}


def test_masks_leave_a_choice_in_each_group() -> None:
    """And are not all the same."""
    masks = _legal(MultiDiscrete([2, 3]), 200, np.random.default_rng(0))
    assert masks[:, :2].any(1).all()
    assert masks[:, 2:].any(1).all()
    assert len({tuple(row) for row in masks.tolist()}) > 10
