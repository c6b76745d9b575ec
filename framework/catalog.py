"""Names of components and what they stand for; nothing is imported before it is asked for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from framework import hookspecs, plugins
from framework.entry_points import EntryPoint
from framework.errors import EXIT_PLUGIN, EXIT_USAGE, FrameworkError, PluginError
from framework.foreign import Interrupted, foreign, watch
from framework.plugins import Plugin, Plugins

if TYPE_CHECKING:
    from pathlib import Path

    import click


class UnknownComponent(FrameworkError, LookupError):
    """A pipeline uses a component that is not there.

    The exit code tells a wrong name (2) from a plugin that is missing or did not load (4); ``traceback`` is that of
    the plugin, or of the file, that is broken.
    """

    def __init__(self, message: str, exit_code: int = EXIT_USAGE, traceback: str = ""):
        self.message = message
        self.exit_code = exit_code
        self.traceback = traceback
        super().__init__("\n".join(filter(None, (message, traceback))))


@frozen
class Component:
    """One thing that a pipeline can use, by its name; its code is imported by `load` and not before.

    Launchers and commands are described so too.
    """

    kind: str
    name: str  #: as pipelines write it: ``ppo``, ``acme/rnd``, ``my_file:MyEncoder``
    target: str  #: ``module:Class``
    config: str | None = None  #: ``module:Class`` of its options
    summary: str = ""
    supports: frozenset[str] = frozenset()  #: declared capabilities
    needs: frozenset[str] = frozenset()  #: kinds that a pipeline with it must have
    plugin: str = ""  #: empty for a class that a pipeline names directly
    bundled: bool = False  #: whether it comes with the framework
    distribution: str | None = None
    version: str | None = None
    file: Path | None = None  #: the target's source, where a pipeline names a file beside it

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        if self.distribution:
            return f"{self.distribution} {self.version}"
        return str(self.file) if self.file else f"plugin {self.plugin!r}" if self.plugin else self.target

    def load(self) -> type:
        """The class that implements it. Raises `PluginError`, with the traceback, where that fails."""
        cls = self._class(self.target)
        if self.kind != "environment":
            return cls
        from framework.plain_environment import factory_of, is_environment  # options, which few commands need

        return factory_of(cls) if is_environment(cls) else cls

    def load_command(self) -> click.Command:
        """The command that it stands for. Raises `PluginError` as `load` does."""
        import click

        command = _value(self.target, self.file, self._title, None if self.bundled else self._owner)
        if not isinstance(command, click.Command):
            raise PluginError(f"{self._title}: {self.target} is not a click.Command")
        return command

    def config_class(self) -> type | None:
        """The attrs class of its options, ``None`` where it has none. Raises `PluginError` as `load` does."""
        if self.config is None:
            return None
        from framework.schema import check_defaults, options

        # A class that a pipeline names has its options within it; those of a gymnasium.Env are made of its arguments.
        cls = (
            getattr(self.load(), "Config", None) if self.config == f"{self.target}.Config" else self._class(self.config)
        )
        if cls is None or not attrs.has(cls):
            raise PluginError(f"{self._title}: {self.config} is not an attrs class")
        try:
            options(cls)
            check_defaults(cls)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # defaults may be made by any code
            raise PluginError(f"{self._title}: {self.config} is broken: {plugins.describe(error)}") from error
        return cls

    def _class(self, target: str) -> type:
        # What environments raise and return is judged where it happens.
        trusted = self.bundled or self.kind == "environment"
        value = _value(target, self.file, self._title, None if trusted else self._owner)
        if not isinstance(value, type):
            raise PluginError(f"{self._title}: {target} is not a class")
        return value

    @property
    def _owner(self) -> str:
        return f"plugin {self.plugin!r} ({self.origin})" if self.plugin else self.origin

    @property
    def _title(self) -> str:
        return f"{self.kind} {self.name!r} ({self.origin})"


class Catalog:
    """The components, launchers and commands of a set of plugins, by kind and name."""

    def __init__(self, found: Plugins):
        self.plugins = found
        self._components = {
            (entry.kind, plugin.qualified(entry.name)): Component(
                name=plugin.qualified(entry.name),
                plugin=plugin.name,
                bundled=plugin.bundled,
                distribution=plugin.distribution,
                version=plugin.version,
                **{
                    field: getattr(entry, field)
                    for field in ("kind", "target", "config", "summary", "supports", "needs")
                },
            )
            for plugin in found.rows
            for entry in plugin.registrations
        }

    @classmethod
    def from_plugins(cls, modules: Mapping[str, object], offered: Iterable[EntryPoint] = ()) -> Catalog:
        """A catalogue of plugins given as objects, by plugin name, beside those that are ``offered``.

        Their components are named ``plugin/name``. ``offered=plugins.installed()`` adds what is installed.
        """
        entries = [EntryPoint(hookspecs.GROUP, name, module, "", "") for name, module in modules.items()]
        return cls(plugins.load([*offered, *entries]))

    def components(self, kind: str | None = None) -> list[Component]:
        """All of them, or those of one kind: the bundled ones first, then by plugin."""
        return [component for component in self._components.values() if kind in (None, component.kind)]

    def names(self, kind: str) -> list[str]:
        """What ``use`` may be for this kind, beside ``module:Class``."""
        return [component.name for component in self.components(kind)]

    def find(self, kind: str, use: str, directory: Path | None = None) -> Component:
        """The component that a pipeline in ``directory`` means by ``use``.

        ``module:Class`` is a class of the file ``module.py`` in ``directory``, or else of an importable module;
        it is imported here, as only the class itself tells what it supports. Raises `UnknownComponent`.
        """
        if kind not in hookspecs.REGISTER_HOOKS.values():
            raise ValueError(f"{kind!r} is no kind of component")
        if ":" in use:
            return _named_directly(kind, use, directory)
        component = self._components.get((kind, use))
        if component is None:
            raise self._unknown(kind, use, directory)
        return component

    def _unknown(self, kind: str, use: str, directory: Path | None) -> UnknownComponent:
        plugin, slash, name = use.rpartition("/")
        rows = [row for row in self.plugins.rows if (row.name == plugin if slash else row.bundled)]
        absent = [row for row in rows if row.status != "loaded"]
        loaded = len(absent) < len(rows)
        if slash and not loaded:
            if not absent:
                hint = plugins.did_you_mean(use, self.names(kind))
                return UnknownComponent(f"no plugin named {plugin!r} is installed{hint}", EXIT_PLUGIN)
            return _not_loaded("", absent)
        message = f"there is no {kind} named {use!r}"
        if kinds := [component_kind for component_kind, qualified in self._components if qualified == use]:
            return UnknownComponent(f"{message}; {use!r} is of the kind {' and '.join(kinds)}")
        namesakes = [qualified for qualified in self.names(kind) if qualified.rpartition("/")[2] == name]
        similar = (namesakes[0], namesakes) if namesakes else (use, self.names(kind))
        classes = _classes_in(directory / f"{use}.py") if directory is not None else []
        beside = f"; a class of {use}.py is named with it, such as {use}:{classes[0]}" if classes else ""
        if hint := beside or plugins.did_you_mean(*similar):
            return UnknownComponent(message + hint)
        if absent:
            return _not_loaded(f"{message} among what is loaded; ", absent)
        names = ", ".join(self.names(kind))
        return UnknownComponent(f"{message}; {f'known: {names}' if names else f'no {kind} is installed'}")


@functools.cache
def _catalog(blocked: frozenset[str]) -> Catalog:
    return Catalog(plugins.load(plugins.installed(), blocked))


def default_catalog() -> Catalog:
    """What the installed plugins offer, less those that ``FRAMEWORK_PLUGINS_DISABLE`` names; found once a process."""
    return _catalog(plugins.blocked_names())


def provenance(component: Component) -> dict[str, str | None]:
    """What tells this implementation from another: distribution, version, and SHA-256 of the target's source file."""
    from hashlib import sha256
    from pathlib import Path

    file = component.file
    if file is None:
        spec = find_spec(component.target.partition(":")[0])
        file = Path(spec.origin) if spec and spec.has_location and spec.origin else None
    digest = sha256(file.read_bytes()).hexdigest() if file else None
    return {"distribution": component.distribution, "version": component.version, "sha256": digest}


