import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from attrs import evolve
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from tiny import Hashed, Policy

from framework.runtime.data.seeds import episode_seed, task_order_seed, trajectory_seed
from framework.runtime.data.shard import ShardState, first_state
from framework.runtime.data.tasks import decode_tasks, in_order
from framework.runtime.data.trajectory import Trajectory, group
from framework.runtime.rollout.collector import Collector
from framework.runtime.rollout.native_vector import NextStepVector
from framework.runtime.rollout.stepped_vector import SteppedVector

RUN, SHARD, STEPS, LONGEST = 7, 2, 6, 5
NUMBERS = range(6, 9)  # of the shard's environments in the run
#: What a reference can tell of a trajectory.
ARRAYS = ("observations/observation", "first", "rewards", "terminated", "truncated", "final_index", "episode")
ARRAYS += ("final_observations/observation", "extras/after", "extras/final_reward")


def stepped(make: Any = Hashed, **options: Any) -> Collector:
    """A collector of environments that are stepped singly."""
    environments = [make(LONGEST) for _ in NUMBERS]
    return Collector(RUN, SHARD, NUMBERS, SteppedVector(environments), options.get("steps", STEPS))


def native() -> Collector:
    """One of a vector whose environments reset themselves, in steps that are not valid."""
    vector = SyncVectorEnv([lambda: Hashed(LONGEST)] * len(NUMBERS), autoreset_mode=AutoresetMode.NEXT_STEP)
    return Collector(RUN, SHARD, NUMBERS, NextStepVector(vector), STEPS)


def collected(collector: Collector, count: int, tasks: Any = None) -> list[Trajectory]:
    """The next trajectories, each with a version of its own."""
    return [collector.collect(Policy(), 10 + number, tasks and tasks(number)) for number in range(count)]


def begun(collector: Collector) -> Collector:
    assert collector.restore(None, Policy()) == []
    return collector


def assert_same(left: Trajectory, right: Trajectory) -> None:
    """Both are equal, bit for bit."""
    assert left.arrays.keys() == right.arrays.keys()
    for name, array in left.arrays.items():
        assert (array.dtype, array.shape, array.tobytes()) == (
            right.arrays[name].dtype,
            right.arrays[name].shape,
            right.arrays[name].tobytes(),
        ), name


class Reference:
    """One environment of the shard, played from the actions of its trajectories: slow and plain."""

    def __init__(self, number: int, task: Any):
        self.number, self.episode = number, -1
        self.begin(task)

    def begin(self, task: Any) -> None:
        self.episode, self.task = self.episode + 1, task
        self.seed = episode_seed(RUN, self.number, self.episode)
        self.actions: list[int] = []
        self.total = 0.0

    def observation(self) -> list[float]:
        observation: list[float] = tiny.shown(self.seed, self.task, self.actions).tolist()
        return observation

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Reward, and whether the episode was terminated or truncated."""
        self.actions.append(action)
        reward = float(np.float32(tiny.reward(self.seed, self.task, self.actions)))
        self.total += reward
        count = len(self.actions)
        over = count == tiny.length(self.seed, LONGEST)
        return reward, over and count % 2 == 1, over and count % 2 == 0

    def row(self, t: int, tasks: bool) -> dict[str, Any]:
        """The row of an episode that ends with step ``t``."""
        values = {"step": t, "environment": self.number, "number": self.episode, "return": self.total}
        values |= {"length": len(self.actions), "success": int(len(self.actions) > 3), "error": 0}
        return values | ({"task": self.task} if tasks else {})


def played(
    references: list[Reference], actions: list[list[int]], upcoming: Iterator[Any], tasks: bool
) -> tuple[dict[str, list[Any]], list[dict[str, Any]]]:
    """Some arrays of the trajectory with these actions, and the rows of the episodes that end in it."""
    arrays: dict[str, list[Any]] = {name: [] for name in ARRAYS}
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
        for n, (reward, *over) in enumerate(steps):
            if any(over):
                arrays["final_index"].append(t * len(references) + n)
                arrays["final_observations/observation"].append(references[n].observation())
                arrays["extras/final_reward"].append(reward)
                rows.append(references[n].row(t, tasks))
                references[n].begin(next(upcoming))
    arrays["episode"] = [reference.episode for reference in references]
    return arrays, rows


def compare(trajectories: list[Trajectory], tasks: Any = None) -> int:
    """Check a shard's trajectories, from its first on, against references; returns how many episodes ended."""
    references: list[Reference] = []
    ends = 0
    for number, trajectory in enumerate(trajectories):
        assert (trajectory.shard, trajectory.number, trajectory.version) == (SHARD, number, 10 + number)
        upcoming = in_order(tasks(number) if tasks else (), task_order_seed(RUN, SHARD, number))
        references = references or [Reference(environment, next(upcoming)) for environment in NUMBERS]
        arrays, rows = played(references, trajectory.arrays["actions"].tolist(), upcoming, tasks is not None)
        assert {name: trajectory.arrays[name].tolist() for name in ARRAYS} == arrays
        assert trajectory.episodes() == rows
        assert trajectory.tasks() == (tuple(reference.task for reference in references) if tasks else ())
        ends += len(rows)
    return ends


