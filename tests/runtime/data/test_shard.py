import numpy as np
import trajectories
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.runtime.data.episode_snapshot import EpisodeSnapshot, encode_snapshots
from framework.runtime.data.shard import ShardState, digests, first_state, shard_environments
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.link.wire import decode, encode


def whole_actions(state: ShardState) -> list[list[int] | None]:
    """The actions of each environment's episode in progress, as lists, where they are kept."""
    return [None if pieces is None else np.concatenate(pieces).tolist() for pieces in state.actions]


def assert_equal_states(actual: ShardState, expected: ShardState) -> None:
    """Both states are the same, bit for bit."""
    actual_arrays, expected_arrays = actual.to_arrays(), expected.to_arrays()
    assert actual_arrays.keys() == expected_arrays.keys()
    for name, array in actual_arrays.items():
        assert (array.dtype, array.shape, array.tobytes()) == (
            expected_arrays[name].dtype,
            expected_arrays[name].shape,
            expected_arrays[name].tobytes(),
        )


def sequence(seed: int, patterns: list[np.ndarray]) -> list[Trajectory]:
    """Trajectories that follow one another: row T of ``first`` is row 0 of the next one."""
    collected, before = [], np.ones(patterns[0].shape[1], bool)
    for number, pattern in enumerate(patterns):
        first = pattern.copy()
        first[0] = before
        before = first[-1]
        collected.append(trajectories.make(seed + number, number=number, first=first))
    return collected


@settings(derandomize=True, deadline=None, max_examples=150, database=None)
@given(
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3)),
    count=st.integers(1, 5),
    chance=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    saved=st.lists(st.booleans(), min_size=5, max_size=5),
    limit=st.none() | st.integers(0, 9),
)
def test_advance_keeps_the_actions_of_the_episodes_in_progress(
    seed: int, shape: tuple[int, int], count: int, chance: float, saved: list[bool], limit: int | None
) -> None:
    """Against a step-by-step reference, whether or not the state was saved and loaded in between.

    Those of an episode with more than the limit are let go; the next episode is kept again.
    """
    rng = np.random.default_rng(seed)
    steps, environments = shape
    patterns = [rng.random((steps + 1, environments)) < chance for _ in range(count)]
    reference: list[list[int]] = [[] for _ in range(environments)]
    state: ShardState | None = None
    for trajectory, through_arrays in zip(sequence(seed, patterns), saved, strict=False):
        arrays = trajectory.arrays
        for t in range(steps):
            for n in range(environments):
                if arrays["first"][t, n]:
                    reference[n] = []
                reference[n].append(int(arrays["actions"][t, n]))
        for n in range(environments):
            if arrays["first"][steps, n]:
                reference[n] = []
        state = state.advance(trajectory, limit) if state else first_state(trajectory, limit)
        if through_arrays:
            state = ShardState.from_arrays(state.to_arrays())
        kept = [None if limit is not None and len(actions) > limit else actions for actions in reference]
        assert whole_actions(state) == kept
        assert state.number == trajectory.number + 1
        np.testing.assert_array_equal(state.episode, arrays["episode"])
        np.testing.assert_array_equal(state.memory["h"], arrays["memory_after/h"])
        last = {name: arrays[f"observations/{name}"][-1] for name in ("position", "camera/left")}
        np.testing.assert_array_equal(state.digest, digests(last))


def test_states_survive_the_wire() -> None:
    """A state's arrays come back bit for bit, through `ShardState.from_arrays` and through a message."""
    first = np.array([[1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0]])
    state = first_state(trajectories.make(first=first, number=4))
    assert_equal_states(ShardState.from_arrays(state.to_arrays()), state)
    frames = encode("directive", state.to_arrays(), shard=0, number=5, version=5, restore=True)
    message = decode([bytes(frame) for frame in frames], limit=1 << 20)
    assert_equal_states(ShardState.from_arrays(message.arrays), state)


