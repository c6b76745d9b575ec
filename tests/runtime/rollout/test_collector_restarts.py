"""Collectors of environments that raise and are made anew, against environments played one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tiny
from crashing import Crashing, raises
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Policy

from framework.errors import EnvironmentFailed
from framework.runtime.data.failures import TOLD
from framework.runtime.data.seeds import episode_seed, task_order_seed
from framework.runtime.data.shard import ShardState, first_state
from framework.runtime.data.tasks import in_order
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.rollout.collector import Collector
from framework.runtime.rollout.stepped_vector import SteppedVector

SHARD, STEPS, LONGEST = 2, 6, 5
NUMBERS = range(6, 9)  # of the shard's environments in the run
ARRAYS = ("observations/observation", "first", "rewards", "terminated", "truncated", "final_index", "episode")
ARRAYS += ("final_observations/observation", "extras/after", "extras/final_reward")


def make() -> Crashing:
    return Crashing(LONGEST)


def collector(run: int, make: Any = make) -> Collector:
    return Collector(run, SHARD, NUMBERS, SteppedVector([make() for _ in NUMBERS], make), STEPS)


def collected(run: int, count: int, tasks: Any = None) -> list[Trajectory]:
    """The first trajectories of a run."""
    collecting = collector(run)
    assert collecting.restore(None, Policy()) == []
    return [collecting.collect(Policy(), number, tasks and tasks(number)) for number in range(count)]


class Reference:
    """One environment of the shard, played from the actions of its trajectories: slow and plain."""

    def __init__(self, run: int, number: int):
        self.run, self.number, self.episode = run, number, -1
        self.task: Any = None
        self.actions: list[int] = []
        self.seed, self.total = 0, 0.0
        self.failures: list[tuple[int, int, str]] = []

    def observation(self) -> list[float]:
        """Of an episode that failed: the one before."""
        actions = self.actions[:-1] if self.actions and self.failed() else self.actions
        observation: list[float] = tiny.shown(self.seed, self.task, actions).tolist()
        return observation

    def failed(self) -> bool:
        return raises(self.seed, self.task, self.actions)

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, and whether the episode was terminated or truncated."""
        self.actions.append(action)
        count = len(self.actions)
        if self.failed():
            self.failures.append((self.number, self.episode, "step"))
            return 0.0, False, True
        reward = float(np.float32(tiny.reward(self.seed, self.task, self.actions)))
        self.total += reward
        over = count == tiny.length(self.seed, LONGEST)
        return reward, over and count % 2 == 1, over and count % 2 == 0

    def row(self, t: int) -> dict[str, Any]:
        """The row of an episode that ends with step ``t``."""
        count, failed = len(self.actions), self.failed()
        values = {"step": t, "environment": self.number, "number": self.episode, "return": self.total, "length": count}
        return {**values, "success": -1 if failed else int(count > 3), "error": int(failed), "task": self.task}


def played(references: list[Reference], actions: list[list[int]], upcoming: Any) -> tuple[dict[str, Any], list[Any]]:
    """Some arrays of the trajectory with these actions, and the rows of the episodes that end in it."""
    arrays: dict[str, Any] = {name: [] for name in ARRAYS}
    rows = []
    for t in range(len(actions) + 1):
        arrays["observations/observation"].append([reference.observation() for reference in references])
        arrays["first"].append([not reference.actions for reference in references])
        if t == len(actions):
            break
        arrays["extras/after"].append([len(reference.actions) + 1 for reference in references])
        steps = [reference.step(action) for reference, action in zip(references, actions[t], strict=True)]
        for name, values in zip(("rewards", "terminated", "truncated"), zip(*steps, strict=True), strict=True):
            arrays[name].append(list(values))
        ended = [n for n, (_, *over) in enumerate(steps) if any(over)]
        for n in ended:
            arrays["final_index"].append(t * len(references) + n)
            arrays["final_observations/observation"].append(references[n].observation())
            arrays["extras/final_reward"].append(steps[n][0])
            rows.append(references[n].row(t))
        begin([references[n] for n in ended], upcoming)
    arrays["episode"] = [reference.episode for reference in references]
    return arrays, rows


def begin(references: list[Reference], upcoming: Any) -> None:
    """The next episodes; where some cannot be reset, those after them."""
    for reference in references:
        reference.episode, reference.task = reference.episode + 1, next(upcoming)
        reference.seed = episode_seed(reference.run, reference.number, reference.episode)
        reference.actions, reference.total = [], 0.0
    unlucky = [reference for reference in references if reference.failed()]
    for reference in unlucky:
        reference.failures.append((reference.number, reference.episode, "reset"))
    if unlucky:
        begin(unlucky, upcoming)


def tasks(number: int) -> list[str]:
    return [f"{number}-{index}" for index in range(4)]