def test_trajectories_are_what_the_environments_played() -> None:
    """Each number of each array, over trajectories that follow one another, against episodes played one by one."""
    assert compare(collected(begun(stepped()), 4)) > 15


def test_tasks_are_played_in_the_order_of_the_trajectory() -> None:
    """New episodes take the next of those that came with the version; episodes in progress keep theirs."""

    def tasks(number: int) -> list[str]:
        return [f"{number}-{index}" for index in range(4)]

    trajectories = collected(begun(stepped()), 4, tasks)
    assert compare(trajectories, tasks) > 15
    ended = [episode["task"] for episode in trajectories[1].episodes()]
    assert {task[0] for task in ended} == {"0", "1"}
    assert len(decode_tasks(trajectories[1].arrays["tasks"])) == len(ended) + len(NUMBERS)


def test_a_curriculum_without_tasks_is_told_from_none() -> None:
    """Environments get no task, and the trajectory says so; without a curriculum it says nothing."""
    collector = begun(stepped())
    assert collector.collect(Policy(), 0, []).tasks() == (None,) * len(NUMBERS)
    assert "tasks" not in collector.collect(Policy(), 0).arrays


def test_the_policy_sees_what_is_recorded() -> None:
    """Random numbers are those of the trajectory; memory goes from step to step and from trajectory to trajectory."""
    acted: list[Any] = []

    class Seeing(Policy):
        def act(self, observation: Any, memory: Any, first: Any, generator: Any, **kwargs: Any) -> Any:
            assert torch.is_inference_mode_enabled()
            assert kwargs == {"action_mask": None}
            acted.append((observation["observation"].clone(), memory["steps"].clone(), first.clone()))
            return super().act(observation, memory, first, generator, **kwargs)

    collector = begun(stepped())
    policy = Seeing()
    trajectories = [collector.collect(policy, 0) for _ in range(2)]
    for number, trajectory in enumerate(trajectories):
        arrays, steps = trajectory.arrays, acted[number * STEPS : (number + 1) * STEPS]
        generator = torch.Generator().manual_seed(trajectory_seed(RUN, SHARD, number))
        for t, (observation, memory, first) in enumerate(steps):
            assert observation.tolist() == arrays["observations/observation"][t].tolist()
            assert first.tolist() == arrays["first"][t].tolist()
            chance = torch.rand(len(NUMBERS), generator=generator)
            assert arrays["actions"][t].tolist() == (chance < 0.5).long().tolist()
            if t == 0:
                assert memory.tolist() == arrays["memory/steps"].tolist()
    before, after = trajectories
    np.testing.assert_array_equal(before.arrays["memory_after/steps"], after.arrays["memory/steps"])
    np.testing.assert_array_equal(before.arrays["first"][-1], after.arrays["first"][0])


