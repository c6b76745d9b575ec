"""Videos of episodes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from framework.errors import FrameworkError, PluginError, RunError, writing
from framework.interfaces import EnvironmentFactory
from framework.runtime.rollout.environments import close_environment, make_environment

_WIDTH = 2400  #: pixels that a video is wide at most


class VideoWriter:
    """Writes pictures to an ``.mp4`` or ``.gif`` file, as a context manager.

    Raises `FrameworkError` for another suffix or a file that cannot be written, and `PluginError` where imageio is
    missing, all at once: before anything has been played for it.
    """

    def __init__(self, path: Path, frames_per_second: float = 30.0):
        if path.suffix not in (".mp4", ".gif"):
            raise FrameworkError(f"{path}: a video's name must end in .mp4 or .gif")
        imageio = _imageio(path.suffix)
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("wb").close()  # ffmpeg would tell at the end, and in its own words
        if path.suffix == ".mp4":
            options: dict[str, Any] = {"fps": frames_per_second, "macro_block_size": 2, "ffmpeg_log_level": "error"}
        else:
            options = {"duration": 1000 / frames_per_second, "loop": 0}
        self._writer = imageio.get_writer(path, **options)

    def add(self, pictures: Sequence[np.ndarray]) -> None:
        """One frame: pictures uint8 [height, width, 3] of one size, side by side."""
        with writing(self._path):
            self._writer.append_data(tile(pictures))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write the rest of the file."""
        with writing(self._path):
            self._writer.close()


def draw_off_screen() -> None:
    """Have environments that draw with SDL look for no desktop where none is: it would complain of what is missing.

    To be called before such an environment is made.
    """
    if not os.environ.get("XDG_RUNTIME_DIR"):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def _imageio(suffix: str) -> Any:
    """The module imageio, able to write ``.mp4`` or ``.gif``. Raises `PluginError` where it is missing."""
    try:
        if suffix == ".mp4":
            import_module("imageio_ffmpeg")
        return import_module("imageio.v2")
    except ImportError as error:
        raise PluginError(f'writing a video needs {error.name}: pip install "framework-rl[video]"') from error


def check_filmable(environment: EnvironmentFactory) -> None:
    """Raise `RunError` where the environments have no pictures, and `PluginError` where nothing writes videos."""
    _imageio(".mp4")
    draw_off_screen()
    example = make_environment(environment)
    close_environment(example, "environment")
    if example.render_mode != "rgb_array":
        raise RunError(f"the environment cannot be filmed: its render mode is {example.render_mode}, not rgb_array")


def frames_per_second(environment: EnvironmentFactory) -> float:
    """As the environments want to be watched, else 30."""
    example = make_environment(environment)
    close_environment(example, "environment")
    return float(example.metadata.get("render_fps", 30))


def tile(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures [height, width, 3] in a grid about as wide as high, thinned out where it is wider than a screen.

    Height and width of the result are even, as video formats want them.
    """
    height, width, channels = pictures[0].shape
    columns = min(len(pictures), math.ceil(math.sqrt(len(pictures) * height / width)))
    rows = math.ceil(len(pictures) / columns)
    grid = np.zeros((rows * height, columns * width, channels), np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        grid[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    thinned = grid[:: math.ceil(grid.shape[1] / _WIDTH), :: math.ceil(grid.shape[1] / _WIDTH)]
    return np.pad(thinned, [(0, thinned.shape[0] % 2), (0, thinned.shape[1] % 2), (0, 0)])
