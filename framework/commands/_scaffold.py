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

import framework
from framework.errors import EXIT_USAGE, FrameworkError, writing
from framework.hookspecs import COMPONENT_HOOKS

if TYPE_CHECKING:
    from jinja2 import Environment

_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: What stands where in a package; the templates of all kinds, then those of its own.
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
#: What templates know of `Names`.
_NAMES = ("kind", "plugin", "name", "here", "use", "class_name", "package", "distribution")


class BadName(FrameworkError):
    """A name that no component can have, or that is taken."""

    exit_code = EXIT_USAGE


@frozen
class Names:
    """What a new component and everything around it are called."""

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
        """``acme_lab`` -> ``framework-acme-lab``: also the folder of the package."""
        return f"framework-{self.plugin.replace('_', '-')}"

    @property
    def package(self) -> str:
        """What is imported."""
        return f"framework_{self.plugin}"

    @property
    def use(self) -> str:
        """What pipelines call it."""
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


def render(what: Names) -> dict[str, str]:
    """The text of each file, by its path in the package's folder, or in the current one for a single file."""
    environment = _environment()
    facts = tomllib.loads((_folder() / what.kind / "kind.toml").read_text(encoding="utf-8"))
    values: dict[str, Any] = {
        "summary": facts["summary"],
        "supports": _tuple(facts.get("supports", [])),
        "imports": facts.get("imports", []),
        "hook": next(hook for hook, kind in COMPONENT_HOOKS.items() if kind == what.kind),
        "config_class": f"{what.class_name}.Config" if what.here else f"{what.class_name}Config",
        **{name: getattr(what, name) for name in _NAMES},
    }

    def fill(template: str) -> str:
        return environment.get_template(f"{template.format(kind=what.kind)}.jinja").render(values)

    for part in ("options.py", "readme.md", "table.toml"):
        values[part.partition(".")[0]] = fill(f"{what.kind}/{part}").rstrip("\n")
    values["nested"] = f"\n\n    @frozen\n    class Config:\n{indent(values['options'], '    ')}" if what.here else ""
    if what.here:
        return {f"{what.name}.py": fill("{kind}/component.py")}
    return {path.format(package=what.package, name=what.name): fill(template) for path, template in _PACKAGE.items()}


def table(what: Names) -> str:
    """The section of a pipeline file that uses it."""
    return _environment().get_template(f"{what.kind}/table.toml.jinja").render(use=what.use).rstrip("\n")


def changes(files: dict[str, str], folder: Path) -> Iterator[str]:
    """What rendering would change in ``folder``, as lines of a unified diff."""
    for path, text in files.items():
        file = folder / path
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        old, new = (each.splitlines(keepends=True) for each in (before, text))
        yield from unified_diff(old, new, str(file) if before else "/dev/null", f"{file} (template)")


def write(files: dict[str, str], folder: Path) -> None:
    """Write the files; raises `BadName` where one is there already, and then writes none."""
    if taken := [path for path in files if (folder / path).exists()]:
        raise BadName(f"{folder / taken[0]} is there already: choose another name, or see --diff")
    for path, text in files.items():
        with writing(folder / path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")


def _folder() -> Path:
    package = Path(framework.__file__).parent
    for folder in (package / "templates", package.parent / "templates"):  # in a wheel, and in a checkout
        if (folder / "common").is_dir():
            return folder
    raise FrameworkError(f"the templates are missing: neither {package / 'templates'} nor its neighbour is there")


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _tuple(words: list[str]) -> str:
    quoted = [f'"{word}"' for word in words]
    return f"({', '.join(quoted)},)" if words else ""
