"""Checks of environments: Gymnasium's own, one by one, and what the kernel relies on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.utils import env_checker, passive_env_checker

from framework.interfaces import EnvironmentContext, NativeEnvironmentFactory
from framework.testing.common import seeded
from framework.testing.compare import difference
from framework.testing.legal import sample_legal
from framework.testing.subject import Skip, Subject

#: Steps of an environment that are compared.
_STEPS = 60
#: Several, as some environments draw no more than a bit for an episode.
_SEEDS = range(0, 1000, 100)

#: What Gymnasium's checks say that is no fault here: unbounded spaces are common, and so are wrappers.
_HARMLESS = (
    "infinity",
    "is different from the unwrapped version",
    "For Box action spaces, we recommend",
    "It seems a Box observation space is an image",
    "A Box observation space has an unconventional shape",
    "render_modes",
    "render_fps",
)


def check_spaces(subject: Subject) -> None:
    """Its spaces are of the kinds that the framework takes, and its environments agree on them."""
    from framework.toolkit.spaces import check_action_space, flat_space

    with _environments(subject, 2) as (first, second):
        assert flat_space(first.observation_space)
        check_action_space(first.action_space)
        assert first.observation_space == second.observation_space, "two environments have different observation spaces"
        assert first.action_space == second.action_space, "two environments have different action spaces"


def check_seeding(subject: Subject) -> None:
    """The same seed and actions give the same episodes, whatever was played before: runs are resumed this way."""
    with _environments(subject, 2) as (fresh, used):
        with seeded(1):
            _play(used, 3)
        with seeded(2):
            episodes = [_play(fresh, seed) for seed in _SEEDS]
        with seeded(3):
            replayed = [_play(used, seed) for seed in _SEEDS]
    assert not (differing := difference(episodes, replayed)), (
        f"two episodes of the same seed differ: {differing}; draw every random number from self.np_random, after "
        "super().reset(seed=seed)"
    )


def check_seeds_matter(subject: Subject) -> None:
    """Other seeds give other episodes."""
    with _environments(subject, 1) as (environment,):
        episodes = [_play(environment, seed, actions_seed=0) for seed in range(8)]
    if not any(difference(episodes[0], episode) for episode in episodes[1:]):
        raise Skip("eight seeds give the same episode: it has nothing random")


def check_no_global_random_state(subject: Subject) -> None:
    """Python's and NumPy's global generators stay as they are."""
    import random

    with _environments(subject, 1) as (environment,), seeded(1):
        states = random.getstate(), np.random.get_state()
        _play(environment, 0)
        changed = difference((random.getstate(), np.random.get_state()), states)
    assert not changed, "it draws from a global generator: use self.np_random"


def check_vector_equals_single(subject: Subject) -> None:
    """Environments stepped side by side share nothing: each gives what it gives alone."""
    with _environments(subject, 3) as together:
        turns = [_turns(environment, seed) for seed, environment in enumerate(together)]
        mixed: list[list[Any]] = [[] for _ in together]
        for _ in range(_STEPS):
            for index, turn in enumerate(turns):
                mixed[index].append(next(turn))
    for seed, beside_others in enumerate(mixed):
        with _environments(subject, 1) as (environment,):
            turn = _turns(environment, seed)
            differing = difference([next(turn) for _ in range(_STEPS)], beside_others)
        assert not differing, f"beside others, an environment plays differently than alone: {differing}"


def check_observations_fit(subject: Subject) -> None:
    """Observations are in their space, and rewards are finite."""
    with _environments(subject, 1) as (environment,):
        for observation, reward, *_ in _play(environment, 0):
            assert environment.observation_space.contains(observation), (
                f"an observation is not in {environment.observation_space}: {observation!r}"
            )
            assert np.isfinite(float(reward)), f"the reward is {reward!r}"


def check_observations_are_not_reused(subject: Subject) -> None:
    """Later steps do not change an observation."""
    with _environments(subject, 1) as (environment,):
        observation, info = environment.reset(seed=0)
        observations = [(observation, deepcopy(observation))]
        environment.action_space.seed(0)
        for _ in range(5):
            observation, _, terminated, truncated, info = environment.step(_action(environment, info))
            observations.append((observation, deepcopy(observation)))
            if terminated or truncated:
                break
        changed = [step for step, (original, copied) in enumerate(observations) if difference(original, copied)]
    assert not changed, f"the observation of step {changed[0]} changed afterwards: give a copy" if changed else ""


def check_action_masks(subject: Subject) -> None:
    """Where it tells the legal actions, it does so always, in the action space's size, and there is always one."""
    from framework.toolkit.spaces import flat_mask, mask_size

    with _environments(subject, 1) as (environment,):
        infos = [info for *_, info in _play(environment, 0)]
        if not any("action_mask" in info for info in infos):
            raise Skip("it gives no info['action_mask']")
        assert all("action_mask" in info for info in infos), "info['action_mask'] is there only sometimes"
        assert mask_size(environment.action_space), f"masks mean nothing to {environment.action_space}"
        for info in infos:
            flat_mask(environment.action_space, info["action_mask"])


