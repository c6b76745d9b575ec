"""A plugin-based framework for reinforcement-learning research."""

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from framework.pipeline import load
    from framework.runtime.disk.load_run import load_run
    from framework.runtime.evaluate.agent import load_agent
    from framework.runtime.session import train
    from framework.studies.recorded_run import RecordedRun, runs

__version__ = "0.1.0"

__all__ = ["RecordedRun", "__version__", "hookimpl", "load", "load_agent", "load_run", "runs", "train"]

hookimpl = pluggy.HookimplMarker("framework")

_LAZY = {
    "RecordedRun": "framework.studies.recorded_run",
    "load": "framework.pipeline",
    "load_agent": "framework.runtime.evaluate.agent",
    "load_run": "framework.runtime.disk.load_run",
    "runs": "framework.studies.recorded_run",
    "train": "framework.runtime.session",
}


def __getattr__(name: str) -> Any:
    # Every plugin imports this module, so it must not import the rest at once.
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from framework.system import check_system

    check_system()
    return getattr(import_module(_LAZY[name]), name)
