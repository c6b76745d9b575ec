"""Actions as numbers, and what predicting them costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

from framework.errors import FrameworkError
from framework.toolkit.spaces import ParameterizedActions
from framework_curiosity.actions import action_code

CHOICES = {
    "discrete": (Discrete(3, start=-1), torch.tensor([-1, 1]), [[1, 0, 0], [0, 0, 1]], math.log(3)),
    "multi_discrete": (
        MultiDiscrete([2, 3], start=[5, 0]),
        torch.tensor([[5, 2], [6, 0]]),
        [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]],
        math.log(6),
    ),
    "nested": (
        MultiDiscrete([[2], [2]]),
        torch.tensor([[[0], [1]], [[1], [1]]]),
        [[1, 0, 0, 1], [0, 1, 0, 1]],
        math.log(4),
    ),
    "multi_binary": (
        MultiBinary(3),
        torch.tensor([[1, 0, 0], [1, 1, 1]], dtype=torch.int8),
        [[1, 0, 0], [1, 1, 1]],
        math.log(8),
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_one_hot_and_cost_their_surprise(name):
    """A prediction that all are as probable costs ln of their number; one that is sure and right nothing."""
    space, actions, expected, surprise = CHOICES[name]
    code = action_code(space)
    numbers = code(actions)
    assert numbers.dtype == torch.float32
    assert numbers.tolist() == expected
    assert code.width == len(expected[0])
    torch.testing.assert_close(code.loss(torch.zeros(2, code.width), actions), torch.full((2,), surprise))
    torch.testing.assert_close(code.loss(200 * numbers - 100, actions), torch.zeros(2))
    assert (code.loss(100 - 200 * numbers, actions) > 100).all()


def test_real_actions_are_what_the_environment_acts_on():
    """They are clipped to the bounds and scaled by them, where there are two; the loss is half the squared distance."""
    low, high = np.array([[-2.0, 0.0], [-np.inf, 0.0]]), np.array([[2.0, 10.0], [3.0, np.inf]])
    code = action_code(Box(low.astype(np.float32), high.astype(np.float32)))
    actions = torch.tensor([[[1.0, 5.0], [7.0, 4.0]], [[-9.0, 10.0], [-4.0, -4.0]]])
    assert code(actions).tolist() == [[0.5, 0.0, 3.0, 4.0], [-1.0, 1.0, -4.0, 0.0]]
    loss = code.loss(torch.zeros(2, 4), actions)
    torch.testing.assert_close(loss, torch.tensor([0.5 * (0.25 + 9 + 16), 0.5 * (1 + 1 + 16)]))


def test_parts_are_coded_each_by_itself():
    """Their codes lie side by side, and their losses are added up; choices of flat actions are numbered from 0."""
    box = Box(-2, 2, (2,), np.float32)
    code = action_code(Dict({"arm": Tuple((Discrete(3, start=7), box)), "bits": MultiBinary(2)}))
    actions = torch.tensor([[2.0, 1.0, -9.0, 0.0, 1.0]])
    assert code(actions).tolist() == [[0, 0, 1, 0.5, -1, 0, 1]]
    predictions = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]])
    parts = [
        (action_code(Discrete(3)), predictions[:, :3], torch.tensor([2])),
        (action_code(box), predictions[:, 3:5], torch.tensor([[1.0, -9.0]])),
        (action_code(MultiBinary(2)), predictions[:, 5:], torch.tensor([[0, 1]])),
    ]
    expected = sum(part.loss(rows, taken) for part, rows, taken in parts)
    torch.testing.assert_close(code.loss(predictions, actions), expected)


def test_parameters_that_do_not_matter_are_left_out():
    """Of an action that was not chosen the code is 0, and nothing is learned about it."""
    code = action_code(ParameterizedActions({"kick": Box(-1, 1, (1,), np.float32), "wait": None}))
    actions = torch.tensor([[0.0, 0.5], [1.0, 0.5]])
    assert code(actions).tolist() == [[1, 0, 0.5], [0, 1, 0]]
    losses = code.loss(torch.zeros(2, 3), actions)
    torch.testing.assert_close(losses, torch.tensor([0.125, 0.0]) + math.log(2))


def test_other_spaces_are_refused():
    """A space that no policy acts in has no code."""
    with pytest.raises(FrameworkError, match="not supported"):
        action_code(Text(3))
