"""Actions there and back, and as critics see them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from small_offline import ACTIONS

from framework_offline.actions import ActionScale


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_come_back(name: str) -> None:
    """As the environment has them, whichever its space."""
    space = ACTIONS[name]
    space.seed(0)
    actions = torch.from_numpy(np.stack([np.asarray(space.sample()) for _ in range(20)]))
    scale = ActionScale(space)
    inside = scale.from_environment(actions)
    torch.testing.assert_close(scale.to_environment(inside), actions, rtol=1e-5, atol=1e-5)
    if name == "box":
        assert inside.abs().max() <= 1
    if "discrete" in name:
        assert inside.min() == 0
    vector = scale.vector(actions)
    assert vector.shape == (20, scale.width)
    assert vector.dtype == torch.float32


def test_choices_are_one_hot() -> None:
    """One after the other."""
    vector = ActionScale(ACTIONS["multi_discrete"]).vector(torch.tensor([[1, 2], [0, 0]]))
    assert vector.tolist() == [[0, 1, 0, 0, 1], [1, 0, 1, 0, 0]]
    assert ActionScale(ACTIONS["discrete_start"]).vector(torch.tensor([3])).tolist() == [[0, 1, 0]]


def test_what_is_beyond_the_bounds_is_clipped() -> None:
    """Of a Box that is bounded; another is left as it is."""
    far = torch.tensor([[-3.0, 3.0]])
    assert ActionScale(ACTIONS["box"]).to_environment(far).tolist() == [[-2.0, 6.0]]
    assert ActionScale(ACTIONS["unbounded"]).to_environment(far).tolist() == far.tolist()


def test_a_box_keeps_its_shape() -> None:
    """Of several axes, too."""
    scale = ActionScale(Box(-1, 1, (2, 3)))
    actions = torch.rand(5, 2, 3)
    assert scale.from_environment(actions).shape == (5, 6)
    torch.testing.assert_close(scale.to_environment(scale.from_environment(actions)), actions)
