"""MiniGrid: the observation without its mission text, in the form that the pipeline chooses."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium

from framework.interfaces import EnvironmentContext
from framework_gymnasium.config import GymnasiumConfig, MiniGridConfig
from framework_gymnasium.environment import GymnasiumEnvironment, import_package

_KEEP = {"use": "FilterObservation", "filter_keys": ["image", "direction"]}
_WRAPPERS: dict[str, tuple[str | dict[str, Any], ...]] = {
    "dict": (_KEEP,),
    "image": ("minigrid.wrappers:ImgObsWrapper",),
    "one_hot": ("minigrid.wrappers:OneHotPartialObsWrapper", _KEEP),
    "flat": ("minigrid.wrappers:FlatObsWrapper",),
    "rgb": ("minigrid.wrappers:RGBImgPartialObsWrapper", _KEEP),
}


class MiniGridEnvironment(GymnasiumEnvironment):
    """MiniGrid and BabyAI environments; ``info["success"]`` says whether an episode ended with its reward."""

    def __init__(self, config: MiniGridConfig, context: EnvironmentContext):
        import_package("minigrid", "minigrid", config.id)
        registered = GymnasiumConfig(
            id=config.id,
            kwargs=config.kwargs,
            max_episode_steps=config.max_episode_steps,
            wrappers=(*_WRAPPERS[config.observation], "framework_gymnasium.minigrid:Success", *config.wrappers),
        )
        super().__init__(registered, context)


class Success(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds ``info["success"]``: MiniGrid rewards nothing but reaching the goal."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """One step of the environment."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            info = info | {"success": float(reward) > 0}
        return observation, reward, terminated, truncated, info