def check_success(subject: Subject) -> None:
    """Where it tells success, it does so at each episode's end, as true or false."""
    with _environments(subject, 1) as (environment,):
        ends = [info for _, _, terminated, truncated, info in _play(environment, 0) if terminated or truncated]
        successes = [info["success"] for info in ends if "success" in info]
        if not successes:
            raise Skip("it gives no info['success']")
        assert len(successes) == len(ends), "info['success'] is there at some ends of episodes only"
        assert all(isinstance(value, (bool, np.bool_)) for value in successes), f"info['success'] is {successes[0]!r}"


def check_snapshots(subject: Subject) -> None:
    """Where it offers snapshots, an environment that loads one goes on as the one does that saved it."""
    from framework.runtime.rollout.snapshots import find_snapshots

    shown: list[Any] = []
    with _environments(subject, 2) as (saving, loading):
        snapshots = find_snapshots((saving, loading), lambda *arguments: shown.append(arguments[1]))
        if snapshots is None:
            raise Skip("its outermost layer has no save_snapshot and load_snapshot")
        for count, seed in enumerate(_SEEDS):
            turns = _turns(saving, seed)
            start = [next(turns) for _ in range(1 + 3 * count)]
            if any(terminated or truncated for _, _, terminated, truncated, _ in start):
                continue
            loading.reset(seed=seed)
            shown.clear()
            snapshots.load(1, snapshots.save(0))
            assert shown, "it refuses its own snapshot"
            differing = difference(start[-1][0], shown[0])
            assert not differing, f"load_snapshot gives another observation: {differing}"
            _check_same_steps(saving, loading, start[-1][-1])


def _check_same_steps(one: Any, other: Any, info: dict[str, Any]) -> None:
    for _ in range(_STEPS):
        action = _action(one, info)
        *turn, info = one.step(action)
        *again, _ = other.step(action)
        differing = difference(turn, again)
        assert not differing, f"after load_snapshot it plays differently: {differing}"
        if turn[2] or turn[3]:
            return


def check_native_vector(subject: Subject) -> None:
    """Its own vector version has the same spaces, and says how finished environments are reset."""
    component = subject.build(EnvironmentContext(seed=0))
    if not isinstance(component, NativeEnvironmentFactory) or not getattr(component, "native", False):
        raise Skip("its own vector version is not asked for")
    with _environments(subject, 1) as (environment,):
        vector = component.make_vector(2)
        try:
            assert vector.single_observation_space == environment.observation_space, "it has another observation space"
            assert vector.single_action_space == environment.action_space, "it has another action space"
            assert "autoreset_mode" in vector.metadata, "metadata['autoreset_mode'] is missing"
        finally:
            vector.close()


# --- Gymnasium's checks ------------------------------------------------------------------------------------------


