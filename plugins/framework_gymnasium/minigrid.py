"""MiniGrid: the observation without its mission text, in the form that the pipeline chooses."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
from attrs import evolve

from framework.errors import PipelineError, RunError
from framework.interfaces import EnvironmentContext
from framework_gymnasium.config import GymnasiumConfig, MiniGridConfig
from framework_gymnasium.environment import GymnasiumEnvironment, import_package
from framework_gymnasium.tasks import TaskSeed, TaskVariant

_KEEP = {"use": "FilterObservation", "filter_keys": ["image", "direction"]}
_WRAPPERS: dict[str, tuple[str | dict[str, Any], ...]] = {
    "dict": (_KEEP,),
    "image": ("minigrid.wrappers:ImgObsWrapper",),
    "one_hot": ("minigrid.wrappers:OneHotPartialObsWrapper", _KEEP),
    "flat": ("minigrid.wrappers:FlatObsWrapper",),
    "rgb": ("minigrid.wrappers:RGBImgPartialObsWrapper", _KEEP),
}


class MiniGridEnvironment(GymnasiumEnvironment):
    """MiniGrid and BabyAI environments; ``info["success"]`` says whether an episode ended with its reward.

    A task is the id of another such environment, a table of arguments for it (with ``id``, or for the pipeline's own
    environment), or an integer: the seed of a world.
    """

    def __init__(self, config: MiniGridConfig, context: EnvironmentContext):
        import_package("minigrid", "minigrid", config.id)
        registered = GymnasiumConfig(
            id=config.id,
            kwargs=config.kwargs,
            max_episode_steps=config.max_episode_steps,
            wrappers=(*_WRAPPERS[config.observation], "framework_gymnasium.minigrid:Success", *config.wrappers),
        )
        super().__init__(registered, context)

    def make(self) -> gymnasium.Env[Any, Any]:
        """One environment, which is another one where a task says so."""
        return TaskVariant(TaskSeed(super().make()), self._variant)

    def _variant(self, task: Any) -> gymnasium.Env[Any, Any] | None:
        if isinstance(task, int):
            return None
        if not isinstance(task, str | dict):
            raise RunError(
                f"a task must be an environment's id, a table of its arguments, or the seed of a world, not {task!r}"
            )
        arguments = {"id": task} if isinstance(task, str) else dict(task)
        id = arguments.pop("id", self._config.id)
        try:
            config = evolve(self._config, id=id, kwargs=self._config.kwargs | arguments)
            return GymnasiumEnvironment(config, self._context).make()
        except (PipelineError, ValueError) as error:
            raise RunError(f"the task {task!r}: {error}") from error


class Success(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds ``info["success"]``: MiniGrid rewards nothing but reaching the goal."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """One step of the environment."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info = info | {"success": float(reward) > 0}
        return observation, reward, terminated, truncated, info
