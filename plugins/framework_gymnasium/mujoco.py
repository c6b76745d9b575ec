"""What MuJoCo says while it compiles a model, and what it draws with."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

MODULE = "gymnasium.envs.mujoco"  #: Where Gymnasium's own environments of MuJoCo are.


@contextmanager
def compiled_quietly() -> Iterator[None]:
    """Leaves out MuJoCo's warnings of deprecated attributes: those of Gymnasium's models are not the user's to mend.

    Since 3.16 it writes one for each environment that is made, to the terminal and to a file ``MUJOCO_LOG.TXT``. All
    other warnings become Python's.
    """
    try:
        import mujoco
    except ImportError:  # which Gymnasium words
        yield
        return

    def tell(message: str) -> None:
        if "deprecated" not in message:
            warnings.warn(f"MuJoCo: {message}", RuntimeWarning, stacklevel=2)

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(tell)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)


def draw_off_screen() -> None:
    """Have MuJoCo draw by EGL where no display is: Gymnasium would take GLFW, which fails without one.

    A choice of the user's, ``MUJOCO_GL``, stays.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MUJOCO_GL", "egl")
