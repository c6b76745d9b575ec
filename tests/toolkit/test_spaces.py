import copy

import numpy as np
import pytest
from environments import SPACES
from gymnasium import Space, spaces
from gymnasium.vector.utils import concatenate, create_empty_array
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import FrameworkError
from framework.toolkit.spaces import (
    TokenDiscrete,
    action_spec,
    array_spec,
    check_action_space,
    choices,
    environment_actions,
    flat_space,
    flatten,
    flatten_batch,
    mask_groups,
    mask_size,
    truths,
)

VECTOR = spaces.Box(-1, 1, (3,), np.float32)
ACTION_SPACES = [
    spaces.Discrete(3),
    spaces.Discrete(3, start=5),
    spaces.MultiDiscrete([2, 4]),
    spaces.MultiDiscrete([[2, 4], [3, 3]]),
    spaces.MultiBinary(3),
    spaces.Box(-1, 2, (2,), np.float32),
    spaces.Box(-1, 2, (2, 3), np.float64),
]

_leaves = st.one_of(
    st.builds(
        lambda shape, dtype: spaces.Box(0, 1, shape, dtype),
        st.lists(st.integers(1, 3), max_size=3).map(tuple),
        st.sampled_from([np.float32, np.float64, np.uint8, np.int32]),
    ),
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 5), st.integers(-3, 3)),
    st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 4), min_size=1, max_size=3)),
    st.builds(spaces.MultiBinary, st.integers(1, 3)),
)
_trees = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3).map(spaces.Dict),
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
    ),
    max_leaves=6,
)


@given(_trees, st.integers(0, 2**31 - 1))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_samples_of_any_nested_space_have_the_declared_dtypes_and_shapes(space: Space, seed: int) -> None:
    """What `flatten` gives is what `array_spec` says, and each leaf's value is in its space."""
    space.seed(seed)
    leaves = flat_space(space)
    values = flatten(space, space.sample())
    assert list(values) == list(leaves)
    for name, leaf in leaves.items():
        assert (values[name].dtype, values[name].shape) == array_spec(leaf)
        assert leaf.contains(values[name].astype(leaf.dtype))


def test_leaves_are_named_by_their_path() -> None:
    """A plain space is "observation"; keys of Dict and positions of Tuple are joined by slashes."""
    assert list(flat_space(VECTOR)) == ["observation"]
    assert list(flat_space(spaces.Tuple((VECTOR, VECTOR)))) == ["0", "1"]
    assert list(flat_space(SPACES["nested"])) == ["eyes/left", "eyes/right", "rest/0", "rest/1"]


def test_a_discrete_keeps_its_start() -> None:
    """Discrete values are int64 scalars, not shifted."""
    space = spaces.Discrete(3, start=-1)
    assert array_spec(space) == (np.int64, ())
    assert flat_space(space)["observation"].start == -1
    assert flatten(space, np.int64(-1))["observation"] == -1


@pytest.mark.parametrize(
    "leaf",
    [
        spaces.Text(5),
        spaces.Sequence(VECTOR),
        spaces.Graph(VECTOR, None),
        spaces.OneOf((VECTOR, spaces.Discrete(2))),
    ],
    ids=lambda leaf: type(leaf).__name__,
)
def test_other_spaces_are_refused_by_name(leaf: Space) -> None:
    """The error names the leaf and its space."""
    with pytest.raises(FrameworkError, match=rf"'camera/mission' has the unsupported space {type(leaf).__name__}"):
        flat_space(spaces.Dict({"camera": spaces.Dict({"mission": leaf, "image": VECTOR})}))


def test_ambiguous_and_empty_spaces_are_refused() -> None:
    """Two leaves never get the same name, and there is always one."""
    inner = spaces.Dict({"b": VECTOR})
    with pytest.raises(FrameworkError, match="both named 'a/b'"):
        flat_space(spaces.Dict({"a": inner, "a/b": VECTOR}))
    with pytest.raises(FrameworkError, match="empty"):
        flat_space(spaces.Dict({}))


