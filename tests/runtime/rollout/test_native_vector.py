from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from environments import SPACES, Made, MadeVector, Scripted, all_of, steps
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from framework.errors import FrameworkError, PluginError, RunError
from framework.runtime.rollout.make_vector import make_vector
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.runtime.rollout.vector import Vector
from framework.toolkit.spaces import action_spec, flat_action, flatten

COUNT = 3
PARTS = Dict({"kind": Discrete(3, start=5), "power": Box(-1, 1, (2,), np.float32)})


def native(mode: AutoresetMode, make: object = Scripted) -> Vector:
    return make_vector(MadeVector(make, vector=lambda count: SyncVectorEnv([make] * count, autoreset_mode=mode)), COUNT)


def resets(vector: Vector, seed: int) -> np.ndarray:
    ended = np.flatnonzero(vector.terminated | vector.truncated)
    if len(ended):
        vector.reset(ended, [seed] * len(ended), [None] * len(ended))
    return ended


@pytest.mark.parametrize("observation", SPACES)
def test_with_autoreset_disabled_it_equals_stepping_singly(observation: str) -> None:
    """Masked resets with a seed for each environment make the vector replayable: every array is the same."""
    make = partial(Scripted, SPACES[observation])
    singly, vectorized = SteppedVector([make() for _ in range(COUNT)]), native(AutoresetMode.DISABLED, make)
    assert vectorized.replayable
    assert not vectorized.self_resetting
    for vector in (singly, vectorized):
        vector.reset(*all_of(COUNT))
    chance = np.random.default_rng(0)
    for step in range(30):
        actions = chance.integers(2, size=COUNT)
        for vector in (singly, vectorized):
            vector.step(actions)
        ended = singly.terminated | singly.truncated
        for name in ("rewards", "terminated", "truncated", "valid"):
            np.testing.assert_array_equal(getattr(singly, name), getattr(vectorized, name))
        np.testing.assert_array_equal(singly.success[ended], vectorized.success[ended])
        for _ in range(2):
            for name, array in singly.observations.items():
                np.testing.assert_array_equal(array, vectorized.observations[name])
            for vector in (singly, vectorized):
                resets(vector, step)


@pytest.mark.parametrize("observation", SPACES)
def test_a_vector_that_resets_in_the_next_step_marks_that_step(observation: str) -> None:
    """The true last observation is kept; the step after it is not valid, and shows the next episode's first."""
    make = partial(Scripted, SPACES[observation])
    vector, alone = native(AutoresetMode.NEXT_STEP, make), [make() for _ in range(COUNT)]
    assert vector.self_resetting
    assert not vector.replayable
    vector.reset(*all_of(COUNT))
    current = [environment.reset(seed=100 + i)[0] for i, environment in enumerate(alone)]
    over, invalid = [False] * COUNT, 0
    for _ in range(30):
        vector.step(np.zeros(COUNT, np.int64))
        for i, environment in enumerate(alone):
            assert vector.valid[i] != over[i]
            if over[i]:
                current[i], over[i], reward, invalid = environment.reset()[0], False, 0.0, invalid + 1
            else:
                current[i], reward, terminated, truncated, info = environment.step(0)
                over[i] = terminated or truncated
                if over[i]:
                    assert vector.success[i] == info["success"]
            assert vector.rewards[i] == np.float32(reward)
            for name, value in flatten(SPACES[observation], current[i]).items():
                np.testing.assert_array_equal(vector.observations[name][i], value)
    assert invalid > 10


