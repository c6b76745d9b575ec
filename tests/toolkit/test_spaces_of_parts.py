"""Actions of several parts: nested to flat and back, and their masks."""

import copy
from typing import Any

import numpy as np
import pytest
from gymnasium import Space, spaces
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import FrameworkError
from framework.testing.legal import is_legal, sample_legal, structured
from framework.toolkit.spaces import (
    ParameterizedActions,
    action_parts,
    action_spec,
    check_action_space,
    environment_actions,
    flat_action,
    flat_mask,
    mask_groups,
    mask_size,
    single_actions,
)

BOX = spaces.Box(-1, 2, (2,), np.float32)
SPACE = spaces.Dict(
    {
        "arm": spaces.Tuple((spaces.Discrete(3, start=7), spaces.Box(-1, 1, (2, 2), np.float64))),
        "bits": spaces.MultiBinary(2),
        "picks": spaces.MultiDiscrete([[2, 3]], start=[[-5, 1]]),
    }
)

_leaves = st.one_of(
    st.builds(
        lambda shape, dtype: spaces.Box(-1, 2, shape, dtype),
        st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple),
        st.sampled_from([np.float32, np.float64]),
    ),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 2**40)),
    st.builds(
        lambda nvec, start: spaces.MultiDiscrete(nvec, start=[start] * len(nvec)),
        st.lists(st.integers(1, 4), min_size=1, max_size=3),
        st.integers(-3, 3),
    ),
    st.builds(spaces.MultiBinary, st.integers(1, 3)),
)
_names = st.sampled_from("abcd")
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.dictionaries(_names, inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(_names, st.none() | inner, min_size=1, max_size=3).map(ParameterizedActions),
    ),
    max_leaves=6,
).filter(lambda space: isinstance(space, spaces.Dict | spaces.Tuple))