@pytest.mark.parametrize(
    ("space", "value", "message"),
    [
        (VECTOR, np.zeros(2, np.float32), r"'observation' is float32\[2\], but its space declares float32\[3\]"),
        (VECTOR, np.float32(1), r"is float32\[\]"),
        (spaces.Box(0, 255, (2,), np.uint8), np.zeros(2), "is float64"),
        (spaces.Box(0, 255, (2,), np.uint8), np.zeros(2, np.int64), "is int64"),
        (spaces.Discrete(3), 1.0, "is float64"),
        (spaces.Dict({"a": VECTOR}), {"b": np.zeros(3)}, "no 'a'"),
        (spaces.Tuple((VECTOR, VECTOR)), (np.zeros(3),), "no '1'"),
        (spaces.Dict({"a": VECTOR}), None, "no 'a'"),
    ],
)
def test_values_that_do_not_fit_are_refused(space: Space, value: object, message: str) -> None:
    """A wrong shape, a lossy dtype or a missing part is named, never broadcast or truncated."""
    with pytest.raises(FrameworkError, match=message):
        flatten(space, value)


@pytest.mark.parametrize(
    ("space", "values", "message"),
    [
        (VECTOR, np.zeros(3, np.float32), r"'observation' is float32\[3\], but its space declares float32\[3, 3\]"),
        (VECTOR, np.float32(0), r"declares float32\[1, 3\]"),
        (spaces.Dict({"a": VECTOR, "b": VECTOR}), {"a": np.zeros((2, 3)), "b": np.zeros((4, 3))}, r"'b' is .*\[4, 3\]"),
        (spaces.Dict({"a": VECTOR}), np.zeros((2, 3)), "no 'a'"),
    ],
)
def test_batches_that_do_not_fit_are_refused(space: Space, values: object, message: str) -> None:
    """A single observation, leaves of several sizes, and a missing part, by name."""
    with pytest.raises(FrameworkError, match=message):
        flatten_batch(space, values)


def test_batches_are_flattened_row_by_row() -> None:
    """As each observation by itself, in batches as Gymnasium makes them."""
    space = spaces.Dict({"a": VECTOR, "b": spaces.Tuple((spaces.Discrete(3, start=1), spaces.MultiBinary(2)))})
    space.seed(0)
    values = [space.sample() for _ in range(4)]
    batch = flatten_batch(space, concatenate(space, values, create_empty_array(space, 4)))
    rows = [flatten(space, value) for value in values]
    assert {name: (array.dtype, array.tolist()) for name, array in batch.items()} == {
        name: (rows[0][name].dtype, [row[name].tolist() for row in rows]) for name in rows[0]
    }


def test_doubles_may_stand_for_floats() -> None:
    """Environments that declare float32 and give float64 are common, and are cast."""
    assert flatten(VECTOR, np.ones(3))["observation"].dtype == np.float32


@pytest.mark.parametrize("space", ACTION_SPACES, ids=str)
def test_action_spaces_that_are_understood(space: Space) -> None:
    """Actions of the declared dtype and shape, given to the environment, are in its space."""
    check_action_space(space)
    dtype, shape = action_spec(space)
    space.seed(0)
    batch = np.array([space.sample() for _ in range(4)]).astype(dtype)
    assert batch.shape == (4, *shape)
    given_to = environment_actions(space, batch)
    assert all(space.contains(action) for action in (given_to.tolist() if shape == () else given_to))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (2,), np.uint8),
        spaces.Box(-1, 1, (), np.float32),
        spaces.Text(3),
    ],
    ids=lambda space: type(space).__name__,
)
def test_other_action_spaces_are_refused(space: Space) -> None:
    """The error shows the space."""
    with pytest.raises(FrameworkError, match=type(space).__name__):
        check_action_space(space)


