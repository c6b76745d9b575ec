"""Finds plugins, and keeps a broken one from harming anything but itself.

A plugin is a module (or any object) with hook implementations, offered through the entry-point group
`framework.hookspecs.GROUP`. Each is imported, checked and asked for its components on its own; whatever goes
wrong there becomes its row's ``status`` and ``reason``.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib import import_module
from time import perf_counter
from types import TracebackType
from typing import Any, Literal, NamedTuple

import pluggy

from framework import hookspecs
from framework.entry_points import EntryPoint, entry_points, normalize
from framework.foreign import Interrupted, foreign, watch
from framework.hookspecs import REGISTER_HOOKS

#: The distribution whose components have bare names.
BUNDLED = "framework-rl"
#: Environment variable: names of plugins that are not to be loaded, with commas between them.
DISABLE = "FRAMEWORK_PLUGINS_DISABLE"
Status = Literal["loaded", "broken", "blocked", "duplicate", "too old", "too new"]

#: How a class is named: ``module:Class``, both may be dotted.
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_BLOCKED = f"named in --no-plugin or {DISABLE}"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class DeclarationError(Exception):
    """A plugin declares something that the hook contract does not have."""


class Registration(NamedTuple):
    """One call of ``register``: what is offered, by the plugin's own name for it."""

    kind: str
    name: str
    target: str  #: ``module:Class``, or ``module:command``
    config: str | None = None
    summary: str = ""
    supports: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


class Plugin(NamedTuple):
    """One plugin that was found, loaded or not."""

    name: str
    status: Status
    distribution: str | None = None  #: ``None`` where no distribution offers it
    version: str | None = None
    reason: str = ""  #: why it is not loaded, in one line
    traceback: str = ""  #: of the exception that broke it
    registrations: tuple[Registration, ...] = ()
    listens: tuple[str, ...] = ()  #: lifecycle hooks that it implements
    seconds: float = 0.0  #: that loading it took

    @property
    def bundled(self) -> bool:
        """Whether it comes with the framework, so that its components have bare names."""
        return self.distribution is not None and normalize(self.distribution) == BUNDLED

    @property
    def origin(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}" if self.distribution else "no distribution"

    def qualified(self, name: str) -> str:
        """The name that pipelines use for its component ``name``."""
        return name if self.bundled else f"{self.name}/{name}"


class Plugins(NamedTuple):
    """What was found: one row for each plugin, and pluggy's manager of those that are loaded."""

    rows: tuple[Plugin, ...]
    manager: pluggy.PluginManager


def blocked_names() -> frozenset[str]:
    """The plugins that the environment variable ``FRAMEWORK_PLUGINS_DISABLE`` names."""
    return frozenset(name.strip() for name in os.environ.get(DISABLE, "").split(",")) - {""}


def installed() -> list[EntryPoint]:
    """The plugins that installed distributions offer, under this hook contract or another."""
    return entry_points(hookspecs.GROUP)


def load(offered: Iterable[EntryPoint], blocked: Collection[str] = ()) -> Plugins:
    """Load plugins, each for itself; never raises because of one.

    A name that is offered twice under this hook contract loads neither. Plugins that are made for another contract,
    and those that are named in ``blocked``, are not imported.
    """
    offered = list(offered)
    current = [entry for entry in offered if entry.group == hookspecs.GROUP]
    counts = Counter(entry.name for entry in current)
    manager = _Manager(vars(hookspecs).__contains__)
    manager.add_hookspecs(hookspecs)
    hooks = hooks_of(manager)
    rows = []
    with watch() as name_next:
        for entry in current:
            if entry.name in blocked:
                rows.append(_row(entry, "blocked", _BLOCKED))
            elif counts[entry.name] > 1:
                offers = " and ".join(f"{e.distribution} {e.version}".strip() for e in current if e.name == entry.name)
                rows.append(
                    _row(entry, "duplicate", f"the plugin {entry.name!r} is offered by {offers}; uninstall one")
                )
            else:
                name_next(f"plugin {entry.name!r} ({entry.distribution} {entry.version})")
                rows.append(_load(entry, manager, hooks))
    here = {(entry.distribution, entry.name) for entry in current}
    rows += [_foreign(e) for e in offered if e.group != hookspecs.GROUP and (e.distribution, e.name) not in here]
    for name in set(blocked).difference(row.name for row in rows):
        rows.append(Plugin(name, "blocked", reason=f"{_BLOCKED}, but no plugin of this name is installed"))
    return Plugins(tuple(sorted(rows, key=lambda row: (not row.bundled, row.name, row.distribution or ""))), manager)