@pytest.mark.parametrize("observation", SPACES)
def test_a_vector_that_resets_in_the_same_step_keeps_the_next_episode_back(observation: str) -> None:
    """`step` shows the true last observation, and `reset` the first of the episode that has begun already."""
    make = partial(Scripted, SPACES[observation])
    vector, alone = native(AutoresetMode.SAME_STEP, make), [make() for _ in range(COUNT)]
    assert not vector.self_resetting
    assert not vector.replayable
    vector.reset(*all_of(COUNT))
    current = [environment.reset(seed=100 + i)[0] for i, environment in enumerate(alone)]
    for step in range(30):
        vector.step(np.zeros(COUNT, np.int64))
        for i, environment in enumerate(alone):
            current[i], reward, terminated, truncated, info = environment.step(0)
            assert vector.rewards[i] == np.float32(reward)
            assert (vector.terminated[i], vector.truncated[i]) == (terminated, truncated)
            if terminated or truncated:
                assert vector.success[i] == info["success"]
        for repeat in range(2):
            for i in range(COUNT):
                for name, value in flatten(SPACES[observation], current[i]).items():
                    np.testing.assert_array_equal(vector.observations[name][i], value)
            for i in resets(vector, step) if not repeat else ():
                current[i], _ = alone[i].reset()


@pytest.mark.parametrize("mode", AutoresetMode)
def test_masks_of_native_vectors(mode: AutoresetMode) -> None:
    """Each environment's mask is that of its current observation."""

    def change(environment: Scripted, result: tuple) -> tuple:
        legal = np.arange(4) >= (environment.count if len(result) == 5 else 0) % 3
        return (*result[:-1], result[-1] | {"action_mask": legal})

    vector = native(mode, partial(Scripted, action=Discrete(4), change=change))
    vector.reset(*all_of(COUNT))
    count = np.zeros(COUNT, int)
    for step in range(20):
        np.testing.assert_array_equal(vector.action_mask, np.arange(4) >= count[:, None] % 3)
        vector.step(np.full(COUNT, 3))
        count = np.where(vector.valid, count + 1, 0)
        ended = vector.terminated | vector.truncated
        if not vector.self_resetting:
            resets(vector, step)
            count[ended] = 0


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("space", [PARTS, Tuple((PARTS, Discrete(2)))], ids=["dict", "tuple"])
def test_actions_and_masks_of_several_parts(mode: AutoresetMode, space: gymnasium.Space) -> None:
    """Each environment gets its own part of each, as it does when it is stepped singly; masks may leave parts out."""

    def change(environment: Scripted, result: tuple) -> tuple:
        by_part = {"kind": np.arange(3) != environment.count % 3}
        mask = by_part if isinstance(space, Dict) else (by_part, None)
        return (*result[:-1], result[-1] | {"action_mask": mask})

    environments = [Scripted(action=space, change=change) for _ in range(COUNT)]
    vector = make_vector(
        MadeVector(
            lambda: None, vector=lambda _: SyncVectorEnv([lambda e=e: e for e in environments], autoreset_mode=mode)
        ),
        COUNT,
    )
    single = SteppedVector([Scripted(action=space, change=change)])
    vector.reset(*all_of(COUNT))
    single.reset(*all_of(1))
    rng = np.random.default_rng(0)
    for _ in range(2):
        np.testing.assert_array_equal(vector.action_mask[0], single.action_mask[0])
        assert vector.action_mask.sum(axis=1).tolist() == [2 + 2 * isinstance(space, Tuple)] * COUNT
        flat = rng.integers(2, size=(COUNT, *action_spec(space)[1])).astype(np.float32)
        vector.step(flat)
        single.step(flat[:1])
        for environment, row in zip(environments, flat, strict=True):
            assert space.contains(environment.actions[-1])
            np.testing.assert_array_equal(flat_action(space, environment.actions[-1]), row)


@pytest.mark.parametrize("whole", [True, False])
def test_a_vector_may_stack_the_masks_of_its_parts(whole: bool) -> None:
    """As its own arrays by part, [N, n] each, or as one of all parts, [N, M]."""
    kinds, picks = np.eye(3, dtype=bool)[[0, 1, 2]], np.eye(2, dtype=bool)[[1, 0, 1]]
    masks = np.concatenate((kinds, picks), 1) if whole else ({"kind": kinds}, picks)

    class Stacking(SyncVectorEnv):
        def reset(self, **kwargs: Any) -> Any:
            return super().reset(**kwargs)[0], {"action_mask": masks}

        def step(self, actions: Any) -> Any:
            return *super().step(actions)[:-1], {"action_mask": masks}

    make = partial(Scripted, action=Tuple((PARTS, Discrete(2))))
    vector = make_vector(
        MadeVector(make, vector=lambda count: Stacking([make] * count, autoreset_mode=AutoresetMode.DISABLED)), COUNT
    )
    vector.reset(*all_of(COUNT))
    vector.step(np.zeros((COUNT, 4), np.float32))
    np.testing.assert_array_equal(vector.action_mask, np.concatenate((kinds, picks), 1))


