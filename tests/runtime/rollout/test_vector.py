from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from environments import SPACES, Scripted, all_of
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import FrameworkError, RunError
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.runtime.rollout.vector import VectorArrays, success_code
from framework.toolkit.spaces import array_spec, flat_space

ALL = slice(None)
#: Spaces, their first choice and their last.
CHOICES: dict[str, tuple[Space[Any], Any, Any]] = {
    "discrete": (Discrete(4), 0, 3),
    "start": (Discrete(4, start=-2), -2, 1),
    "multi_discrete": (MultiDiscrete([3, 2]), [0, 0], [2, 1]),
    "multi_start": (MultiDiscrete([3, 2], start=[-1, 5]), [-1, 5], [1, 6]),
    "multi_binary": (MultiBinary(2), [0, 0], [1, 1]),
}


def make_arrays(space: Space[Any] | None = None, action: Space[Any] | None = None, count: int = 3) -> VectorArrays:
    return VectorArrays(count, space or Discrete(4), action or Discrete(3))


def masked(action: Space[Any], *masks: Any) -> VectorArrays:
    """The arrays of an environment for each of these masks."""
    arrays = make_arrays(action=action, count=len(masks))
    arrays.prepare_masks(True)
    for index, mask in enumerate(masks):
        arrays.read_mask(index, {"action_mask": mask})
    return arrays


# Arrays.


@pytest.mark.parametrize("name", SPACES)
def test_arrays_are_as_the_spaces_say(name: str) -> None:
    """One for each leaf, with its dtype and shape, and a row for each environment."""
    arrays = make_arrays(SPACES[name], count=5)
    assert arrays.observation_space == flat_space(SPACES[name])
    assert arrays.observations.keys() == arrays.observation_space.keys()
    for leaf, array in arrays.observations.items():
        dtype, shape = array_spec(arrays.observation_space[leaf])
        assert (array.dtype, array.shape) == (dtype, (5, *shape))
    assert (arrays.rewards.dtype, arrays.rewards.shape) == (np.float32, (5,))
    assert arrays.valid.all()
    assert (arrays.success == -1).all()


def test_ends_are_two_rows_of_one_array() -> None:
    """So that whether anything has ended is a single look."""
    arrays = make_arrays()
    arrays.terminated[1] = True
    arrays.truncated[2] = True
    assert arrays.ended.tolist() == [[False, True, False], [False, False, True]]


def test_action_spaces_that_policies_cannot_act_in_are_refused() -> None:
    """Before any environment is played."""
    with pytest.raises(FrameworkError, match="is not supported"):
        make_arrays(action=Box(0, 9, (2,), np.int32))


# Action masks.


def test_without_masks_nothing_is_kept_or_checked() -> None:
    """An environment that gives none may do so for ever."""
    arrays = make_arrays()
    arrays.prepare_masks(False)
    arrays.read_mask(0, {})
    arrays.check_masks(ALL, np.zeros(3, bool))
    assert arrays.action_mask is None


def test_masks_are_kept_by_environment() -> None:
    """As truth values, whatever they were; a MultiDiscrete's parts side by side, also where they come one by one."""
    arrays = masked(Discrete(3), np.array([1, 0, 1], np.int8), [False, True, False], np.ones(3))
    assert arrays.action_mask is not None
    assert arrays.action_mask.dtype == bool
    assert arrays.action_mask.tolist() == [[True, False, True], [False, True, False], [True] * 3]
    arrays = masked(MultiDiscrete([2, 1]), np.array([1, 0, 1]), (np.array([0, 1]), np.array([1])))
    assert arrays.action_mask is not None
    assert arrays.action_mask.tolist() == [[True, False, True], [False, True, True]]


@pytest.mark.parametrize("given_first", [True, False])
def test_masks_are_given_always_or_never(given_first: bool) -> None:
    """What the first reset decides holds for all that follow."""
    arrays = make_arrays()
    arrays.prepare_masks(given_first)
    with pytest.raises(RunError, match=r"environment 1 gives info\['action_mask'\] only sometimes"):
        arrays.read_mask(1, {} if given_first else {"action_mask": np.ones(3)})


@pytest.mark.parametrize("space", [MultiBinary(3), Box(-1, 1, (2,), np.float32)])
def test_spaces_without_choices_have_no_masks(space: Space[Any]) -> None:
    """A mask would say nothing of which action is legal."""
    with pytest.raises(RunError, match=r"info\['action_mask'\], which the space .* cannot have"):
        make_arrays(action=space).prepare_masks(True)


@pytest.mark.parametrize(
    "mask", [np.ones(2), np.ones((1, 3)), (np.ones(2), np.ones(2)), np.ones(()), np.ones(4)], ids=np.shape
)
def test_masks_of_another_size_are_refused(mask: Any) -> None:
    """They are neither broadcast nor cut."""
    with pytest.raises(RunError, match=r"environment 0: info\['action_mask'\] has the shape .*, not \(3,\)"):
        masked(Discrete(3), mask)


