"""Environments as they come from a component: made and closed, with clear words where that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gymnasium import Env, Space

from framework.errors import FrameworkError, PipelineError, PluginError, Problem
from framework.interfaces import EnvironmentFactory
from framework.plugins import describe, traceback_of

Instance = TypeVar("Instance")


def make_environment(environment: EnvironmentFactory) -> Env[Any, Any]:
    """One environment. Raises `PluginError` where it cannot be made, or keeps what evaluations would not see."""
    name = type(environment).__qualname__
    instance = call_factory(name, "make()", environment.make, Env)
    for attribute in ("observation_space", "action_space"):
        if not isinstance(getattr(instance, attribute, None), Space):
            raise PluginError(f"environment {name} cannot be used: {type(instance).__name__} has no {attribute}")
    _check_wrappers(instance)
    return instance


def call_factory(name: str, call: str, make: Callable[[], Any], expected: type[Instance]) -> Instance:
    """What ``make`` gives; `PluginError` about the environment ``name`` where it fails or gives another type."""
    try:
        instance = make()
    except FrameworkError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"environment {name} cannot be made: {describe(error)}\n{traceback_of(error)}") from error
    if not isinstance(instance, expected):
        raise PluginError(
            f"environment {name} cannot be used: {call} gave {instance!r:.100}, which is no gymnasium"
            f" {expected.__name__}"
        )
    return instance


def _check_wrappers(instance: Any) -> None:
    """Refuse wrappers with running statistics: each environment would have its own, and evaluations others."""
    layer: Any = instance
    while layer is not None:
        for attribute, value in vars(layer).items() if hasattr(layer, "__dict__") else ():
            if all(hasattr(value, part) and not callable(getattr(value, part)) for part in ("mean", "var", "count")):
                raise PipelineError(
                    [
                        Problem(
                            f"{type(layer).__name__} keeps running statistics ({attribute}), of which evaluations would"
                            " know nothing: leave it out, and let the algorithm normalize instead, by its options"
                            " normalize_observations and normalize_rewards",
                            "environment",
                        )
                    ]
                )
        layer = vars(layer).get("env") if hasattr(layer, "__dict__") else None


def close_environment(environment: Any, name: str) -> list[str]:
    """Close an environment; what it raised in doing so, in a line."""
    try:
        environment.close()
    except (Exception, SystemExit) as error:
        return [f"{name} failed in close: {describe(error)}"]
    return []