def test_cartpole_has_a_vector_of_its_own() -> None:
    """Its reset step is not valid: no reward, whatever the action; it is reset whole or not at all."""
    vector = make_vector(MadeVector(None, vector=lambda count: gymnasium.make_vec("CartPole-v1", count)), 8)
    vector.reset(*all_of(8))
    first = vector.observations["observation"].copy()
    for _ in range(60):
        ended = vector.terminated | vector.truncated
        vector.step(np.ones(8, np.int64))
        np.testing.assert_array_equal(vector.valid, ~ended)
        np.testing.assert_array_equal(vector.rewards, vector.valid)
        assert (np.abs(vector.observations["observation"][ended]) <= 0.05).all()
    with pytest.raises(RunError, match="only be reset whole"):
        vector.reset(np.array([1]), [0], [None])
    vector.reset(*all_of(8))
    np.testing.assert_array_equal(vector.observations["observation"], first)
    vector.step(np.ones(8, np.int64))
    assert vector.valid.all()


def test_a_same_step_vector_must_give_the_last_observation() -> None:
    """Without ``info["final_obs"]`` the run stops instead of bootstrapping from the wrong observation."""

    class Forgetful(SyncVectorEnv):
        def step(self, actions: np.ndarray) -> tuple:
            *results, infos = super().step(actions)
            return (*results, {key: value for key, value in infos.items() if "final" not in key})

    vector = make_vector(
        MadeVector(Scripted, vector=lambda count: Forgetful([Scripted] * count, autoreset_mode="SameStep")), COUNT
    )
    vector.reset(*all_of(COUNT))
    with pytest.raises(RunError, match="its true last observation is lost: leave out native = true"):
        steps(vector, 6)


def test_an_unfinished_environment_of_a_same_step_vector_cannot_be_reset() -> None:
    """It is refused, not ignored."""
    vector = native(AutoresetMode.SAME_STEP)
    vector.reset(*all_of(COUNT))
    vector.step(np.zeros(COUNT, np.int64))
    with pytest.raises(RunError, match="cannot reset others"):
        vector.reset(np.array([0]), [1], [None])


def test_what_cannot_be_a_native_vector_is_refused() -> None:
    """No vector version, one that does not say how it resets, and tasks: each with the way out."""
    with pytest.raises(FrameworkError, match="Made has no vector version: leave out native = true"):
        make_vector(Made(Scripted, native=True), COUNT)

    def silent(count: int) -> SyncVectorEnv:
        vector = SyncVectorEnv([Scripted] * count)
        del vector.metadata["autoreset_mode"]
        return vector

    with pytest.raises(FrameworkError, match="does not say how it resets"):
        make_vector(MadeVector(Scripted, vector=silent), COUNT)
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        with pytest.raises(RunError, match="takes no tasks"):
            native(mode).reset(np.arange(COUNT), [0] * COUNT, [1] * COUNT)


def test_tasks_reach_a_vector_whose_environments_are_reset_by_mask() -> None:
    """Each in its row; a vector that does not look at them would make a curriculum that does nothing."""
    tasks: list[Any] = []

    class Tasked(SyncVectorEnv):
        def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
            options = dict(options or {})
            tasks.append(options.pop("tasks"))
            return super().reset(seed=seed, options=options)

    mode = {"autoreset_mode": AutoresetMode.DISABLED}
    vector = make_vector(MadeVector(Scripted, vector=lambda count: Tasked([Scripted] * count, **mode)), COUNT)
    vector.reset(*all_of(COUNT)[:2], [1, None, 3])
    vector.reset(np.array([1]), [5], [7])
    assert tasks == [[1, None, 3], [None, 7, None]]
    with pytest.raises(RunError, match="was given tasks and did not look at them"):
        native(AutoresetMode.DISABLED).reset(*all_of(COUNT)[:2], [1] * COUNT)


