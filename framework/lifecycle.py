"""Tells plugins and callbacks of what happens in one run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pluggy

from framework.errors import PluginError
from framework.hookspecs import REGISTER_HOOKS
from framework.plugins import describe, did_you_mean, hooks_of, traceback_of


class HookFailure(NamedTuple):
    """A lifecycle hook that raised; whoever has it hears no more of the run."""

    kind: str  #: ``"plugin"`` or ``"callback"``
    name: str
    hook: str
    reason: str
    traceback: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} failed in {self.hook} and is left out from here on: {self.reason}"


class StopRequest:
    """What hooks are given as `framework.callbacks.RunControl`."""

    def __init__(self) -> None:
        self.reason = ""  #: of the first who has asked for an end

    def stop(self, reason: str) -> None:
        """See `framework.callbacks.RunControl`."""
        self.reason = self.reason or str(reason) or "no reason was given"


class _Listener(NamedTuple):
    """One hook of a plugin or a callback."""

    kind: str
    name: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]


class Lifecycle:
    """Tells plugins, and then ``callbacks`` by name, about one run.

    Whoever raises is reported once and dropped; the run goes on. Raises `PluginError` where a callback has no hook, or
    one that asks for what there is not.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        report: Callable[[HookFailure], None],
        callbacks: Iterable[tuple[str, object]] = (),
    ):
        self._report = report
        self._hooks = {hook: names for hook, names in hooks_of(manager).items() if hook not in REGISTER_HOOKS}
        self._listeners: dict[str, list[_Listener]] = {
            # pluggy calls the last registered first, so that is the order here too.
            hook: [
                _Listener("plugin", implementation.plugin_name, implementation.function, implementation.argnames)
                for implementation in getattr(manager.hook, hook).get_hookimpls()[::-1]
            ]
            for hook in self._hooks
        }
        for name, callback in callbacks:
            for hook, listener in _hooks_of_callback(name, callback, self._hooks).items():
                self._listeners[hook].append(listener)

    def call(self, hook: str, **arguments: Any) -> None:
        """Call ``hook``, such as ``"update_finished"``, with all of its arguments, wherever there is one."""
        if set(arguments) != set(self._hooks[hook]):
            raise TypeError(f"{hook} takes {', '.join(self._hooks[hook])}; given: {', '.join(arguments)}")
        for listener in tuple(self._listeners[hook]):
            try:
                listener.function(*(arguments[name] for name in listener.arguments))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # also SystemExit: a hook does not end a run
                self._drop(listener)
                self._report(HookFailure(listener.kind, listener.name, hook, describe(error), traceback_of(error)))

    def _drop(self, failed: _Listener) -> None:
        for hook, listeners in self._listeners.items():
            self._listeners[hook] = [listener for listener in listeners if listener[:2] != failed[:2]]


def _hooks_of_callback(name: str, callback: object, hooks: Mapping[str, tuple[str, ...]]) -> dict[str, _Listener]:
    listeners = {}
    for hook, offered in hooks.items():
        method = getattr(callback, hook, None)
        if method is None:
            continue
        arguments = tuple(inspect.signature(method).parameters)
        if unknown := [argument for argument in arguments if argument not in offered]:
            raise PluginError(
                f"callback {name!r}: {hook} asks for {unknown[0]!r}, but the hook gives {', '.join(offered)}"
            )
        listeners[hook] = _Listener("callback", name, method, arguments)
    if not listeners:
        methods = [method for method in dir(callback) if not method.startswith("_")]
        guesses = (did_you_mean(hook, methods) for hook in hooks)
        hint = next(filter(None, guesses), "")
        raise PluginError(f"callback {name!r} has none of the hooks {', '.join(hooks)}{hint}")
    return listeners
