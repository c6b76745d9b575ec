"""EnvPool: environments written in C++, seeded where the pool is made and reset by the pool itself."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from framework.interfaces import EnvironmentContext
from framework.schema import suggest
from framework_gymnasium.config import EnvPoolConfig
from framework_gymnasium.environment import fault, import_package


class EnvPoolEnvironment:
    """Environments of EnvPool. One pool after another is made: each reset with a seed makes its own."""

    def __init__(self, config: EnvPoolConfig, context: EnvironmentContext):
        self._envpool = import_package("envpool", "envpool", "envpool")
        ids = self._envpool.list_all_envs()
        if config.id not in ids:
            guess = suggest(config.id, ids)
            raise fault(
                "id", f"EnvPool knows no environment {config.id}" + (f"; did you mean {guess}?" if guess else "")
            )
        self.native = config.native
        self._config = config

    def make(self) -> gymnasium.Env[Any, Any]:
        """One environment: a pool of one."""
        return PoolOfOne(self.make_vector(1))

    def make_vector(self, count: int) -> VectorEnv[Any, Any, Any]:
        """A pool of ``count`` environments."""
        return Pool(self._envpool, self._config, count)


class Pool(VectorEnv[Any, Any, Any]):
    """A pool that is made when it is reset, because EnvPool takes a seed nowhere else."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, envpool: Any, config: EnvPoolConfig, count: int):
        arguments = dict(config.kwargs) | {"num_envs": count, "num_threads": config.threads}
        if config.max_episode_steps is not None:
            arguments["max_episode_steps"] = config.max_episode_steps
        self._make = lambda **more: envpool.make_gymnasium(config.id, **arguments, **more)
        with _rounded_bounds():
            spec = envpool.make_spec(config.id, **arguments)
            self.single_observation_space = spec.gymnasium_observation_space
            self.single_action_space = spec.gymnasium_action_space
        self.num_envs = count
        self.observation_space = batch_space(self.single_observation_space, count)
        self.action_space = batch_space(self.single_action_space, count)
        self._pool: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """All environments anew; without a seed with EnvPool's own."""
        with _rounded_bounds():
            self._pool = self._make() if seed is None else self._make(seed=seed % 2**31)
            return self._pool.reset()

    def step(self, actions: np.ndarray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One action for each environment."""
        return self._pool.step(actions)

    def close_extras(self, **kwargs: Any) -> None:
        """Free the environments and their threads."""
        self._pool = None


class PoolOfOne(gymnasium.Env[Any, Any]):
    """A pool of one as a single environment."""

    def __init__(self, pool: VectorEnv[Any, Any, Any]):
        self._pool = pool
        self.observation_space = pool.single_observation_space
        self.action_space = pool.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed)
        observation, _ = self._pool.reset(seed=int(self.np_random.integers(2**31)))
        return _first(observation), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One step."""
        observation, reward, terminated, truncated, _ = self._pool.step(np.asarray(action)[None])
        return _first(observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

    def close(self) -> None:
        """Free the environment."""
        self._pool.close()


@contextmanager
def _rounded_bounds() -> Iterator[None]:
    """Gymnasium warns of each bound that EnvPool gives as float64 to a space of float32."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*precision lowered")
        yield


def _first(batch: Any) -> Any:
    """The first environment's part of a batch, nested or not."""
    if isinstance(batch, dict):
        return {key: _first(part) for key, part in batch.items()}
    return tuple(map(_first, batch)) if isinstance(batch, tuple) else batch[0]
