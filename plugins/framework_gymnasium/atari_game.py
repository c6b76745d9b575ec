"""One Atari game with its preprocessing, in one environment: no wrapper in between, and resets that cost nothing."""

from __future__ import annotations

import json
import zlib
from typing import Any, ClassVar

import cv2
import gymnasium
import numpy as np
from ale_py import ALEInterface, ALEState, LoggerMode, roms
from gymnasium.spaces import Box, Discrete

from framework_gymnasium.config import AtariConfig


class AtariGame(gymnasium.Env[np.ndarray, int]):
    """Frame skip, max-pooling, resizing, stacking, no-ops, FIRE, life loss and sticky actions as `AtariConfig` says.

    Observations are uint8 [stack, size, size], with a last axis of 3 in colour; a new episode starts with its first
    frame repeated. ALE takes a new seed only where it loads the game again, which costs a tenth of a second; so the
    game returns to the state after loading, and all chance (no-ops, sticky actions) comes from `np_random`. An
    episode is thereby a function of its seed and actions. Sources: Mnih et al. 2015; Machado et al. 2018,
    section 5.2, for sticky actions.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 60}

    def __init__(self, config: AtariConfig, render_mode: str | None = None):
        self.render_mode = render_mode
        self._config = config
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._ale = ALEInterface()
        self._ale.setInt("random_seed", 0)
        self._ale.setFloat("repeat_action_probability", 0.0)
        self._ale.setInt("max_num_frames_per_episode", config.max_frames)
        self._ale.loadROM(roms.get_rom_path(config.game))
        self._ale.reset_game()
        self._start = self._ale.cloneState(include_rng=True)
        self._actions = self._ale.getLegalActionSet() if config.full_action_space else self._ale.getMinimalActionSet()
        names = [action.name for action in self._actions]
        self._noop = self._actions[names.index("NOOP")]
        self._fire = self._actions[names.index("FIRE")] if config.fire_reset and "FIRE" in names else None
        colours = () if config.grayscale else (3,)
        height, width = self._ale.getScreenDims()
        self._screens = np.zeros((2, height, width, *colours), np.uint8)
        self._frames = np.zeros((config.stack, config.screen_size, config.screen_size, *colours), np.uint8)
        self._grab(0)
        self._first_screen = self._screens[0].copy()
        self.action_space = Discrete(len(self._actions))
        self.observation_space = Box(0, 255, self._frames.shape, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new game, after its no-ops and FIRE."""
        super().reset(seed=seed)
        self._new_game()
        if self._config.noop_max:
            for _ in range(self.np_random.integers(1, self._config.noop_max + 1)):
                self._ale.act(self._noop)
                if self._ale.game_over():
                    self._new_game()
        if self._fire is not None:
            for _ in range(self._config.frame_skip):
                self._ale.act(self._fire)
            if self._ale.game_over():
                self._new_game()
        self._lives = self._ale.lives()
        if self._ale.getEpisodeFrameNumber():
            self._grab(0)
        else:
            # ALE restores the game, but not its screen.
            self._screens[0] = self._first_screen
        self._frames[:] = self._frame(0)
        return self._frames.copy(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """``frame_skip`` frames with one action; the reward is their sum, not clipped."""
        skip, ale = self._config.frame_skip, self._ale
        ale_action = self._actions[action]
        sticks = self._config.sticky_actions
        repeats = self.np_random.random(skip) < sticks if sticks else (False,) * skip
        reward, terminated, pooled = 0.0, False, False
        for frame, repeat in enumerate(repeats):
            self._last = self._last if repeat else ale_action
            reward += ale.act(self._last)
            terminated = ale.game_over(with_truncation=False) or (
                self._config.episodic_life and ale.lives() < self._lives
            )
            if terminated or ale.game_truncated():
                break
            if frame == skip - 2:
                self._grab(1)
                pooled = True
        self._lives = ale.lives()
        self._grab(0)
        self._frames[:-1] = self._frames[1:]
        self._frames[-1] = self._frame(1 if pooled else 0)
        return self._frames.copy(), reward, terminated, ale.game_truncated() and not terminated, self._info()

    def save_snapshot(self) -> bytes:
        """See `framework.interfaces.SnapshotEnvironment`: ALE's own serialization, the frames, and what is left."""
        game = self._ale.cloneState(include_rng=True).serialize()
        frames = zlib.compress(self._frames.tobytes(), 1)
        last = self._actions.index(self._last)
        header = json.dumps([len(game), last, self._lives, self.np_random.bit_generator.state]).encode()
        return b"\n".join((header, game + frames))

    def load_snapshot(self, snapshot: bytes) -> tuple[np.ndarray, dict[str, Any]]:
        """See `framework.interfaces.SnapshotEnvironment`."""
        try:
            header, content = snapshot.split(b"\n", 1)
            size, last, lives, generator = json.loads(header)
            game = ALEState(content[:size])
            frames = np.frombuffer(zlib.decompress(content[size:]), np.uint8)
            self._frames[:] = frames.reshape(self._frames.shape)
            self._last, self._lives = self._actions[last], int(lives)
            self.np_random.bit_generator.state = generator
            self._ale.restoreState(game)
        except (LookupError, OverflowError, SystemError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(f"not a snapshot of this game: {error}") from error
        return self._frames.copy(), self._info()

    def render(self) -> np.ndarray:
        """The screen in colour, [height, width, 3] uint8."""
        return self._ale.getScreenRGB()

    def _new_game(self) -> None:
        self._ale.restoreState(self._start)
        self._last = self._noop

    def _grab(self, screen: int) -> None:
        if self._config.grayscale:
            self._ale.getScreenGrayscale(self._screens[screen])
        else:
            self._ale.getScreenRGB(self._screens[screen])

    def _frame(self, last: int) -> np.ndarray:
        """The screens up to ``last``, pooled against flicker and resized."""
        screen = np.maximum(self._screens[0], self._screens[1]) if last else self._screens[0]
        size = self._config.screen_size
        return cv2.resize(screen, (size, size), interpolation=cv2.INTER_AREA)

    def _info(self) -> dict[str, Any]:
        return {"lives": self._lives, "frames": self._ale.getEpisodeFrameNumber()}
