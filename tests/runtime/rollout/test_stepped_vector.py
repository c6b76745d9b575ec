from typing import Any

import numpy as np
import pytest
from environments import SPACES, VECTOR, Scripted, Tasked, all_of, steps
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from framework.errors import FrameworkError, RunError
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.toolkit.spaces import action_spec, flatten

ACTIONS = {
    "discrete": Discrete(4),
    "discrete_start": Discrete(4, start=3),
    "multi_discrete": MultiDiscrete([2, 3]),
    "multi_binary": MultiBinary(3),
    "box": Box(-1, 1, (2,), np.float32),
    "double_box": Box(-1, 1, (2, 2), np.float64),
}


def sampled(space: Space, count: int) -> np.ndarray:
    return np.array([space.sample() for _ in range(count)]).astype(action_spec(space)[0])


@pytest.mark.parametrize("observation", SPACES)
def test_equals_stepping_single_environments_one_by_one(observation: str) -> None:
    """Over random steps and resets every array equals what the environments give by themselves."""
    space, count = SPACES[observation], 3
    alone = [Scripted(space) for _ in range(count)]
    vector = SteppedVector([Scripted(space) for _ in range(count)])
    vector.reset(*all_of(count))
    current = [environment.reset(seed=100 + i)[0] for i, environment in enumerate(alone)]
    chance, ends = np.random.default_rng(0), 0
    for step in range(40):
        actions = chance.integers(2, size=count)
        vector.step(actions)
        for i, environment in enumerate(alone):
            current[i], reward, terminated, truncated, _ = environment.step(int(actions[i]))
            assert vector.rewards[i] == np.float32(reward)
            assert (vector.terminated[i], vector.truncated[i]) == (terminated, truncated)
            for name, value in flatten(space, current[i]).items():
                np.testing.assert_array_equal(vector.observations[name][i], value)
        ended = np.flatnonzero(vector.terminated | vector.truncated)
        ends += len(ended)
        vector.reset(ended, [step] * len(ended), [None] * len(ended))
        for i in ended:
            current[i], _ = alone[i].reset(seed=step)
        for i in range(count):
            for name, value in flatten(space, current[i]).items():
                np.testing.assert_array_equal(vector.observations[name][i], value)
    assert ends > 10
    assert vector.valid.all()


@pytest.mark.parametrize("action", ACTIONS)
def test_environments_get_actions_of_their_space(action: str) -> None:
    """Each environment gets its row, which its action space contains, whatever its kind."""
    space, environments = ACTIONS[action], [Scripted(action=ACTIONS[action]) for _ in range(2)]
    vector = SteppedVector(environments)
    vector.reset(*all_of(2))
    batches = [sampled(space, 2) for _ in range(3)]
    for batch in batches:
        vector.step(batch)
    for i, environment in enumerate(environments):
        np.testing.assert_array_equal(environment.actions, [batch[i] for batch in batches])


def test_actions_outside_a_box_are_clipped() -> None:
    """The environment gets the bound; the array of the policy's own actions stays as it is."""
    environment = Scripted(action=Box(-1, 1, (2,), np.float32))
    vector = SteppedVector([environment])
    vector.reset(*all_of(1))
    actions = np.array([[-7, 0.25]], np.float32)
    vector.step(actions)
    np.testing.assert_array_equal(environment.actions[0], [-1, 0.25])
    np.testing.assert_array_equal(actions, [[-7, 0.25]])


def test_the_true_last_observation_stays_until_reset() -> None:
    """Nothing resets by itself; a reset changes the rows it names and no others."""
    vector = SteppedVector([Scripted() for _ in range(3)])
    vector.reset(*all_of(3))
    while not (vector.terminated | vector.truncated).any():
        vector.step(np.zeros(3, np.int64))
    last = vector.observations["observation"].copy()
    flags = vector.terminated.copy(), vector.truncated.copy(), vector.rewards.copy()
    ended = np.flatnonzero(vector.terminated | vector.truncated)
    vector.reset(ended, [1] * len(ended), [None] * len(ended))
    changed = (vector.observations["observation"] != last).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed), ended)
    for after, before in zip((vector.terminated, vector.truncated, vector.rewards), flags, strict=True):
        np.testing.assert_array_equal(after, before)


def test_an_episode_is_a_function_of_its_seed() -> None:
    """The same seed gives the same first observation, in any row and at any time; another seed another."""
    vector = SteppedVector([Scripted() for _ in range(3)])
    vector.reset(np.arange(3), [5, 6, 5], [None] * 3)
    first = vector.observations["observation"].copy()
    np.testing.assert_array_equal(first[0], first[2])
    assert (first[0] != first[1]).any()
    vector.step(np.zeros(3, np.int64))
    vector.reset(np.array([1]), [5], [None])
    np.testing.assert_array_equal(vector.observations["observation"][1], first[0])