def test_a_native_vector_that_crashes_or_lies_stops_the_run() -> None:
    """The message says what went wrong."""

    def crash(_: Scripted, result: tuple) -> tuple:
        if len(result) == 5:
            raise KeyError("wheel")
        return result

    vector = native(AutoresetMode.DISABLED, partial(Scripted, change=crash))
    vector.reset(*all_of(COUNT))
    with pytest.raises(RunError, match="failed in step: KeyError: 'wheel'"):
        vector.step(np.zeros(COUNT, np.int64))

    class Wide(SyncVectorEnv):
        def step(self, actions: np.ndarray) -> tuple:
            _, *results = super().step(actions)
            return (np.zeros((COUNT, 1), np.float32), *results)

    vector = make_vector(
        MadeVector(Scripted, vector=lambda count: Wide([Scripted] * count, autoreset_mode="Disabled")), COUNT
    )
    vector.reset(*all_of(COUNT))
    with pytest.raises(RunError, match=r"observation 'observation' of the vector environment is float32\[3, 1\]"):
        vector.step(np.zeros(COUNT, np.int64))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (1, 1.0, r"gave rewards of shape \(\), not \(3,\)"),
        (1, np.ones((3, 1)), r"gave rewards of shape \(3, 1\)"),
        (1, np.ones(3) * 1j, "rewards of complex128, which are no numbers"),
        (1, np.array(["1"] * 3), "rewards of <U1, which are no numbers"),
        (2, False, r"gave terminated of shape \(\)"),
        (2, np.array([0.5, 0, 1]), "terminated is .* must hold true or false"),
        (3, np.array([np.nan, 0, 1]), "truncated is .* must hold true or false"),
        (4, None, "gave infos = None, which is not a dictionary"),
    ],
)
def test_what_a_native_vector_gives_is_looked_at(place: int, value: Any, message: str) -> None:
    """As that of single environments: nothing is broadcast, and nothing taken for true or false that is neither."""

    class Odd(SyncVectorEnv):
        def step(self, actions: np.ndarray) -> tuple:
            results = list(super().step(actions))
            results[place] = value
            return tuple(results)

    component = MadeVector(Scripted, vector=lambda count: Odd([Scripted] * count, autoreset_mode="Disabled"))
    vector = make_vector(component, COUNT)
    vector.reset(*all_of(COUNT))
    with pytest.raises(RunError, match=f"the vector environment.*{message}"):
        vector.step(np.zeros(COUNT, np.int64))


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize(
    ("space", "value"),
    [(Discrete(3), 3), (Discrete(3, start=-1), 2), (Box(0, 9, (2,), np.int32), np.full(2, 2**40))],
    ids=["choice", "start", "overflow"],
)
def test_observations_of_native_vectors_are_in_range(mode: AutoresetMode, space: gymnasium.Space, value: Any) -> None:
    """Wherever they come from: a step, or the last observation of an episode whose environment has been reset."""

    class Far(SyncVectorEnv):
        def step(self, actions: np.ndarray) -> tuple:
            observation, *results, infos = super().step(actions)
            observation = observation.astype(np.int64)
            if "final_obs" in infos:
                infos["final_obs"][0] = value
            elif mode != AutoresetMode.SAME_STEP:
                observation[0] = value
            return (observation, *results, infos)

    make = partial(Scripted, space)
    vector = make_vector(MadeVector(make, vector=lambda count: Far([make] * count, autoreset_mode=mode)), COUNT)
    vector.reset(*all_of(COUNT))
    with pytest.raises(RunError, match=r"which is not in|cannot hold|declares"):
        steps(vector, 9)


@pytest.mark.parametrize("make", [lambda count: 1 / 0, lambda count: None], ids=["raises", "none"])
def test_a_native_vector_that_cannot_be_made_is_named(make: Any) -> None:
    """With the class of the environment, and not as an error of the framework."""
    with pytest.raises(PluginError, match=r"environment MadeVector cannot be (made: ZeroDivisionError|used: .*None)"):
        make_vector(MadeVector(Scripted, vector=make), COUNT)
