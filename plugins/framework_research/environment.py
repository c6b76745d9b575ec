"""ResearchEnv: questions that are answered by searching, reading, looking at figures and taking notes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from framework.interfaces import EnvironmentContext
from framework_research.config import ResearchConfig
from framework_research.episodes import EpisodeBatch, level_and_seed
from framework_research.observe.spaces import action_space, observation_space
from framework_research.render.renderer import MODES, EpisodeRenderer
from framework_research.vector import ResearchVectorEnv

_FIRST = np.zeros(1, np.int64)
_ENDED = np.ones(1, bool)


class ResearchEnv(gymnasium.Env[Any, np.int64]):
    """One research agenda an episode. Keyword arguments are those of `ResearchConfig`, and the render mode.

    Observations are those of its mode (see `framework_research.observe.spaces`), actions the 55 of
    `framework_research.browser.actions`, of which ``info["action_mask"]`` tells the legal ones. With the end of an
    episode come ``info["success"]`` and ``info["metrics"]``: its "efficiency" is the fewest steps that succeed by those
    it took, or 0 where it failed. A seed is that of a world: with the same level it is the same one, byte for byte.
    """

    metadata = {"render_modes": [*MODES], "render_fps": 2}  # noqa: RUF012

    def __init__(self, *, render_mode: str | None = None, **options: Any):
        self.config = ResearchConfig(**options)
        self.render_mode = render_mode
        mode = self.config.observation_mode
        self.observation_space, self.action_space = observation_space(mode), action_space(mode)
        self.episodes = EpisodeBatch(self.config, 1)
        self._renderer = (
            EpisodeRenderer(render_mode, self.episodes.corpus, self.config.max_steps) if render_mode else None
        )
        self._action = np.empty(1, np.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict]:
        """Start an episode; ``options["task"]`` may say its level and seed, as `level_and_seed` reads it."""
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**63))
        self.episodes.reset(_FIRST, [options.get("task") if options else None], [seed])
        if self._renderer:
            self._renderer.reset()
        return self._observation(), {"action_mask": self.episodes.masks[0].copy()}

    def step(self, action: np.int64) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one action; an illegal one does nothing and costs 0.01."""
        episodes = self.episodes
        if self._renderer and action in self.action_space:  # another one is refused below
            episodes.expect_begun()
            self._renderer.before_action(episodes.worlds[0], episodes.browsers[0], episodes.masks[0], int(action))
        self._action[0] = action
        episodes.step(self._action)
        if self._renderer:
            self._renderer.after_action(episodes.browsers[0], float(episodes.rewards[0]))
        info: dict[str, Any] = {"action_mask": episodes.masks[0].copy()}
        terminated, truncated = bool(episodes.terminated[0]), bool(episodes.truncated[0])
        if terminated or truncated:
            info["success"] = bool(episodes.succeeded[0])
            info["metrics"] = {"efficiency": float(episodes.efficiencies(_ENDED)[0])}
        return self._observation(), float(episodes.rewards[0]), terminated, truncated, info

    def _observation(self) -> Any:
        batch = self.episodes.observations()
        return {name: array[0] for name, array in batch.items()} if isinstance(batch, dict) else batch[0]

    def render(self) -> str | np.ndarray | None:
        """What a person can follow: a text ("ansi"), a picture uint8 [480, 800, 3] ("rgb_array"), or None."""
        if not self._renderer:
            return None
        self.episodes.expect_begun()
        return self._renderer.render(self.episodes.worlds[0], self.episodes.browsers[0])

    @staticmethod
    def generate_task(level: float, seed: int) -> dict[str, Any]:
        """A task for the options of `reset`; raises `RunError` for a level or a seed that there is not."""
        level, seed = level_and_seed({"level": level, "seed": seed}, level, seed)
        return {"level": level, "seed": seed}


class ResearchEnvironment:
    """The component ``research``."""

    def __init__(self, config: ResearchConfig, context: EnvironmentContext):
        self._config, self._render_mode = config, context.render_mode
        self.native = config.native

    def make(self) -> ResearchEnv:
        """One environment."""
        return ResearchEnv(render_mode=self._render_mode, **_options(self._config))

    def make_vector(self, count: int) -> ResearchVectorEnv:
        """``count`` environments in one."""
        return ResearchVectorEnv(count, **_options(self._config))


def _options(config: ResearchConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in ResearchConfig.__annotations__}
