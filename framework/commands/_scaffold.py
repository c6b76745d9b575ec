"""Renders the templates of a component: a package, or a single file."""

from __future__ import annotations

import keyword
import re
import tomllib
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from attrs import frozen

from framework.bundled import TEMPLATES, bundled_folder
from framework.errors import EXIT_USAGE, FrameworkError, writing
from framework.hookspecs import REGISTER_HOOKS

if TYPE_CHECKING:
    from jinja2 import Environment

_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: File of a package -> its template: those common to all kinds, then those of its kind.
_PACKAGE = {
    "pyproject.toml": "common/pyproject.toml",
    "README.md": "common/README.md",
    ".gitignore": "common/gitignore",
    ".github/workflows/test.yml": "common/workflow.yml",
    "{package}/__init__.py": "common/init.py",
    "{package}/config.py": "common/config.py",
    "{package}/{name}.py": "{kind}/component.py",
    "tests/test_{name}.py": "{kind}/test.py",
    "example.toml": "{kind}/example.toml",
}
#: The attributes of `Names` that templates use.
_NAMES = ("kind", "plugin", "name", "here", "use", "class_name", "package", "distribution")


class BadName(FrameworkError):
    """An invalid component name, or one that is already taken."""

    exit_code = EXIT_USAGE


@frozen
class Names:
    """The names of a new component, its class, its package and its plugin."""

    kind: str
    plugin: str
    name: str
    here: bool  #: a single file, instead of a package

    @property
    def class_name(self) -> str:
        """``my_bonus`` -> ``MyBonus``."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def distribution(self) -> str:
        """``acme_lab`` -> ``framework-acme-lab``, which is also the folder of the package."""
        return f"framework-{self.plugin.replace('_', '-')}"

    @property
    def package(self) -> str:
        """The name that the package is imported by."""
        return f"framework_{self.plugin}"

    @property
    def use(self) -> str:
        """The value of ``use`` in pipelines."""
        return f"{self.name}:{self.class_name}" if self.here else f"{self.plugin}/{self.name}"


def names(kind: str, written: str, *, here: bool) -> Names:
    """The names that ``my_bonus`` or ``plugin/my_bonus`` stands for. Raises `BadName`."""
    plugin, _, name = written.rpartition("/")
    for part in filter(None, (plugin, name)) if name else ("",):
        if not _NAME.fullmatch(part) or keyword.iskeyword(part) or part == "config":
            raise BadName(
                f"{part!r} cannot be a name: it must match {_NAME.pattern}, such as my_{kind}, and be neither a word "
                "of Python nor config"
            )
    if here and plugin:
        raise BadName(f"a file belongs to no plugin: leave {plugin}/ out, or leave out --here")
    return Names(kind, plugin or name, name, here)


def render(names: Names) -> dict[str, str]:
    """The text of each file, by its path in the package's folder, or in the current one for a single file."""
    environment = _environment()
    facts = tomllib.loads((bundled_folder(TEMPLATES) / names.kind / "kind.toml").read_text(encoding="utf-8"))
    values: dict[str, Any] = {
        "summary": facts["summary"],
        "supports": _tuple(facts.get("supports", [])),
        "imports": facts.get("imports", []),
        "hook": next(hook for hook, kind in REGISTER_HOOKS.items() if kind == names.kind),
        "config_class": f"{names.class_name}.Config" if names.here else f"{names.class_name}Config",
        **{attribute: getattr(names, attribute) for attribute in _NAMES},
    }

    def fill(template: str) -> str:
        return environment.get_template(f"{template.format(kind=names.kind)}.jinja").render(values)

    for part in ("options.py", "readme.md", "table.toml"):
        values[part.partition(".")[0]] = fill(f"{names.kind}/{part}").rstrip("\n")
    values["nested"] = f"\n\n    @frozen\n    class Config:\n{indent(values['options'], '    ')}" if names.here else ""
    if names.here:
        return {f"{names.name}.py": fill("{kind}/component.py")}
    return {path.format(package=names.package, name=names.name): fill(template) for path, template in _PACKAGE.items()}


def table(names: Names) -> str:
    """The section of a pipeline file that uses the component."""
    return _environment().get_template(f"{names.kind}/table.toml.jinja").render(use=names.use).rstrip("\n")


def changes(files: dict[str, str], folder: Path) -> Iterator[str]:
    """The changes that rendering would make in ``folder``, as lines of a unified diff."""
    for path, text in files.items():
        file = folder / path
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        old, new = before.splitlines(keepends=True), text.splitlines(keepends=True)
        yield from unified_diff(old, new, str(file) if before else "/dev/null", f"{file} (template)")


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files; raises `BadName` where one exists already, and then writes none."""
    if taken := [path for path in files if (folder / path).exists()]:
        raise BadName(f"{folder / taken[0]} already exists: choose another name, or see --diff")
    for path, text in files.items():
        with writing(folder / path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(bundled_folder(TEMPLATES)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _tuple(words: list[str]) -> str:
    quoted = [f'"{word}"' for word in words]
    return f"({', '.join(quoted)},)" if words else ""