def test_states_keep_the_shape_of_actions() -> None:
    """Vector actions keep their dimensions, also where an environment has not acted yet."""
    trajectory = trajectories.make(first=[[1, 1], [0, 0], [0, 1]])
    actions = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    state = first_state(Trajectory(0, 0, 0, trajectory.arrays | {"actions": actions}))
    loaded = ShardState.from_arrays(state.to_arrays())
    acted, fresh = (np.concatenate(pieces or ()) for pieces in loaded.actions)
    np.testing.assert_array_equal(acted, actions[:, 0])
    assert (fresh.shape, fresh.dtype) == ((0, 3), np.float32)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(
    seed=st.integers(0, 1000),
    chance=st.sampled_from([0.0, 0.1, 0.4]),
    taken=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=5),
    saved=st.booleans(),
    limit=st.none() | st.integers(0, 9),
)
def test_a_snapshot_stands_for_the_actions_before_it(
    seed: int, chance: float, taken: list[tuple[bool, bool]], saved: bool, limit: int | None
) -> None:
    """The newest one of the same episode and the actions since are kept; here a snapshot is all actions before it.

    Whoever has no use for it is told all actions of the episode, unless they are more than the limit.
    """
    rng = np.random.default_rng(seed)
    patterns = [rng.random((4, 2)) < chance for _ in taken]
    whole: list[list[int]] = [[], []]
    state: ShardState | None = None
    for trajectory, flags in zip(sequence(seed, patterns), taken, strict=True):
        arrays = trajectory.arrays
        for n in range(2):
            starts = np.flatnonzero(arrays["first"][:, n])
            recent = arrays["actions"][starts[-1] if starts.size else 0 :, n].tolist()
            whole[n] = recent if starts.size else whole[n] + recent
        snapshots = [
            EpisodeSnapshot(bytes(actions), sum(actions), len(actions)) if flag else None
            for flag, actions in zip(flags, whole, strict=True)
        ]
        complete = Trajectory(0, trajectory.number, 0, arrays | encode_snapshots(snapshots))
        state = state.advance(complete, limit) if state else first_state(complete, limit)
        state = ShardState.from_arrays(state.to_arrays()) if saved else state
        for n, (snapshot, since) in enumerate(zip(state.snapshots, whole_actions(state), strict=True)):
            before = [] if snapshot is None else list(snapshot.data)
            assert before + (since or []) == whole[n]
            assert snapshot is None or (snapshot.episode_return, snapshot.length) == (sum(before), len(before))
            assert since == [] or not flags[n]
            told = state.actions_since(n, None)
            fits = snapshot is None or limit is None or len(whole[n]) <= limit
            assert (None if told is None else told.tolist()) == (whole[n] if fits else None)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(
    dtype=st.sampled_from(["int8", "int16", "int32", "int64", "uint8", "uint64"]),
    values=st.lists(st.lists(st.integers(-3, 300), min_size=1, max_size=4), min_size=1, max_size=4),
    saved=st.booleans(),
)
def test_whole_numbers_take_a_byte_where_they_fit(dtype: str, values: list[list[int]], saved: bool) -> None:
    """Whatever dtype the environment takes, all come back as they were; those from 0 to 255 are a byte each."""
    limits = np.iinfo(dtype)
    actions = [np.clip(row, limits.min, min(limits.max, 300)).astype(dtype)[:, None] for row in values]
    state: ShardState | None = None
    for number, column in enumerate(actions):
        made = trajectories.make(number=number, first=np.zeros((len(column) + 1, 1)))
        trajectory = Trajectory(0, number, 0, made.arrays | {"actions": column})
        state = state.advance(trajectory) if state else first_state(trajectory)
        state = ShardState.from_arrays(state.to_arrays()) if saved else state
    assert state is not None
    whole = np.concatenate(actions)[:, 0]
    assert state.actions[0] is not None
    kept = np.concatenate(state.actions[0])
    assert state.action_dtype == dtype
    np.testing.assert_array_equal(kept.astype(state.action_dtype), whole)
    if whole.min() >= 0 and whole.max() <= 255:
        assert kept.dtype == np.uint8


def test_states_of_older_checkpoints_have_no_actions_before_snapshots() -> None:
    """Where nobody recorded them, only those who can load the snapshot go on."""
    some = EpisodeSnapshot(b"where it stood", 1.5, 2)
    made = trajectories.make(first=np.zeros((3, 2)))
    arrays = first_state(Trajectory(0, 0, 0, made.arrays | encode_snapshots([some, None]))).to_arrays()
    del arrays["before"], arrays["before_lengths"]
    state = ShardState.from_arrays(arrays)
    assert state.actions_since(0, None) is None
    since = [state.actions_since(n, snapshot) for n, snapshot in enumerate(state.snapshots)]
    assert [None if actions is None else len(actions) for actions in since] == [0, 2]


def test_states_of_older_checkpoints_keep_their_actions() -> None:
    """They do not tell the dtype that the environment takes: it is that of the actions themselves."""
    arrays = first_state(trajectories.make(first=np.eye(3, 2))).to_arrays()
    del arrays["action"]
    arrays["actions"] = arrays["actions"].astype(np.int64)
    assert ShardState.from_arrays(arrays).action_dtype == np.int64


def test_states_own_their_memory() -> None:
    """A state holds nothing of the trajectory's arrays: a frame is free again when it has been trained on."""
    trajectory = trajectories.make(first=np.ones((4, 2)))
    state = first_state(trajectory)
    state_arrays = [
        state.episode,
        state.digest,
        *state.memory.values(),
        *(piece for pieces in state.actions for piece in pieces or ()),
    ]
    assert not any(
        np.shares_memory(state_array, array) for state_array in state_arrays for array in trajectory.arrays.values()
    )


def test_digests_differ_by_environment() -> None:
    """Each row is its environment's own: equal rows have equal digests, and one changed bit changes one digest."""
    rng = np.random.default_rng(0)
    observations = {"a": rng.random((4, 3)), "b/c": rng.integers(0, 9, (4, 2, 2), np.uint8)}
    observations = {name: np.concatenate([array, array[:1]]) for name, array in observations.items()}
    before = digests(observations)
    assert (before.shape, before.dtype) == ((5, 16), np.uint8)
    assert len({row.tobytes() for row in before}) == 4
    assert (before[0] == before[4]).all()
    observations["b/c"][2, 1, 0] ^= 1
    assert (digests(observations) != before).any(axis=1).tolist() == [False, False, True, False, False]


def test_digests_do_not_depend_on_names_order_or_memory() -> None:
    """The order of the dictionary and the layout in memory are no part of an observation."""
    rng = np.random.default_rng(0)
    first, second = rng.random((4, 3)), rng.random((4, 2))
    expected = digests({"a": first, "b": second})
    np.testing.assert_array_equal(digests({"b": second, "a": np.asfortranarray(first)}), expected)


def test_shards_are_consecutive_environments() -> None:
    """Every environment is in exactly one shard."""
    assert shard_environments(6, 2) == [range(2), range(2, 4), range(4, 6)]
    assert shard_environments(4, 4) == [range(4)]