def test_tasks_arrive_as_options() -> None:
    """A task is ``options["task"]``; where there is none there are no options."""
    environments = [Tasked(), Tasked()]
    SteppedVector(environments).reset(np.arange(2), [0, 1], [{"level": 3}, None])
    assert [environment.options for environment in environments] == [[{"task": {"level": 3}}], [None]]


def test_a_task_that_is_ignored_is_a_mistake() -> None:
    """An environment that never looks at its task would make a curriculum that does nothing."""

    class Elsewhere(Scripted):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            (options or {}).get("level", 0)
            return super().reset(seed=seed)

    for environment in (Scripted(), Elsewhere()):
        with pytest.raises(RunError, match=r"environment 0 was given a task and did not look at it"):
            SteppedVector([environment]).reset(np.arange(1), [0], [7])


def test_success_is_known_where_the_environment_tells_it() -> None:
    """1 and 0 from ``info["success"]`` at the end of an episode, -1 where it is missing."""
    silent = Scripted(change=lambda _, result: (*result[:-1], {}))
    vector, successes = SteppedVector([Scripted(), silent]), set()
    vector.reset(*all_of(2))
    for step in range(60):
        vector.step(np.zeros(2, np.int64))
        for i in np.flatnonzero(vector.terminated | vector.truncated).tolist():
            successes.add((i, int(vector.success[i])))
            vector.reset(np.array([i]), [step], [None])
    assert successes == {(0, 0), (0, 1), (1, -1)}


def masked(space: Space, masks: list) -> SteppedVector:
    """One environment that gives these masks, one after the other; None for none at all."""
    upcoming = iter(masks)

    def change(_: Scripted, result: tuple) -> tuple:
        mask = next(upcoming)
        return (*result[:-1], {} if mask is None else {"action_mask": mask})

    vector = SteppedVector([Scripted(action=space, change=change)])
    vector.reset(*all_of(1))
    return vector


def test_masks_are_read_at_reset_and_step() -> None:
    """Whatever their dtype; and for MultiDiscrete as one array or as one for each part."""
    vector = masked(Discrete(3), [np.array([1, 0, 1], np.int8), np.array([False, True, False])])
    assert vector.action_mask.tolist() == [[True, False, True]]
    vector.step(np.array([0]))
    assert vector.action_mask.tolist() == [[False, True, False]]
    vector = masked(MultiDiscrete([2, 1]), [np.array([1, 0, 1]), (np.array([0, 1]), np.array([1]))])
    assert vector.action_mask.tolist() == [[True, False, True]]
    vector.step(np.array([[0, 0]]))
    assert vector.action_mask.tolist() == [[False, True, True]]


def test_there_is_no_mask_without_one() -> None:
    """`action_mask` stays None."""
    assert masked(Discrete(3), [None]).action_mask is None


def test_a_mask_that_is_missing_at_reset_is_noticed() -> None:
    """An environment that gives masks in its steps alone is refused by the end of its first episode."""
    vector = masked(Discrete(3), [None, *[np.ones(3)] * 6])
    with pytest.raises(RunError, match="only sometimes"):
        steps(vector, 6)


def test_a_finished_episode_needs_no_legal_action() -> None:
    """Environments may give an empty mask once there is nothing left to do."""

    def change(environment: Scripted, result: tuple) -> tuple:
        over = len(result) == 5 and (result[2] or result[3])
        return (*result[:-1], {"action_mask": np.zeros(2) if over else np.ones(2)})

    vector = SteppedVector([Scripted(change=change)])
    vector.reset(*all_of(1))
    while not (vector.terminated | vector.truncated)[0]:
        vector.step(np.array([0]))
    assert not vector.action_mask.any()


def failing(at: int) -> Scripted:
    def change(environment: Scripted, result: tuple) -> tuple:
        if environment.options and len(environment.actions) == at and (len(result) == 5) == (at > 0):
            raise KeyError("wheel")
        return result

    return Scripted(change=change)


def test_an_environment_that_crashes_is_named() -> None:
    """The message has its index and what went wrong; the error is the cause."""
    vector = SteppedVector([Scripted(), failing(2)])
    vector.reset(*all_of(2))
    vector.step(np.zeros(2, np.int64))
    with pytest.raises(RunError, match="environment 1 failed in step: KeyError: 'wheel'") as caught:
        vector.step(np.zeros(2, np.int64))
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(RunError, match="environment 1 failed in reset: KeyError: 'wheel'"):
        SteppedVector([Scripted(), failing(0)]).reset(*all_of(2))