def equal(one: Any, other: Any) -> bool:
    """Whether two actions are the same, but for rounding to float32."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return np.shape(one) == np.shape(other) and np.allclose(one, other, atol=1e-6, rtol=0)


@given(_trees, st.integers(0, 2**31 - 1))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_nested_actions_become_flat_and_nested_again(space: Space, seed: int) -> None:
    """Whatever the nesting: one float32 array, of which the environment gets what it would have sampled."""
    space.seed(seed)
    samples = [space.sample() for _ in range(3)]
    flat = np.stack([flat_action(space, sample) for sample in samples])
    dtype, shape = action_spec(space)
    assert (flat.dtype, flat.shape) == (dtype, (3, *shape)) == (np.float32, (3, *shape))
    actions = single_actions(space, flat)
    assert all(space.contains(action) for action in actions)
    assert all(map(equal, actions, samples))
    batch = concatenate(space, samples, create_empty_array(space, 3))
    assert equal(environment_actions(space, flat), batch)
    assert all(part.columns.stop <= shape[0] for part in action_parts(space).values())


@given(_trees, st.integers(0, 2**31 - 1))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_masks_by_part_become_flat(space: Space, seed: int) -> None:
    """They have a place for each choice, in the order of the parts, and what they allow is what is sampled."""
    rng = np.random.default_rng(seed)
    groups = [rng.permutation(np.arange(size) <= rng.integers(size)) for size in mask_groups(space)]
    mask = np.concatenate([np.empty(0, bool), *groups])
    assert len(mask) == (mask_size(space) or 0)
    if not groups:
        return
    np.testing.assert_array_equal(flat_mask(space, structured(space, mask)), mask)
    np.testing.assert_array_equal(flat_mask(space, mask), mask)
    space.seed(seed)
    action = sample_legal(space, mask)
    assert is_legal(space, action, mask)
    assert is_legal(space, action, ~mask) == all(group.size == 0 for group in groups)


def test_parts_lie_side_by_side() -> None:
    """By the names that observations have, choices numbered from 0, others as they are."""
    parts = action_parts(SPACE)
    assert list(parts) == ["arm/0", "arm/1", "bits", "picks"]
    assert [part.columns for part in parts.values()] == [slice(0, 1), slice(1, 5), slice(5, 7), slice(7, 9)]
    assert [part.mask for part in parts.values()] == [slice(0, 3), slice(3, 3), slice(3, 3), slice(3, 8)]
    action = {
        "arm": (9, np.array([[0.5, 1.0], [-1.0, 0.0]])),
        "bits": np.array([0, 1], np.int8),
        "picks": np.array([[-4, 3]]),
    }
    assert flat_action(SPACE, action).tolist() == [2, 0.5, 1, -1, 0, 0, 1, 1, 2]
    assert (mask_groups(SPACE), mask_size(SPACE)) == ((3, 2, 3), 8)
    assert (action_parts(spaces.Discrete(2)), mask_size(spaces.Tuple([BOX]))) == ({}, None)


def test_real_parts_are_clipped_and_nothing_is_shared() -> None:
    """Each environment may write into its action."""
    flat = np.full((2, 9), 5, np.float32)
    flat[:, [0, 5, 6, 7, 8]] = 1
    first, second = single_actions(SPACE, flat)
    assert first["arm"][1].tolist() == [[1, 1], [1, 1]]
    first["arm"][1][:] = 0
    assert flat[0, 1] == 5
    assert second["arm"][1].tolist() == [[1, 1], [1, 1]]
    assert environment_actions(SPACE, flat)["arm"][1].dtype == np.float64
    assert batch_space(SPACE, 2).contains(environment_actions(SPACE, flat))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ({}, [1] * 8),
        ({"bits": None, "picks": None}, [1] * 8),
        ({"arm": ([1, 0, 1], None)}, [1, 0, 1, 1, 1, 1, 1, 1]),
        ({"arm": (None, None), "picks": ([0, 1], [0, 0, 1])}, [1, 1, 1, 0, 1, 0, 0, 1]),
        ({"picks": np.array([0, 1, 0, 0, 1])}, [1, 1, 1, 0, 1, 0, 0, 1]),
    ],
)
def test_what_is_left_out_of_a_mask_is_legal(mask: Any, expected: list[int]) -> None:
    """A part that is not there, or None, says nothing."""
    assert flat_mask(SPACE, mask).tolist() == [bool(value) for value in expected]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"arms": ([1, 1, 1], None)}, r"info\['action_mask'\] is .* it must have the parts of Dict"),
        ({"arm": ([1, 1, 1],)}, r"info\['action_mask'\]\['arm'\] is .* it must have the parts of Tuple"),
        ({"arm": [1, 1, 1]}, r"\['arm'\] is \[1, 1, 1\]: it must have the parts of Tuple"),
        ({"arm": ([1, 1], None)}, r"info\['action_mask'\]\['arm'\]\[0\] has the shape \(2,\), not \(3,\)"),
        ({"bits": [1, 1]}, r"\['bits'\] has the shape \(2,\), not \(0,\)"),
        ({"arm": ([1, 1, 2], None)}, r"\['arm'\]\[0\] is .* must hold true or false"),
        (([1, 1, 1], None), "it must have the parts of Dict"),
        (np.ones(7), r"has the shape \(7,\), not \(8,\)"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: Any, message: str) -> None:
    """The part is named."""
    with pytest.raises(FrameworkError, match=message):
        flat_mask(SPACE, mask)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Dict({"a": spaces.Box(0, 9, (2,), np.uint8)}), "part 'a' of the action space is Box"),
        (spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, ()))), "part '1' of the action space is Box"),
        (spaces.Dict({"a": spaces.Text(3)}), "action 'a' has the unsupported space Text"),
        (spaces.Dict({"a": spaces.Discrete(2**24 + 1)}), r"has more than 2\*\*24 choices"),
        (spaces.Dict({"a": spaces.Dict({})}), "the action space Dict.* is empty"),
        (spaces.Dict({"a/b": BOX, "a": spaces.Dict({"b": BOX})}), "two parts of the action space are both named 'a/b'"),
    ],
)
def test_parts_that_no_policy_acts_in_are_refused(space: Space, message: str) -> None:
    """They are named; so are choices that float32 cannot tell apart."""
    with pytest.raises(FrameworkError, match=message):
        check_action_space(space)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"arm": (7, np.zeros((2, 2)))}, "the action has no 'bits'"),
        ({"arm": (7.5, np.zeros((2, 2)))}, "part 'arm/0' of the action is .*7.5.*, which is not in Discrete"),
        ({"arm": (7, np.zeros(4))}, "part 'arm/1'"),
    ],
)
def test_actions_without_a_part_are_refused(action: Any, message: str) -> None:
    """So are those of another shape, or with other numbers."""
    with pytest.raises(FrameworkError, match=message):
        flat_action(SPACE, action)


def test_parameterized_actions() -> None:
    """A Dict of the choice and each action's parameters, which matter where it was chosen; equal to its like."""
    space = ParameterizedActions({"kick": BOX, "wait": None, "act": ParameterizedActions({"a": BOX})})
    assert list(space) == ["choice", "kick", "act"]
    assert space["choice"] == spaces.Discrete(3)
    conditions = {name: part.conditions for name, part in action_parts(space).items()}
    assert conditions == {
        "choice": (),
        "kick": (("choice", 0),),
        "act/choice": (("choice", 2),),
        "act/a": (("choice", 2), ("act/choice", 0)),
    }
    assert space == copy.deepcopy(space)
    assert space not in (spaces.Dict(space.spaces), ParameterizedActions({"wait": None, "kick": BOX, "act": BOX}))
    assert (
        repr(ParameterizedActions({"go": BOX, "wait": None})) == f"ParameterizedActions({{'go': {BOX}, 'wait': None}})"
    )
    for parameters in ({}, {"choice": None}):
        with pytest.raises(ValueError, match="needs the name of an action"):
            ParameterizedActions(parameters)
