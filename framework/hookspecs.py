"""The hooks that a plugin may implement: to register components and their like, and to follow runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from pathlib import Path

    from framework.callbacks import Agent, RunControl

#: Entry-point group; a breaking change of the hooks below means a new one, ``framework.plugins.vN``.
GROUP = "framework.plugins"
#: Groups of older hook contracts: plugins there are listed as too old, and never imported.
OLDER_GROUPS = ("framework.plugins.v0",)

#: The hook that registers each kind of component.
COMPONENT_HOOKS = {
    "register_environments": "environment",
    "register_encoders": "encoder",
    "register_algorithms": "algorithm",
    "register_bonuses": "bonus",
    "register_curricula": "curriculum",
    "register_replays": "replay",
}
#: The kinds of component.
KINDS = tuple(COMPONENT_HOOKS.values())
#: What has a contract, in `framework.interfaces` or `framework.callbacks`, and so conformance checks and a template.
CONTRACTS = (*KINDS, "launcher", "callback")
#: Every hook that registers something, and what it registers.
REGISTER_HOOKS = COMPONENT_HOOKS | {
    "register_launchers": "launcher",
    "register_callbacks": "callback",
    "register_commands": "command",
}

hookspec = pluggy.HookspecMarker("framework")


class Register(Protocol):
    """Registers one component, launcher or callback."""

    def __call__(
        self,
        name: str,
        target: str,
        *,
        config: str | None = None,
        summary: str = "",
        supports: Collection[str] = (),
        needs: Collection[str] = (),
    ) -> None:
        """Offer ``name`` to pipelines; nothing is imported before one uses it.

        Args:
            name: in lower case.
            target: ``"module:Class"``, the class that implements it.
            config: ``"module:Class"``, the attrs class of its options; None where it takes none.
            summary: what it is, in a line.
            supports: the capabilities that it declares.
            needs: the other kinds of component that a pipeline with it must have, such as ``"replay"``.
        """


class RegisterCommand(Protocol):
    """Registers one command."""

    def __call__(self, name: str, target: str, *, summary: str = "") -> None:
        """Offer ``framework plugin/name``; nothing is imported before it is called.

        Args:
            name: in lower case.
            target: ``"module:command"``, a `click.Command`.
            summary: what it does, in a line.
        """


@hookspec
def register_environments(register: Register) -> None:
    """Offer environments: targets are built as `framework.interfaces.EnvironmentFactory`."""


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
def register_launchers(register: Register) -> None:
    """Offer launchers, which have an engine keep samplers at work: built as `framework.interfaces.Launcher`."""


@hookspec
def register_callbacks(register: Register) -> None:
    """Offer callbacks, which follow the runs whose pipelines name them: built as `framework.callbacks.Callback`."""


@hookspec
def register_commands(register: RegisterCommand) -> None:
    """Offer commands of the command line: targets are instances of `click.Command`."""


@hookspec
def run_started(directory: Path, pipeline: dict[str, Any], control: RunControl) -> None:
    """A run starts, or is resumed. ``pipeline`` is the resolved pipeline as plain values."""


@hookspec
def update_finished(directory: Path, metrics: dict[str, float], control: RunControl) -> None:
    """One update is done; ``metrics`` is its line of ``metrics.jsonl``."""


@hookspec
def evaluation_finished(directory: Path, evaluation: dict[str, float], agent: Agent, control: RunControl) -> None:
    """An evaluation is done; ``evaluation`` is its line of ``metrics.jsonl``, and ``agent`` the policy that played."""


@hookspec
def video_saved(directory: Path, video: Path, steps: int) -> None:
    """The video of an evaluation is on disk; ``steps`` are the environment steps that its policy had learned from."""


@hookspec
def checkpoint_saved(directory: Path, checkpoint: Path) -> None:
    """A checkpoint is safely on disk."""


@hookspec
def run_finished(directory: Path, status: str) -> None:
    """The run ends: ``"done"``, ``"stopped"`` by a hook, ``"interrupted"`` or ``"failed"``."""