@pytest.mark.parametrize(
    ("space", "observation", "message"),
    [
        (VECTOR, np.zeros(2, np.float32), r"environment 1: observation 'observation' is float32\[2\]"),
        (SPACES["image"], np.zeros((4, 4, 3)), "environment 1: observation 'observation' is float64"),
        (SPACES["dict"], {"a": np.zeros(3, np.float32)}, "environment 1: the observation has no 'b'"),
        (
            SPACES["dict"],
            {"a": np.zeros((1, 3), np.float32), "b": 0},
            r"environment 1: observation 'a' is float32\[1, 3\]",
        ),
    ],
)
def test_observations_outside_their_space_are_refused_in_step(space: Space, observation: object, message: str) -> None:
    """They are neither broadcast nor truncated, and the message names environment and leaf."""
    faulty = Scripted(space, change=lambda _, result: (observation, *result[1:]) if len(result) == 5 else result)
    vector = SteppedVector([Scripted(space), faulty])
    vector.reset(*all_of(2))
    with pytest.raises(RunError, match=message):
        vector.step(np.zeros(2, np.int64))


def test_observations_outside_their_space_are_refused_in_reset() -> None:
    """The first observation of an episode is checked too."""
    faulty = Scripted(change=lambda _, result: (np.zeros(1, np.float32), *result[1:]))
    with pytest.raises(RunError, match=r"environment 0: observation 'observation' is float32\[1\]"):
        SteppedVector([faulty]).reset(*all_of(1))


def test_a_reward_must_be_a_number() -> None:
    """An array in its place is named."""
    faulty = Scripted(change=lambda _, result: (result[0], np.ones(2), *result[2:]) if len(result) == 5 else result)
    vector = SteppedVector([Scripted(), faulty])
    vector.reset(*all_of(2))
    with pytest.raises(RunError, match=r"environment 1 gave the reward array\(\[1\., 1\.\]\), which is not a number"):
        vector.step(np.zeros(2, np.int64))


def test_nan_is_not_hidden() -> None:
    """Whoever checks the trajectory finds it where it arose."""

    def change(_: Scripted, result: tuple) -> tuple:
        return (np.array([0, np.nan, 0], np.float32), np.nan, *result[2:]) if len(result) == 5 else result

    vector = SteppedVector([Scripted(), Scripted(change=change)])
    vector.reset(*all_of(2))
    vector.step(np.zeros(2, np.int64))
    assert np.isnan(vector.observations["observation"]).tolist() == [[False] * 3, [False, True, False]]
    assert np.isnan(vector.rewards).tolist() == [False, True]


def test_environments_must_be_alike() -> None:
    """Another observation or action space is refused with the index."""
    with pytest.raises(FrameworkError, match="environment 1 has other spaces"):
        SteppedVector([Scripted(), Scripted(SPACES["image"])])
    with pytest.raises(FrameworkError, match="environment 2 has other spaces"):
        SteppedVector([Scripted(), Scripted(), Scripted(action=Discrete(3))])


def test_close_closes_every_environment() -> None:
    """None is left open."""
    environments = [Scripted() for _ in range(3)]
    SteppedVector(environments).close()
    assert all(environment.closed for environment in environments)


def test_a_task_that_an_environment_changes_stays_as_it_was() -> None:
    """What is recorded as the episode's task, and played again, is what the curriculum gave."""

    class Consuming(Tasked):
        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            result = super().reset(seed=seed, options=options)
            self.task["doors"].clear()
            return result

    task = {"doors": [1, 2]}
    SteppedVector([Consuming(), Consuming()]).reset(np.arange(2), [0, 1], [task, task])
    assert task == {"doors": [1, 2]}


def test_environments_may_share_the_array_of_their_observations() -> None:
    """Each row holds what its own environment showed."""
    buffer = np.zeros(3, np.float32)

    def change(environment: Scripted, result: tuple) -> tuple:
        buffer[:] = result[0]
        environment.shown = result[0].copy()
        return (buffer, *result[1:])

    environments = [Scripted(change=change) for _ in range(2)]
    vector = SteppedVector(environments)
    vector.reset(*all_of(2))
    vector.step(np.zeros(2, np.int64))
    np.testing.assert_array_equal(
        vector.observations["observation"], [environment.shown for environment in environments]
    )