def _not_loaded(prefix: str, rows: Iterable[Plugin]) -> UnknownComponent:
    rows = list(rows)
    reasons = "; ".join(f"plugin {row.name!r} ({row.origin}) is {row.status}: {row.reason}" for row in rows)
    traces = "\n".join(filter(None, (row.traceback for row in rows)))
    return UnknownComponent(prefix + reasons, EXIT_PLUGIN, traces)


# --- use = "module:Class" ----------------------------------------------------------------------------------------


#: What the names of modules start with that are files which a pipeline names.
_FILE_MODULE = "_framework_file_"

_owners: dict[str, str] = {}


def owners() -> Mapping[str, str]:
    """Whose code was imported for pipelines beside the framework's own: module or package -> file or plugin."""
    return _owners


def _classes_in(file: Path) -> list[str]:
    """The classes of a Python file; none where it cannot be read."""
    import ast

    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (OSError, ValueError, SyntaxError):
        return []
    return [node.name for node in body if isinstance(node, ast.ClassDef)]


def _named_directly(kind: str, use: str, directory: Path | None) -> Component:
    component = Component(kind, use, use, file=_file_of(use, directory, "Class"))
    try:
        cls = component.load()
    except PluginError as error:
        raise _unknown_name(error) from error
    config = f"{use}.Config" if hasattr(cls, "Config") else None
    supports, needs = (frozenset(getattr(cls, words, ())) for words in ("supports", "needs"))
    return attrs.evolve(component, config=config, supports=supports, needs=needs)


