"""A `gymnasium.Env` that a pipeline names, ``use = "rooms:Rooms"``, as a component: its arguments are options."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from typing import Any, get_type_hints

import attrs

from framework.schema import check_defaults, option, plain

#: What the kernel gives to the constructor itself.
_GIVEN = "render_mode"
_LIMIT = "max_episode_steps"


def is_environment(cls: type) -> bool:
    """Whether a class is a `gymnasium.Env`; gymnasium is not imported for it."""
    gymnasium = sys.modules.get("gymnasium")
    return gymnasium is not None and issubclass(cls, gymnasium.Env)


@functools.cache
def factory_of(cls: type) -> type:
    """The environment component that makes instances of a `gymnasium.Env`, see `framework.interfaces`.

    Its options are the constructor's arguments with names, of the types that they are annotated with as far as options
    have such a type; and ``max_episode_steps``, which truncates episodes, where the constructor has no such argument.
    """
    parameters = _parameters(cls)

    class Factory:
        __doc__ = cls.__doc__
        Config = _config_class(cls, parameters)
        supports = frozenset(getattr(cls, "supports", ()))

        def __init__(self, config: Any, context: Any):
            self._config = config
            self._given = {_GIVEN: context.render_mode} if _GIVEN in parameters else {}

        def make(self) -> Any:
            """One environment."""
            arguments = {name: getattr(self._config, name) for name in _options(parameters)}
            environment = cls(**arguments, **self._given)
            limit = None if _LIMIT in parameters else self._config.max_episode_steps
            if limit is None:
                return environment
            from gymnasium.wrappers import TimeLimit

            return TimeLimit(environment, limit)

    Factory.__name__ = Factory.__qualname__ = cls.__qualname__
    Factory.__module__ = cls.__module__
    return Factory


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments of the constructor that can be given by name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(cls).parameters
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in by_name}


def _options(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """Those that a pipeline file can set: others have a default that is no plain value, and keep it."""
    return {
        name: parameter
        for name, parameter in parameters.items()
        if name != _GIVEN and (_required(parameter) or _is_plain(parameter.default))
    }


def _config_class(cls: type, parameters: Mapping[str, inspect.Parameter]) -> type:
    try:
        hints = get_type_hints(vars(cls).get("__init__", cls.__new__))
    except Exception:  # annotations may name what is imported for types only
        hints = {}
    body: dict[str, Any] = {"__doc__": f"Arguments of {cls.__qualname__}.", "__annotations__": {}}
    for name, parameter in _options(parameters).items():
        default = attrs.NOTHING if _required(parameter) else parameter.default
        body["__annotations__"][name] = _hint(hints.get(name, Any), default)
        body[name] = option(default, help=f"Argument {name} of {cls.__qualname__}.")
    if _LIMIT not in parameters:
        body["__annotations__"][_LIMIT] = int | None
        body[_LIMIT] = option(None, help="Environment steps after which an episode is truncated.", ge=1)
    return attrs.frozen(type("Config", (), body))


def _hint(annotated: Any, default: Any) -> Any:
    """The annotated type, where options have it and the default is of it; else any plain value."""
    if isinstance(annotated, str):  # which could not be resolved
        annotated = Any
    for hint in (annotated, annotated | None, Any):
        body = {"__annotations__": {"value": hint}, "value": option(default, help="on trial")}
        try:
            check_defaults(attrs.frozen(type("Trial", (), body)))
        except (TypeError, ValueError):
            continue
        return hint
    return Any | None


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


def _is_plain(value: Any) -> bool:
    if value is None or isinstance(value, bool | int | float | str):
        return True
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    return isinstance(value, list | tuple) and all(map(_is_plain, plain(value)))