def test_extras_are_what_the_policy_makes_of_them() -> None:
    """`Policy.postprocess_trajectory` gets the whole trajectory; its result replaces what was recorded."""
    completed: list[Any] = []

    class Completing(Policy):
        def postprocess_trajectory(self, batch: Any) -> Any:
            completed.append(evolve(batch))
            return {"value": torch.zeros(STEPS + 1, len(NUMBERS)), "final_value": torch.zeros(len(batch.final_index))}

    trajectory = begun(stepped()).collect(Completing(), 0)
    (batch,) = completed
    assert group(trajectory.arrays, "extras").keys() == {"value", "final_value"}
    assert batch.extras["before"].shape == (STEPS, len(NUMBERS))
    np.testing.assert_array_equal(batch.observations["observation"], trajectory.arrays["observations/observation"])
    np.testing.assert_array_equal(batch.final_index, trajectory.arrays["final_index"])
    np.testing.assert_array_equal(batch.memory["steps"], trajectory.arrays["memory/steps"])


def test_action_masks_reach_the_policy_and_the_trajectory() -> None:
    """That of each observation, also of the last."""

    class Masked(Hashed):
        def reset(self, **kwargs: Any) -> Any:
            observation, info = super().reset(**kwargs)
            return observation, {**info, "action_mask": [True, len(self.actions) % 2 == 0]}

        def step(self, action: Any) -> Any:
            *results, info = super().step(action)
            return (*results, {**info, "action_mask": [True, len(self.actions) % 2 == 0]})

    masks: list[Any] = []

    class Seeing(Policy):
        def act(self, *args: Any, action_mask: Any = None, **kwargs: Any) -> Any:
            masks.append(action_mask.tolist())
            return super().act(*args, **kwargs)

    arrays = begun(stepped(Masked)).collect(Seeing(), 0).arrays
    assert arrays["action_mask"].shape == (STEPS + 1, len(NUMBERS), 2)
    assert arrays["action_mask"][:-1].tolist() == masks
    counts = arrays["extras/after"] - 1
    assert arrays["action_mask"][:-1, :, 1].tolist() == (counts % 2 == 0).tolist()


# Vectors that reset themselves.


def test_environments_that_reset_themselves_are_told_from_the_reset_on() -> None:
    """Their reset step is not valid, belongs to no episode, and what it leads to is the first of the next one."""
    trajectories = collected(begun(native()), 5)
    alone = [Hashed(LONGEST) for _ in NUMBERS]
    first_seed = episode_seed(RUN, NUMBERS[0], 0)
    current = [environment.reset(seed=first_seed + n)[0].tolist() for n, environment in enumerate(alone)]
    over, total, count, number = [False] * 3, [0.0] * 3, [0] * 3, [0] * 3
    first, rows = [True] * 3, 0
    for trajectory in trajectories:
        arrays = trajectory.arrays
        episodes = iter(trajectory.episodes())
        for t in range(STEPS):
            assert arrays["observations/observation"][t].tolist() == current
            assert arrays["first"][t].tolist() == first
            assert arrays["valid"][t].tolist() == [not ended for ended in over]
            for n, environment in enumerate(alone):
                first[n] = over[n]
                if over[n]:
                    current[n], over[n] = environment.reset()[0].tolist(), False
                    total[n], count[n], number[n] = 0.0, 0, number[n] + 1
                    continue
                observation, reward, terminated, truncated, _ = environment.step(arrays["actions"][t, n])
                current[n], over[n] = observation.tolist(), terminated or truncated
                total[n], count[n] = total[n] + float(np.float32(reward)), count[n] + 1
                if over[n]:
                    episode = next(episodes)
                    values = {"step": t, "environment": NUMBERS[n], "number": number[n], "return": total[n]}
                    assert {name: episode[name] for name in values} == values
                    assert episode["length"] == count[n]
                    rows += 1
        assert next(episodes, None) is None
        assert arrays["first"][STEPS].tolist() == first
        assert arrays["episode"].tolist() == number
    assert rows > 10


def test_what_cannot_be_replayed_starts_anew() -> None:
    """All environments are named, and their next episodes have the next numbers."""
    before = collected(begun(native()), 2)[-1]
    state = first_state(before)
    collector = native()
    assert collector.restore(state, Policy()) == list(NUMBERS)
    assert collector.number == before.number + 1
    trajectory = collector.collect(Policy(), 0)
    assert trajectory.arrays["first"][0].all()
    numbers = [episode["number"] for episode in trajectory.episodes()]
    assert min(numbers) >= int(before.arrays["episode"].min()) + 1


# Restoring.