def find_function(target: str, directory: Path | None = None) -> Callable[..., Any]:
    """The function that ``module:function`` names, found as classes are that a pipeline in ``directory`` names.

    Raises `UnknownComponent`.
    """
    title = f"function {target!r}"
    try:
        file = _file_of(target, directory, "function")
        function = _value(target, file, title, str(file or target))
    except PluginError as error:
        raise _unknown_name(error) from error
    if not callable(function):
        raise UnknownComponent(f"{title} is no function, but {function!r}")
    named: Callable[..., Any] = function
    return named


def function_component(target: str, directory: Path | None = None) -> Component:
    """The function that ``module:function`` names, for `provenance`."""
    return Component("function", target, target, file=_file_of(target, directory, "function"))


def _file_of(target: str, directory: Path | None, what: str) -> Path | None:
    """The file in ``directory`` that ``module:what`` is in; None where it is in a module that can be imported."""
    module, _, path = target.partition(":")
    if not plugins.TARGET.fullmatch(target) or module.endswith(".py"):
        hint = f", such as {module.removesuffix('.py')}:{path}" if module.endswith(".py") else ""
        raise UnknownComponent(f"{target!r} must be written module:{what}{hint}")
    file = (directory / f"{module}.py").resolve() if directory is not None else None
    if file is not None and file.is_file():
        return file
    if not _importable(module):
        beside = f"no file {module}.py in {directory}, and " if directory is not None else ""
        raise UnknownComponent(f"{target!r}: there is {beside}no module {module!r} that can be imported")
    return None


def _value(target: str, file: Path | None, title: str, owner: str | None) -> Any:
    """What ``module:name`` stands for. Raises `PluginError`, caused by what the code raised, if it did.

    ``owner`` is whose code it is, where it is not the framework's.
    """
    module, _, path = target.partition(":")
    parts = path.split(".")
    try:
        with foreign(), watch() as name_next:
            name_next(title)
            value: Any = _import_file(file) if file else import_module(module)
            if owner is not None:
                _owners[value.__name__.partition(".")[0]] = owner
            while parts and value is not None:
                holder, part = value, parts.pop(0)
                value = getattr(holder, part, None)
    except Interrupted:
        raise
    except FrameworkError as error:  # such as: what has to be installed
        raise PluginError(f"{title} cannot be imported from {module}: {error}") from error
    except BaseException as error:
        reason, trace = plugins.describe(error), plugins.traceback_of(error)
        raise PluginError(f"{title} cannot be imported from {module}: {reason}\n{trace}") from error
    if value is None:
        raise PluginError(f"{title}: {module} has no {path}{plugins.did_you_mean(part, dir(holder))}")
    return value


def _unknown_name(error: PluginError) -> UnknownComponent:
    """Code that raised is broken; code that merely lacks what is named was asked for a wrong name."""
    return UnknownComponent(str(error), EXIT_PLUGIN if error.__cause__ else EXIT_USAGE)


def _importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError as error:
        return not f"{module}.".startswith(f"{error.name}.")
    except (Exception, SystemExit):
        return True  # it is there and its package is broken: importing it tells how


def _import_file(path: Path) -> ModuleType:
    """The module in the file ``path``, imported once a process under a private name.

    While it is imported, modules beside it can be imported too, where nothing installed has their name.
    """
    from hashlib import sha256

    name = f"{_FILE_MODULE}{sha256(bytes(path)).hexdigest()[:12]}_{path.stem}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        module = module_from_spec(spec)
        sys.modules[name] = module
        try:
            with _on_path(str(path.parent)):
                spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


@contextmanager
def _on_path(directory: str) -> Iterator[None]:
    new = directory not in sys.path
    if new:
        sys.path.append(directory)
    try:
        yield
    finally:
        if new and directory in sys.path:
            sys.path.remove(directory)