class _Manager(pluggy.PluginManager):
    """Inspects names that may be those of hooks; pluggy alone inspects all that a plugin has, which takes longer."""

    def __init__(self, may_be_hook: Callable[[str], bool]):
        super().__init__("framework")
        self._may_be_hook = may_be_hook

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        return super().parse_hookimpl_opts(plugin, name) if self._may_be_hook(name) else None


def _row(entry: EntryPoint, status: Status, reason: str = "", **details: Any) -> Plugin:
    return Plugin(entry.name, status, entry.distribution or None, entry.version or None, reason, **details)


def _foreign(entry: EntryPoint) -> Plugin:
    contract = f"it is made for the hook contract {entry.group!r}, this framework has {hookspecs.GROUP!r}"
    if entry.group in hookspecs.OLDER_GROUPS:
        return _row(entry, "too old", f"{contract}; look for a newer {entry.distribution}")
    return _row(entry, "too new", f"{contract}; look for a newer {BUNDLED}")


def _load(entry: EntryPoint, manager: pluggy.PluginManager, hooks: Mapping[str, tuple[str, ...]]) -> Plugin:
    started = perf_counter()
    try:
        if not _NAME.fullmatch(entry.name):
            raise DeclarationError(f"a plugin's name must match {_NAME.pattern}")
        with foreign():
            plugin = _import(entry.value) if isinstance(entry.value, str) else entry.value
            registrations, listens = _declarations(plugin, hooks)
        manager.register(plugin, entry.name)
    except BaseException as error:
        if isinstance(error, Interrupted):
            raise
        if isinstance(error, DeclarationError):
            return _row(entry, "broken", str(error))
        return _row(entry, "broken", describe(error), traceback=traceback_of(error))
    seconds = perf_counter() - started
    return _row(entry, "loaded", registrations=registrations, listens=listens, seconds=seconds)


def _import(value: str) -> object:
    module, _, attribute = value.partition("[")[0].strip().partition(":")
    plugin: object = import_module(module.strip())
    for name in filter(None, attribute.strip().split(".")):
        plugin = getattr(plugin, name)
    return plugin


# --- what a plugin declares --------------------------------------------------------------------------------------


def _declarations(
    plugin: object, hooks: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[Registration, ...], tuple[str, ...]]:
    """The components of ``plugin``, and the lifecycle hooks that it implements.

    Raises `DeclarationError` with everything that breaks the hook contract.
    """
    # A manager without specs takes any hook: every mistake is found, and none leaves a trace in the shared manager.
    trial = _Manager(lambda name: not name.startswith("_"))
    trial.register(plugin, "plugin")
    implementations = [
        (caller.name, implementation)
        for caller in trial.get_hookcallers(plugin) or ()
        for implementation in caller.get_hookimpls()
    ]
    problems = [
        problem for name, implementation in implementations for problem in _broken_rules(name, implementation, hooks)
    ]
    for name in hooks.keys() - {name for name, _ in implementations}:
        if callable(getattr(plugin, name, None)):
            problems.append(f"{name} is not marked with @hookimpl")
    if problems:
        raise DeclarationError("; ".join(problems))
    registrations: dict[tuple[str, str], Registration] = {}
    for name, implementation in implementations:
        if name in REGISTER_HOOKS:
            _call(implementation, {"register": _registrar(name, registrations)})
    listens = dict.fromkeys(name for name, _ in implementations if name in hooks and name not in REGISTER_HOOKS)
    return tuple(registrations.values()), tuple(listens)