def compare(run: int, trajectories: list[Trajectory]) -> list[str]:
    """Check a shard's trajectories, from its first on, against references; returns in which calls any failed."""
    references = [Reference(run, number) for number in NUMBERS]
    calls: list[str] = []
    for number, trajectory in enumerate(trajectories):
        upcoming = in_order(tasks(number), task_order_seed(run, SHARD, number))
        if number == 0:
            begin(references, upcoming)
        arrays, rows = played(references, trajectory.arrays["actions"].tolist(), upcoming)
        assert {name: trajectory.arrays[name].tolist() for name in ARRAYS} == arrays
        assert trajectory.episodes() == rows
        assert trajectory.tasks() == tuple(reference.task for reference in references)
        failed = [failure for reference in references for failure in reference.failures]
        told = [(failure.environment, failure.episode, failure.call) for failure in trajectory.failures().told]
        assert trajectory.failures().count == len(failed)
        assert len(told) == min(len(failed), TOLD)
        assert set(told) <= set(failed)
        calls += [call for _, _, call in failed]
        for reference in references:
            reference.failures.clear()
    return calls


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(run=st.integers(0, 10_000))
def test_failed_episodes_are_truncated_and_followed_by_the_next(run: int) -> None:
    """Each number of each array, as environments played one by one have them: reward 0 and the observation before.

    An episode that cannot be reset is skipped, with its seed and its task; two in a row end the run.
    """
    try:
        trajectories = collected(run, 4, tasks)
    except EnvironmentFailed as error:
        assert "failed in reset: OSError: gone after 0 steps" in str(error)  # noqa: PT017  # only now and then
        return
    compare(run, trajectories)


def test_both_calls_fail_and_the_run_goes_on() -> None:
    """What the test above is about does happen."""
    calls = compare(7, collected(7, 8, tasks))
    assert calls.count("step") > 10
    assert calls.count("reset") > 1


# Restoring.


def states(trajectories: list[Trajectory]) -> list[ShardState]:
    """The state after each of them, as it comes from a checkpoint."""
    following = itertools.accumulate(trajectories[1:], ShardState.advance, initial=first_state(trajectories[0]))
    return [ShardState.from_arrays(state.to_arrays()) for state in following]


@pytest.mark.parametrize("run", [7, 9, 13])
def test_whoever_takes_over_collects_the_same(run: int) -> None:
    """From the state after any trajectory, bit for bit: the episodes in progress have not failed so far.

    Not even where an environment raises while it waits for longer episodes, at actions that are not its own.
    """
    trajectories = collected(run, 6, tasks)
    heir = collector(run)
    for number, state in enumerate(states(trajectories)[:-1], 1):
        assert heir.restore(state, Policy()) == []
        for following in trajectories[number:]:
            again = heir.collect(Policy(), following.version, tasks(following.number))
            assert {name: array.tobytes() for name, array in again.arrays.items()} == {
                name: array.tobytes() for name, array in following.arrays.items()
            }


class Flaky(tiny.Hashed):
    """Shows the same all the time; raises, the first time it gets there, where it is told to."""

    at: int | None = None  #: steps after which it raises; 0 for in reset
    observation_space = tiny.Hashed.observation_space

    def reset(self, **kwargs: Any) -> Any:
        _, info = super().reset(**kwargs)
        self._raise_at(0)
        return np.zeros(4, np.float32), info

    def step(self, action: Any) -> Any:
        self.actions.append(int(action))
        self._raise_at(len(self.actions))
        return np.zeros(4, np.float32), 1.0, False, False, {}

    def _raise_at(self, steps: int) -> None:
        if self.at == steps:
            self.at = None
            raise OSError("gone")


@pytest.mark.parametrize("at", [1, STEPS])
def test_one_that_raises_while_it_is_replayed_is_lost(at: int) -> None:
    """Although it shows what it should: its next episode starts, and the others go on; the failure is told."""
    before = collector(7, Flaky)
    before.restore(None, Policy())
    state = first_state(before.collect(Policy(), 0))
    environments = [Flaky() for _ in NUMBERS]
    environments[1].at = at
    heir = Collector(7, SHARD, NUMBERS, SteppedVector(environments, Flaky), STEPS)
    assert heir.restore(state, Policy()) == [NUMBERS[1]]
    trajectory = heir.collect(Policy(), 1)
    assert trajectory.arrays["first"][0].tolist() == [False, True, False]
    assert trajectory.arrays["episode"].tolist() == [0, 1, 0]
    (failure,) = trajectory.failures().told
    assert (failure.environment, failure.episode, failure.call) == (NUMBERS[1], 0, "step")
    assert trajectory.failures().count == 1
    assert trajectory.episodes() == []


def test_one_that_raises_when_its_replay_begins_is_reset_once_more() -> None:
    """Then it arrives like the rest, and has lost nothing."""
    before = collector(7, Flaky)
    before.restore(None, Policy())
    state = first_state(before.collect(Policy(), 0))
    environments = [Flaky() for _ in NUMBERS]
    environments[1].at = 0
    heir = Collector(7, SHARD, NUMBERS, SteppedVector(environments, Flaky), STEPS)
    assert heir.restore(state, Policy()) == []
    assert heir.collect(Policy(), 1).failures().count == 0


def test_one_that_cannot_be_replayed_at_all_ends_the_run() -> None:
    """Where it raises in reset, and so does the one that is made in its place."""
    before = collector(7, Flaky)
    before.restore(None, Policy())
    state = first_state(before.collect(Policy(), 0))

    class Gone(Flaky):
        at = 0

    with pytest.raises(EnvironmentFailed, match="failed in reset: OSError: gone"):
        collector(7, Gone).restore(state, Policy())


def test_without_restarts_a_trajectory_tells_nothing() -> None:
    """Its arrays are those that runs have always had."""
    collecting = Collector(7, SHARD, NUMBERS, SteppedVector([tiny.Hashed() for _ in NUMBERS]), STEPS)
    collecting.restore(None, Policy())
    trajectory = collecting.collect(Policy(), 0)
    assert "failures" not in trajectory.arrays
    assert trajectory.failures().count == 0
