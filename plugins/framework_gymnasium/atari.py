"""Atari 2600 games, one by one or in ALE's own vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from framework.interfaces import EnvironmentContext
from framework.schema import suggest
from framework_gymnasium.config import AtariConfig
from framework_gymnasium.environment import fault, import_package


class AtariEnvironment:
    """An Atari game; observations are uint8 [stack, size, size], with a last axis of 3 where they are in colour.

    Rewards are the game's own: clip them in the algorithm. Both forms reset to a new game after each episode, so an
    episode is a function of its seed.
    """

    def __init__(self, config: AtariConfig, context: EnvironmentContext):
        import_package("cv2", "atari", "atari")
        ale = import_package("ale_py", "atari", "atari")
        games = ale.roms.get_all_rom_ids()
        if config.game not in games:
            guess = suggest(config.game.lower(), games)
            raise fault("game", f"ALE knows no game {config.game}" + (f"; did you mean {guess}?" if guess else ""))
        self.native = config.native
        self._config = config
        self._context = context

    def make(self) -> gymnasium.Env[Any, Any]:
        """One game."""
        from framework_gymnasium.atari_game import AtariGame

        return AtariGame(self._config, self._context.render_mode)

    def make_vector(self, count: int) -> VectorEnv[Any, Any, Any]:
        """``count`` games in ALE's vector environment."""
        return ALEVector(self._config, count)


class ALEVector(VectorEnv[Any, Any, Any]):
    """ALE's vector environment without autoreset.

    ALE resets a finished game in the next step, unless a masked reset, with a seed of its own, comes first; it
    always does here. Seeds and masks are those of Gymnasium's ``SyncVectorEnv``.
    """

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, config: AtariConfig, count: int):
        from ale_py.vector_env import AtariVectorEnv

        self._ale = AtariVectorEnv(
            config.game,
            num_envs=count,
            num_threads=config.threads,
            autoreset_mode=AutoresetMode.NEXT_STEP,
            max_num_frames_per_episode=config.max_frames,
            repeat_action_probability=config.sticky_actions,
            full_action_space=config.full_action_space,
            img_height=config.screen_size,
            img_width=config.screen_size,
            grayscale=config.grayscale,
            stack_num=config.stack,
            frameskip=config.frame_skip,
            noop_max=config.noop_max,
            episodic_life=config.episodic_life,
            reward_clipping=False,
            use_fire_reset=config.fire_reset,
        )
        self.num_envs = count
        self.single_observation_space = self._ale.single_observation_space
        self.single_action_space = self._ale.single_action_space
        self.observation_space = self._ale.observation_space
        self.action_space = self._ale.action_space

    def reset(
        self, *, seed: Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environments of ``options["reset_mask"]``, or all; ``seed`` has one entry for each environment."""
        mask = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        seeds = [None] * self.num_envs if seed is None else seed
        # ALE's seeds have 31 bits; -1 stands for none.
        ale_seeds = np.array([-1 if seeds[i] is None else seeds[i] % 2**31 for i in np.flatnonzero(mask)])
        return self._ale.reset(seed=ale_seeds, options={"reset_mask": mask} if options else None)

    def step(self, actions: np.ndarray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One action for each environment."""
        return self._ale.step(actions)

    def close_extras(self, **kwargs: Any) -> None:
        """Free the games and their threads."""
        del self._ale
