"""The contract of callbacks: what follows a run because its pipeline names it, and may have it stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from attrs import frozen


@frozen
class CallbackContext:
    """What a callback may know while it is built."""

    source: Path = Path()  #: the folder that files in the callback's options are relative to


class Callback(Protocol):
    """Follows a run: logs it elsewhere, looks at its policy, has it stop. Built as ``Callback(config, context)``.

    It is built before the run starts or is resumed, and by `framework check --build`: until `run_started` there is no
    run directory, and nothing to connect to. Its methods are lifecycle hooks of `framework.hookspecs`, those that it
    needs, each with the arguments that it needs. What it must remember when the run is resumed it reads from the run
    directory (`framework.studies.recorded_run`), whose lines are written before the hook is called. One that raises is
    reported, and hears no more of the run.
    """


class RunControl(Protocol):
    """A hook's hand on the run."""

    def stop(self, reason: str) -> None:
        """Have the run end well after this update: evaluated, saved, and with the status ``"stopped"``."""


class Agent(Protocol):
    """The policy as it acts in an evaluation; its weights are these until the hook returns."""

    def reset(self, *, seed: int = 0, deterministic: bool = True) -> None:
        """Forget the episode so far."""

    def act(self, observation: Any, action_mask: Any = None) -> Any:
        """The action for one observation, both as the environment's spaces have them."""
