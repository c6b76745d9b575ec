"""The hooks that a plugin may implement: one to register each kind of component, and the lifecycle of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

#: Entry-point group; a breaking change of the hooks below means a new one, ``framework.plugins.vN``.
GROUP = "framework.plugins"
#: Groups of older hook contracts: plugins there are listed as too old, and never imported.
OLDER_GROUPS = ("framework.plugins.v0",)

#: The hook that registers each kind of component.
REGISTER_HOOKS = {
    "register_environments": "environment",
    "register_encoders": "encoder",
    "register_algorithms": "algorithm",
    "register_bonuses": "bonus",
    "register_curricula": "curriculum",
    "register_replays": "replay",
}
KINDS = tuple(REGISTER_HOOKS.values())

hookspec = pluggy.HookspecMarker("framework")

#: ``register(name, target, *, config=None, summary="", supports=(), needs=())`` with ``"module:Class"`` strings,
#: imported at first use. No ``config`` means no options; ``supports`` are the capabilities that the component declares,
#: ``needs`` the other kinds that a pipeline with it must have, such as ``"replay"``.
Register = Callable[..., None]


@hookspec
def register_environments(register: Register) -> None:
    """Offer environments: targets are built as `framework.interfaces.Environment`."""


@hookspec
def register_encoders(register: Register) -> None:
    """Offer encoders: targets are built as `framework.interfaces.Encoder`."""


@hookspec
def register_algorithms(register: Register) -> None:
    """Offer algorithms: targets are built as `framework.interfaces.Algorithm`."""


@hookspec
def register_bonuses(register: Register) -> None:
    """Offer intrinsic rewards: targets are built as `framework.interfaces.Bonus`."""


@hookspec
def register_curricula(register: Register) -> None:
    """Offer curricula: targets are built as `framework.interfaces.Curriculum`."""


@hookspec
def register_replays(register: Register) -> None:
    """Offer replay buffers: targets are built as `framework.interfaces.Replay`."""


@hookspec
def run_started(directory: Path, pipeline: dict[str, Any]) -> None:
    """A run starts, or is resumed. ``pipeline`` is the resolved pipeline as plain values."""


@hookspec
def update_finished(directory: Path, metrics: dict[str, float]) -> None:
    """One update is done; ``metrics`` is its line of ``metrics.jsonl``."""


@hookspec
def evaluation_finished(directory: Path, evaluation: dict[str, float]) -> None:
    """An evaluation is done; ``evaluation`` is its line of ``metrics.jsonl``."""


@hookspec
def checkpoint_saved(directory: Path, checkpoint: Path) -> None:
    """A checkpoint is safely on disk."""


@hookspec
def run_finished(directory: Path, status: str) -> None:
    """The run ends: ``"done"``, ``"interrupted"`` or ``"failed"``."""