def test_box_actions_are_clipped_to_each_bound() -> None:
    """Policies may act outside the bounds; the environment never sees it."""
    space = spaces.Box(np.array([-1, 0], np.float32), np.array([1, np.inf], np.float32))
    actions = np.array([[-3, -3], [3, 3], [0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(environment_actions(space, actions), [[-1, 0], [1, 3], [0.5, 0.5]])


def test_masks_have_an_entry_for_each_choice() -> None:
    """Discrete n, MultiDiscrete the sum over nvec, none for MultiBinary and Box."""
    assert mask_size(spaces.Discrete(4, start=2)) == 4
    assert mask_size(spaces.MultiDiscrete([[2, 3], [4, 1]])) == 10
    assert mask_groups(spaces.MultiDiscrete([2, 3])) == (2, 3)
    assert mask_size(spaces.MultiBinary(3)) is None
    assert mask_size(VECTOR) is None


def test_actions_about_tokens() -> None:
    """They are Discrete, and equal where they are about the same; each needs one token and one verb."""
    space = TokenDiscrete((0, 2, 2), (0, 0, 1))
    assert isinstance(space, spaces.Discrete)
    assert space.n == 3
    assert "verbs=2" in repr(space)
    assert space == copy.deepcopy(space) == TokenDiscrete([0, 2, 2], [0, 0, 1])
    assert space not in (TokenDiscrete((0, 2, 2), (0, 1, 1)), spaces.Discrete(3))
    assert copy.deepcopy(space).tokens == (0, 2, 2)
    for tokens, verbs in (((0, 1), (0,)), ((0, -1), (0, 0)), ((0,), (-1,)), ((), ())):
        with pytest.raises(ValueError, match="one token and one verb"):
            TokenDiscrete(tokens, verbs)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3),
        spaces.MultiDiscrete([3, 3]),
        spaces.MultiBinary(2),
        spaces.Box(-1, 1, (2,), np.float32),
    ],
)
def test_environments_get_copies_of_actions(space: Space) -> None:
    """An environment that writes into its actions changes nothing that is recorded."""
    dtype, shape = action_spec(space)
    actions = np.ones((4, *shape), dtype)
    environment_actions(space, actions)[:] = 0
    assert (actions == 1).all()


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 1000), st.integers(-(2**62), 2**62), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_choices_are_found_by_one_comparison(count, start, values):
    """Without a sign, less the first choice: just those that the space has are below their number."""
    leaf = spaces.Discrete(count, start=start)
    near = [start + offset for offset in (-count - 1, -1, 0, count - 1, count, 2 * count)]
    values = np.array([*values, *near], np.int64)
    first, number = choices(leaf)
    inside = values.view(first.dtype) - first < number
    assert inside.tolist() == [start <= value < start + count for value in values.tolist()]


@pytest.mark.parametrize(
    ("leaf", "values", "inside"),
    [
        (spaces.MultiDiscrete([2, 3], start=[-1, 5]), [[-1, 5], [0, 7], [1, 5], [0, 8], [-2, 5]], [1, 1, 0, 0, 0]),
        (spaces.MultiDiscrete([2, 3], dtype=np.int32), [[1, 2], [2, 0], [-1, 0]], [1, 0, 0]),
        (spaces.MultiBinary(2), [[0, 1], [2, 0], [0, -1]], [1, 0, 0]),
    ],
)
def test_choices_of_several_parts(leaf, values, inside):
    """Each part has its own."""
    first, number = choices(leaf)
    batch = np.array(values, leaf.dtype).view(first.dtype)
    assert (batch - first < number).all(axis=1).tolist() == [bool(flag) for flag in inside]


def test_a_box_has_no_choices():
    """Numbers may be beyond its bounds."""
    assert choices(spaces.Box(0, 1, (2,))) is None


@pytest.mark.parametrize("value", ["yes", "", None, ["1", "0"], 1j, object(), [np.nan], {}])
def test_what_is_no_number_is_no_truth(value):
    """Whatever `bool` says of it."""
    with pytest.raises(FrameworkError, match="true or false"):
        truths("mask", value)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float32, bool])
@settings(derandomize=True, deadline=None, max_examples=60)
@given(values=st.lists(st.integers(-128, 127) | st.integers(0, 1), max_size=6))
def test_truths_are_zeros_and_ones(dtype, values):
    """Of every kind of number; what is anything else is refused."""
    array = np.array(values).astype(dtype)
    if set(array.tolist()) <= {0, 1}:
        assert truths("mask", array).tolist() == [bool(value) for value in array.tolist()]
        assert truths("mask", array).dtype == bool
    else:
        with pytest.raises(FrameworkError, match="true or false"):
            truths("mask", array)
