"""Many research environments stepped as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from framework.errors import RunError
from framework_research.config import ResearchConfig
from framework_research.episodes import EpisodeBatch
from framework_research.observe.spaces import action_space, observation_space


class ResearchVectorEnv(VectorEnv[Any, np.ndarray, np.ndarray]):
    """``num_envs`` of `ResearchEnv`, step for step. Those that have ended wait for a reset with their mask."""

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012

    def __init__(self, num_envs: int, *, render_mode: str | None = None, **options: Any):
        if render_mode is not None:
            raise RunError(f"research environments stepped as one draw nothing, so not in mode {render_mode!r} either")
        self.num_envs = num_envs
        config = ResearchConfig(**options)
        self.single_observation_space = observation_space(config.observation_mode)
        self.single_action_space = action_space(config.observation_mode)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.episodes = EpisodeBatch(config, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes where ``options["reset_mask"]`` is true, by default everywhere.

        ``options["tasks"]`` has a task, or None, for each environment; a seed may be one for each, or the first of
        successive ones. An environment without seed gets one from ``np_random``, which the first seed of all seeds.
        Raises `ValueError` where there is another number of seeds or tasks.
        """
        options, count = options or {}, self.num_envs
        seeds = [None if seed is None else seed + at for at in range(count)] if not isinstance(seed, list) else seed
        tasks = options.get("tasks", [None] * count)
        for name, values in (("seed", seeds), ("task", tasks)):
            if len(values) != count:
                raise ValueError(f"expected a {name} for each of {count} environments, not {len(values)}")
        index = np.flatnonzero(options.get("reset_mask", np.ones(count, bool)))
        if len(index) == count and seeds[0] is not None:
            super().reset(seed=int(seeds[0]))
        world_seeds = [int(self.np_random.integers(2**63)) if seeds[at] is None else int(seeds[at]) for at in index]
        self.episodes.reset(index, [tasks[at] for at in index], world_seeds)
        return self.episodes.observations(), {"action_mask": self.episodes.masks.copy()}

    def step(self, actions: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One action in each environment."""
        episodes = self.episodes
        episodes.step(actions)
        terminated, truncated = episodes.terminated.copy(), episodes.truncated.copy()
        infos: dict[str, Any] = {"action_mask": episodes.masks.copy()}
        ended = terminated | truncated
        if ended.any():
            metrics = {"efficiency": episodes.efficiencies(ended), "_efficiency": ended}
            infos |= {"success": episodes.succeeded, "_success": ended, "metrics": metrics, "_metrics": ended}
        return episodes.observations(), episodes.rewards.copy(), terminated, truncated, infos
