"""ResearchEnv: questions that are answered by searching, reading, looking at figures and taking notes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from framework.interfaces import EnvironmentContext
from framework_research.config import ResearchConfig
from framework_research.desks import Desks, spaces, task_of
from framework_research.vector import ResearchVectorEnv

_FIRST = np.zeros(1, np.int64)
_ENDED = np.ones(1, bool)


class ResearchEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One research agenda an episode. Keyword arguments are those of `ResearchConfig`.

    Observations are [31, 48] float32 (see `framework_research.view`), actions the 55 of `framework_research.rules`,
    of which ``info["action_mask"]`` tells the legal ones. With the end of an episode come ``info["success"]`` and
    ``info["metrics"]``: its "efficiency" is the fewest steps that succeed by those it took, or 0 where it failed. A
    seed is that of a world: with the same level it is the same one, byte for byte.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, **options: Any):
        self.config = ResearchConfig(**options)
        self.observation_space, self.action_space = spaces()
        self.desks = Desks(self.config, 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Start an episode; ``options["task"]`` may say its level and seed, see `framework_research.desks.task_of`."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**63))
        self.desks.begin(_FIRST, [options.get("task") if options else None], [seed])
        return self.desks.observations()[0], {"action_mask": self.desks.masks[0].copy()}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take one action; an illegal one does nothing and costs 0.01."""
        desks = self.desks
        desks.step([action])
        info: dict[str, Any] = {"action_mask": desks.masks[0].copy()}
        terminated, truncated = bool(desks.terminated[0]), bool(desks.truncated[0])
        if terminated or truncated:
            info["success"] = bool(desks.succeeded[0])
            info["metrics"] = {"efficiency": float(desks.efficiencies(_ENDED)[0])}
        return desks.observations()[0], float(desks.rewards[0]), terminated, truncated, info

    @staticmethod
    def generate_task(level: float, seed: int) -> dict[str, Any]:
        """A task for the options of `reset`; raises `RunError` for a level or a seed that there is not."""
        level, seed = task_of({"level": level, "seed": seed}, level, seed)
        return {"level": level, "seed": seed}


class ResearchEnvironment:
    """The component ``research``."""

    def __init__(self, config: ResearchConfig, context: EnvironmentContext):
        self._config = config
        self.native = config.native

    def make(self) -> ResearchEnv:
        """One environment."""
        return ResearchEnv(**_options(self._config))

    def make_vector(self, count: int) -> ResearchVectorEnv:
        """``count`` environments in one."""
        return ResearchVectorEnv(count, **_options(self._config))


def _options(config: ResearchConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ResearchConfig.__annotations__}