def hooks_of(manager: pluggy.PluginManager) -> dict[str, tuple[str, ...]]:
    """{hook of the contract: the arguments that it gives}."""
    callers = (getattr(manager.hook, name, None) for name in vars(hookspecs))
    return {
        caller.name: caller.spec.argnames for caller in callers if isinstance(caller, pluggy.HookCaller) and caller.spec
    }


def _broken_rules(name: str, implementation: pluggy.HookImpl, hooks: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    code = implementation.function.__code__
    place = f"{code.co_filename}:{code.co_firstlineno}: {name}"
    if name not in hooks:
        if not implementation.optionalhook:
            yield f"{place} is no hook{did_you_mean(name, hooks)}"
        return
    for argument in implementation.argnames:
        if argument not in hooks[name]:
            yield f"{place} asks for {argument!r}, but the hook gives {', '.join(hooks[name])}"
    if implementation.wrapper or implementation.hookwrapper:
        yield f"{place} is a hook wrapper, which a plugin cannot be"


def _registrar(
    hook: str, registrations: dict[tuple[str, str], Registration]
) -> hookspecs.Register | hookspecs.RegisterCommand:
    """What a plugin's ``hook`` is called with; it adds to ``registrations``."""
    kind = REGISTER_HOOKS[hook]

    def register(
        name: str,
        target: str,
        *,
        config: str | None = None,
        summary: str = "",
        supports: Collection[str] = (),
        needs: Collection[str] = (),
    ) -> None:
        for argument, words in (("supports", supports), ("needs", needs)):
            if isinstance(words, str) or not all(isinstance(word, str) for word in words):
                raise TypeError(f"{argument} of {kind} {name!r} must be a collection of strings, not {words!r}")
        _add(Registration(kind, name, target, config, summary, frozenset(supports), frozenset(needs)), registrations)

    def register_command(name: str, target: str, *, summary: str = "") -> None:
        _add(Registration(kind, name, target, summary=summary), registrations)

    return register_command if kind == "command" else register


def _add(registration: Registration, registrations: dict[tuple[str, str], Registration]) -> None:
    kind, name = registration.kind, registration.name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{kind} {name!r}: a name must match {_NAME.pattern}")
    for role, target in (("target", registration.target), ("config", registration.config)):
        if not (isinstance(target, str) and TARGET.fullmatch(target)) and (role, target) != ("config", None):
            form = "module:command" if kind == "command" else "module:Class"
            raise ValueError(f"the {role} of {kind} {name!r} must be written {form!r}, not {target!r}")
    if (kind, name) in registrations:
        raise ValueError(f"{kind} {name!r} is registered twice")
    registrations[kind, name] = registration


def _call(implementation: pluggy.HookImpl, arguments: Mapping[str, Any]) -> None:
    implementation.function(*(arguments[name] for name in implementation.argnames))


# --- what went wrong in a plugin ---------------------------------------------------------------------------------


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is unknown: ``"; did you mean …?"``, or nothing."""
    from framework.schema import suggest

    guess = suggest(name, known)
    return f"; did you mean {guess}?" if guess else ""


def describe(error: BaseException) -> str:
    """The exception in one line."""
    try:
        text = str(error)
    except BaseException:
        text = "its text cannot be told"
    return f"{type(error).__name__}: {text}".strip().partition("\n")[0]


def traceback_of(error: BaseException) -> str:
    """The exception with its traceback, from where the code of the plugin starts."""
    from traceback import format_exception

    trace = error.__traceback__
    while trace is not None and _is_machinery(trace):
        trace = trace.tb_next
    return "".join(format_exception(type(error), error, trace)).rstrip()


def _is_machinery(trace: TracebackType) -> bool:
    name: str = trace.tb_frame.f_globals.get("__name__", "")
    ours = ("framework.plugins", "framework.lifecycle", "framework.catalog", "framework.runtime.rollout")
    return name.partition(".")[0] == "importlib" or name.startswith(ours)