@pytest.mark.parametrize("mask", [[-np.inf, 0.0], [np.nan, 1.0], [2, 0], ["a", "b"]], ids=str)
def test_masks_are_truths(mask: list[Any]) -> None:
    """Logits, NaN and the like say nothing about what is legal."""
    with pytest.raises(RunError, match="environment 0: info"):
        masked(Discrete(2), np.array(mask))


def test_a_playing_environment_needs_a_legal_action() -> None:
    """It is named by its number, whichever are looked at; one whose episode is over needs none."""
    arrays = masked(Discrete(2), [True, False], [True, True], [False, False])
    arrays.check_masks(np.array([0, 1]), np.zeros(2, bool))
    arrays.check_masks(ALL, np.array([False, False, True]))
    arrays.check_masks(np.array([2, 0]), np.array([True, False]))
    for index in (ALL, np.array([2, 0]), np.array([1, 2])):
        with pytest.raises(RunError, match=r"environment 2 gave .* without any legal action"):
            arrays.check_masks(index, np.zeros(len(np.arange(3)[index]), bool))


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(data=st.data())
def test_each_part_needs_a_legal_choice(data: st.DataObject) -> None:
    """Against a loop over the parts of a MultiDiscrete."""
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    row = data.draw(st.lists(st.booleans(), min_size=sum(sizes), max_size=sum(sizes)))
    starts = np.cumsum([0, *sizes])
    legal = all(any(row[start:end]) for start, end in pairwise(starts))
    arrays = masked(MultiDiscrete(sizes), np.array(row))
    if legal:
        arrays.check_masks(ALL, np.zeros(1, bool))
    else:
        with pytest.raises(RunError, match="without any legal action"):
            arrays.check_masks(ALL, np.zeros(1, bool))


# Choices among the observations.


@pytest.mark.parametrize("name", CHOICES)
def test_choices_in_range_pass(name: str) -> None:
    """The first, the last, and what is between."""
    space, first, last = CHOICES[name]
    arrays = make_arrays(space, count=50)
    space.seed(0)
    arrays.observations["observation"][:] = [first, last, *(space.sample() for _ in range(48))]
    arrays.check_choices(ALL)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("step", [-1, 1])
def test_choices_just_out_of_range_are_named(name: str, step: int) -> None:
    """With their environment and leaf, below the first choice as above the last, in the last part as in any."""
    space, first, last = CHOICES[name]
    arrays = make_arrays(space)
    arrays.observations["observation"][:] = first
    arrays.observations["observation"][1] = first if step < 0 else last
    arrays.check_choices(ALL)
    arrays.observations["observation"].reshape(3, -1)[1, -1] += step
    arrays.check_choices(np.array([0, 2]))
    for index in (ALL, np.array([1, 2]), np.array([0, 2, 1])):
        with pytest.raises(RunError, match=r"environment 1: observation 'observation' is .*, which is not in"):
            arrays.check_choices(index)


def test_boxes_have_no_choices() -> None:
    """Their bounds are not checked: many environments do not keep to them."""
    arrays = make_arrays(Box(0, 1, (2,), np.float32))
    arrays.observations["observation"][:] = 7.0
    arrays.check_choices(ALL)


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (MultiDiscrete([3, 2]), np.array([3, 0])),
        (Discrete(4, start=1), 0),
        (Discrete(4), 2.7),
        (MultiBinary(2), np.array([2, 0], np.int8)),
        (Box(-128, 127, (1,), np.int8), np.array([300])),
    ],
)
def test_values_that_a_space_of_integers_lacks_are_refused(space: Space[Any], value: object) -> None:
    """Choices out of range, fractions and overflows are named with their environment, never cast."""
    change = lambda _, result: (value, *result[1:]) if len(result) == 5 else result  # noqa: E731
    vector = SteppedVector([Scripted(space), Scripted(space, change=change)])
    vector.reset(*all_of(2))
    with pytest.raises(RunError, match="environment 1: observation 'observation'"):
        vector.step(np.zeros(2, np.int64))


# Success.


@pytest.mark.parametrize(
    ("success", "code"), [(None, -1), (True, 1), (False, 0), (np.True_, 1), (1, 1), (0.0, 0), (np.int8(1), 1)]
)
def test_success_has_a_code(success: Any, code: int) -> None:
    """1 and 0 for what is true or false, in whatever type; -1 where nothing is told."""
    assert success_code(success) == code


@pytest.mark.parametrize("success", ["yes", 0.5, np.nan, 2, np.ones(2), [True, False], {}], ids=str)
def test_what_is_neither_true_nor_false_is_no_success(success: Any) -> None:
    """It is shown, instead of being taken for true."""
    with pytest.raises(RunError, match=r"info\['success'\] must be true or false, not "):
        success_code(success)