def check_gymnasium_spaces(subject: Subject) -> None:
    """Gymnasium's check of both spaces."""

    def both(environment: Any) -> None:
        passive_env_checker.check_observation_space(environment.observation_space)
        passive_env_checker.check_action_space(environment.action_space)

    _gymnasium(subject, both)


def check_gymnasium_reset_seed(subject: Subject) -> None:
    """Gymnasium's check of ``reset(seed=...)``."""
    _gymnasium(subject, env_checker.check_reset_seed_determinism)


def check_gymnasium_reset_options(subject: Subject) -> None:
    """Gymnasium's check of ``reset(options=...)``."""
    _gymnasium(subject, env_checker.check_reset_options)


def check_gymnasium_reset_return(subject: Subject) -> None:
    """Gymnasium's check of what ``reset`` returns."""
    _gymnasium(subject, env_checker.check_reset_return_type)
    _gymnasium(subject, passive_env_checker.env_reset_passive_checker)


def check_gymnasium_step_determinism(subject: Subject) -> None:
    """Gymnasium's check that equal steps have equal results."""
    with _environments(subject, 1) as (environment,):
        if "action_mask" in environment.reset(seed=0)[1]:
            raise Skip("Gymnasium's check would take illegal actions")
    _gymnasium(subject, env_checker.check_step_determinism)


def check_gymnasium_step_return(subject: Subject) -> None:
    """Gymnasium's check of what ``step`` returns."""

    def step(environment: Any) -> None:
        _, info = environment.reset(seed=0)
        environment.action_space.seed(0)
        passive_env_checker.env_step_passive_checker(environment, _action(environment, info))

    _gymnasium(subject, step)


def check_gymnasium_seed_method(subject: Subject) -> None:
    """Gymnasium's check that no method of older versions is left."""
    _gymnasium(subject, env_checker.check_seed_deprecation)


def _gymnasium(subject: Subject, check: Callable[[Any], Any]) -> None:
    with _environments(subject, 1) as (environment,), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(environment)
    messages = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    faults = [text for text in messages if not any(part in text for part in _HARMLESS)]
    assert not faults, "; ".join(faults)


# --- helpers -----------------------------------------------------------------------------------------------------

Turn = tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]


@contextmanager
def _environments(subject: Subject, count: int) -> Iterator[Sequence[gymnasium.Env[Any, Any]]]:
    component = subject.build(EnvironmentContext(seed=0))
    environments = [component.make() for _ in range(count)]
    try:
        yield environments
    finally:
        for environment in environments:
            environment.close()


def _turns(environment: Any, seed: int, actions_seed: int | None = None) -> Iterator[Turn]:
    """Steps with random legal actions, over as many episodes as that takes."""
    environment.action_space.seed(seed if actions_seed is None else actions_seed)
    while True:
        observation, info = environment.reset(seed=seed)
        yield deepcopy(observation), 0.0, False, False, info
        terminated = truncated = False
        while not (terminated or truncated):
            observation, reward, terminated, truncated, info = environment.step(_action(environment, info))
            yield deepcopy(observation), float(reward), bool(terminated), bool(truncated), info
        seed += 1


def _play(environment: Any, seed: int, actions_seed: int | None = None) -> list[Turn]:
    turns = _turns(environment, seed, actions_seed)
    return [next(turns) for _ in range(_STEPS)]


def _action(environment: Any, info: dict[str, Any]) -> Any:
    from framework.toolkit.spaces import flat_mask

    space, mask = environment.action_space, info.get("action_mask")
    return sample_legal(space, None if mask is None else flat_mask(space, mask))


CHECKS = (
    check_spaces,
    check_seeding,
    check_seeds_matter,
    check_no_global_random_state,
    check_vector_equals_single,
    check_observations_fit,
    check_observations_are_not_reused,
    check_action_masks,
    check_success,
    check_snapshots,
    check_native_vector,
    check_gymnasium_spaces,
    check_gymnasium_reset_seed,
    check_gymnasium_reset_options,
    check_gymnasium_reset_return,
    check_gymnasium_step_determinism,
    check_gymnasium_step_return,
    check_gymnasium_seed_method,
)