def states(trajectories: list[Trajectory]) -> list[ShardState]:
    """The state after each of them, as it comes from a checkpoint."""
    following = itertools.accumulate(trajectories[1:], ShardState.advance, initial=first_state(trajectories[0]))
    return [ShardState.from_arrays(state.to_arrays()) for state in following]


@pytest.mark.parametrize("tasks", [None, lambda number: [f"{number}-{index}" for index in range(3)]], ids=["", "tasks"])
def test_whoever_takes_over_collects_the_same(tasks: Any) -> None:
    """From the state after any trajectory all that follow are the same bits, for a collector that has done others."""
    trajectories = collected(begun(stepped()), 5, tasks)
    heir = begun(stepped())
    collected(heir, 1, tasks)
    for number, state in enumerate(states(trajectories)[:-1], 1):
        assert heir.restore(state, Policy()) == []
        assert heir.number == number
        for following in trajectories[number:]:
            version = following.version
            assert_same(heir.collect(Policy(), version, tasks and tasks(following.number)), following)


def test_the_very_beginning_can_be_gone_back_to() -> None:
    """Memory, numbers and returns are those of a new shard."""
    collector = begun(stepped())
    trajectories = collected(collector, 3)
    for trajectory, repeated in zip(trajectories, collected(begun(collector), 3), strict=True):
        assert_same(trajectory, repeated)


def test_environments_that_arrive_elsewhere_are_named() -> None:
    """They alone start new episodes, with the next number, and without the memory of the lost one."""

    class Drifting(Hashed):
        drift = 0.0

        def step(self, action: Any) -> Any:
            observation, *results = super().step(action)
            return (observation + self.drift, *results)

    trajectories = collected(begun(stepped()), 2)
    state = states(trajectories)[-1]
    environments = [Drifting(LONGEST) for _ in NUMBERS]
    environments[1].drift = 0.5
    started = [len(np.concatenate(pieces or ())) for pieces in state.actions]
    assert started[1] > 0
    collector = Collector(RUN, SHARD, NUMBERS, SteppedVector(environments), STEPS)
    assert collector.restore(state, Policy()) == [NUMBERS[1]]
    arrays = collector.collect(Policy(), 0).arrays
    assert arrays["first"][0].tolist() == [not started[0], True, not started[2]]
    seed = episode_seed(RUN, NUMBERS[1], int(state.episode[1]) + 1)
    assert arrays["observations/observation"][0, 1].tolist() == tiny.shown(seed, None, []).tolist()
    assert arrays["extras/after"][0].tolist() == [started[0] + 1, 1, started[2] + 1]


def test_episodes_that_are_not_recorded_start_anew() -> None:
    """They are named like those that arrive elsewhere; the others go on as if nothing had happened."""
    trajectories = collected(begun(stepped()), 3)
    recorded = states(trajectories)[1]
    lost = evolve(recorded, actions=(recorded.actions[0], None, recorded.actions[2]))
    heir = begun(stepped())
    assert heir.restore(ShardState.from_arrays(lost.to_arrays()), Policy()) == [NUMBERS[1]]
    arrays, expected = heir.collect(Policy(), 0).arrays, trajectories[2].arrays
    seed = episode_seed(RUN, NUMBERS[1], int(lost.episode[1]) + 1)
    assert arrays["first"][0, 1]
    assert arrays["observations/observation"][0, 1].tolist() == tiny.shown(seed, None, []).tolist()
    for name in ("first", "rewards", "observations/observation"):
        np.testing.assert_array_equal(arrays[name][:, [0, 2]], expected[name][:, [0, 2]])


def test_replayed_environments_get_the_actions_that_they_were_given() -> None:
    """In the dtype of the policy, though the state keeps them in a byte each, in which 0 - 1 is 255."""
    given: list[Any] = []

    class Noting(Hashed):
        def step(self, action: Any) -> Any:
            given.append(action)
            return super().step(action)

    (trajectory,) = collected(begun(stepped(Noting, steps=1)), 1)
    (before, given) = (given, [])
    begun(stepped(Noting)).restore(first_state(trajectory), Policy())
    assert [(type(action), int(action)) for action in given] == [(np.int64, int(action)) for action in before]
