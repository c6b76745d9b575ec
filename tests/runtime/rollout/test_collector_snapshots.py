"""A collector of environments that offer snapshots; `test_collector` has all that they do not change."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from snapshotting import Remembered
from tiny import Policy

from framework.runtime.data.episode_snapshot import EpisodeSnapshot, decode_snapshots
from framework.runtime.data.shard import ShardState, first_state
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.disk import trust
from framework.runtime.rollout import collector as module
from framework.runtime.rollout.collector import Collector
from framework.runtime.rollout.stepped_vector import SteppedVector

STEPS, ENDLESS = 6, 2**40
NUMBERS = range(6, 9)  # of the shard's environments in the run
TASKS = [f"task-{index}" for index in range(3)]


class Shard:
    """A collector and its environments."""

    def __init__(self, state: ShardState | None = None, longest: int = ENDLESS):
        self.environments = [Remembered(longest) for _ in NUMBERS]
        self.collector = Collector(7, 2, NUMBERS, SteppedVector(self.environments), STEPS)
        self.lost = self.collector.restore(state, Policy())

    def collected(self, count: int, tasks: list[Any] | None = None) -> list[Trajectory]:
        return [self.collector.collect(Policy(), 0, tasks) for _ in range(count)]


@pytest.mark.parametrize("interval", [1, 8, 20])
@pytest.mark.parametrize("tasks", [None, TASKS], ids=["", "tasks"])
def test_whoever_takes_over_collects_the_same(
    monkeypatch: pytest.MonkeyPatch, tasks: list[Any] | None, interval: int
) -> None:
    """The same bits, snapshots included; no more is played than the steps since the last one that was due."""
    monkeypatch.setattr(module, "INTERVAL", interval)
    trajectories = Shard(longest=25).collected(8, tasks)
    assert any(np.any(trajectory.arrays["snapshots/bytes"] > 0) for trajectory in trajectories)
    assert any(trajectory.arrays["final_index"].size for trajectory in trajectories)
    states = itertools.accumulate(trajectories[1:-1], ShardState.advance, initial=first_state(trajectories[0]))
    for number, state in enumerate(states, 1):
        heir = Shard(ShardState.from_arrays(state.to_arrays()), longest=25)
        assert heir.lost == []
        lengths = [len(np.concatenate(pieces or ())) for pieces in state.actions]
        assert heir.environments[0].stepped == max(lengths) < interval + STEPS
        following = trajectories[number:]
        for again, expected in zip(heir.collected(len(following), tasks), following, strict=True):
            assert again.arrays.keys() == expected.arrays.keys()
            for name, array in again.arrays.items():
                assert array.tobytes() == expected.arrays[name].tobytes(), name


def test_snapshots_are_due_at_multiples_of_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the end of the trajectory in which an episode reaches one, with its return and length."""
    monkeypatch.setattr(module, "INTERVAL", 8)
    trajectories = Shard().collected(5)
    taken = [decode_snapshots(trajectory.arrays) for trajectory in trajectories]
    lengths = [[snapshot and snapshot.length for snapshot in snapshots] for snapshots in taken]
    assert lengths == [[None] * 3, [12] * 3, [18] * 3, [24] * 3, [None] * 3]
    rewards = np.concatenate([trajectory.arrays["rewards"] for trajectory in trajectories[:4]]).astype(np.float64)
    returns = [snapshot and snapshot.episode_return for snapshot in taken[3]]
    assert returns == [list(itertools.accumulate(column))[-1] for column in rewards.T.tolist()]


@pytest.mark.parametrize(
    "data",
    [b"forged", trust.seal(b"{"), trust.seal(json.dumps([1, None, [1]]).encode())],
    ids=["forged", "refused", "wrong"],
)
def test_a_snapshot_that_leads_elsewhere_is_found_out(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Its environment starts a new episode; the others go on."""
    monkeypatch.setattr(module, "INTERVAL", 1)
    (trajectory,) = Shard().collected(1)
    state = first_state(trajectory)
    snapshots = (state.snapshots[0], EpisodeSnapshot(data, 0.0, 1), state.snapshots[2])
    heir = Shard(evolve(state, snapshots=snapshots, before=(None,) * 3))
    assert heir.lost == [NUMBERS[1]]
    (trajectory,) = heir.collected(1)
    assert trajectory.arrays["first"][0].tolist() == [False, True, False]


def test_a_snapshot_that_nobody_can_load_is_found_out() -> None:
    """As where the environment offered snapshots once, and does no longer."""
    (trajectory,) = Shard().collected(1)
    state = evolve(first_state(trajectory), snapshots=(EpisodeSnapshot(b"", 0.0, 1),) * 3)
    environments = [Remembered(ENDLESS) for _ in NUMBERS]
    vector = SteppedVector(environments)
    vector.snapshots = None
    nothing: Any = ((np.zeros(0, np.uint8),),) * 3
    assert Collector(7, 2, NUMBERS, vector, STEPS).restore(evolve(state, actions=nothing), Policy()) == list(NUMBERS)


@pytest.mark.parametrize("tasks", [None, TASKS], ids=["", "tasks"])
@pytest.mark.parametrize("limit", [None, 24, 23])
def test_another_account_plays_whole_episodes_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int | None, tasks: list[Any] | None
) -> None:
    """And goes on with the same bits, up to the number of steps that are recorded; beyond it episodes are lost."""
    monkeypatch.setattr(module, "INTERVAL", 8)
    trajectories = Shard().collected(6, tasks)
    state = first_state(trajectories[0], limit)
    for trajectory in trajectories[1:4]:
        state = ShardState.from_arrays(state.advance(trajectory, limit).to_arrays())
    assert all(state.snapshots)
    assert Shard(state).lost == []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    heir = Shard(state)
    assert heir.lost == (list(NUMBERS) if limit == 23 else [])
    assert heir.environments[0].loaded == 0
    if limit == 23:
        return
    for again, expected in zip(heir.collected(2, tasks), trajectories[4:], strict=True):
        for name, array in again.arrays.items():
            if name != "snapshots/data":  # which is sealed with another key
                assert array.tobytes() == expected.arrays[name].tobytes(), name
