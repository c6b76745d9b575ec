"""What shells offer for arguments: runs, metrics, keys of pipeline files and their values, names of components.

Nothing is told here: where a file cannot be read, or a plugin is broken, there is nothing to offer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from framework.pipeline.document import Document

#: What click takes as ``shell_complete``; each imports what it needs when a shell asks.
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]
#: What evaluations may override.
_EVALUATED = ("environment", "evaluation")


def completing(*, files: bool = False) -> Callable[[Callable[[click.Context, str], Iterable[str]]], Complete]:
    """Makes of words what click calls ``shell_complete``: those that begin as the incomplete one, else ``files``."""

    def of(words: Callable[[click.Context, str], Iterable[str]]) -> Complete:
        @wraps(words)
        def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
            from click.shell_completion import CompletionItem

            try:
                offered = [word for word in dict.fromkeys(words(context, incomplete)) if word.startswith(incomplete)]
            except Exception:  # in the midst of a line there is no place for it
                offered = []
            paths = [CompletionItem(incomplete, type="file")] if files else []
            return [CompletionItem(word) for word in offered] or paths

        return complete

    return of


@completing(files=True)
def complete_runs(context: click.Context, incomplete: str) -> Iterator[str]:
    """Run directories, the newest first."""
    yield from _runs(incomplete)


@completing(files=True)
def complete_pipeline(context: click.Context, incomplete: str) -> Iterator[str]:
    """Pipeline files, which are files; after ``--resume RUN`` the first override."""
    if context.params.get("resume") is not None:
        yield from _overrides(_document(context), [], incomplete)


@completing(files=True)
def complete_files(context: click.Context, incomplete: str) -> tuple[str, ...]:
    """Files, for an argument that is one or something else."""
    return ()


@completing()
def complete_overrides(context: click.Context, incomplete: str) -> Iterator[str]:
    """Keys of the pipeline that is named before, and their values."""
    written = [str(word) for word in context.params.get("overrides") or ()]
    if context.params.get("resume") is not None and context.params.get("pipeline") is not None:
        written.insert(0, str(context.params["pipeline"]))
    yield from _overrides(_document(context), written, incomplete)


@completing(files=True)
def complete_evaluated(context: click.Context, incomplete: str) -> Iterator[str]:
    """Run directories, and what their evaluations may override."""
    written = [str(word) for word in context.params.get("arguments") or ()]
    yield from _runs(incomplete)
    if written and os.path.exists(written[0]):
        from pathlib import Path

        yield from _overrides(_read(Path(written[0])), written[1:], incomplete, _EVALUATED)


@completing(files=True)
def complete_launch(context: click.Context, incomplete: str) -> Iterator[str]:
    """A launcher, then a run."""
    from framework.catalog import default_catalog

    if not context.params.get("names"):
        yield from default_catalog().names("launcher")
    yield from _runs(incomplete)


@completing()
def complete_metrics(context: click.Context, incomplete: str) -> Iterator[str]:
    """Metrics of the run that is named before."""
    from framework.studies.recorded_run import runs_at

    yield from runs_at(_first(context, "runs"))[-1].columns


@completing()
def complete_checkpoints(context: click.Context, incomplete: str) -> Iterator[str]:
    """Checkpoints of the run that is named before."""
    yield from ("best", "last")
    yield from sorted(os.listdir(_first(context, "arguments") / "checkpoints"))


@completing()
def complete_components(context: click.Context, incomplete: str) -> list[str]:
    """Names of components."""
    from framework.catalog import default_catalog
    from framework.hookspecs import CONTRACTS

    return [component.name for component in default_catalog().components() if component.kind in CONTRACTS]


@completing()
def complete_plugins(context: click.Context, incomplete: str) -> list[str]:
    """Kinds, plugins and what they offer."""
    from framework.catalog import default_catalog
    from framework.hookspecs import REGISTER_HOOKS

    catalog = default_catalog()
    plugins = [row.name for row in catalog.plugins.rows]
    return [*REGISTER_HOOKS.values(), *plugins, *(component.name for component in catalog.components())]


def _first(context: click.Context, name: str) -> Path:
    """The first of the arguments of a name. click leaves them all where the value of an option is completed."""
    from pathlib import Path

    return Path((context.params.get(name) or context.args)[0])


# --- runs --------------------------------------------------------------------------------------------------------


def _runs(incomplete: str) -> list[str]:
    """Run directories that a path leads to: in its folder, or in one of the folders that it may mean."""
    place, start = os.path.split(incomplete)
    paths = [os.path.join(place, name) for name in os.listdir(place or ".") if name.startswith(start)]
    folders = [path for path in paths if os.path.isdir(path)]
    inner = [os.path.join(path, name) for path in folders if not _is_run(path) for name in os.listdir(path)]
    return sorted(filter(_is_run, [*folders, *inner]), key=_started, reverse=True)


def _started(path: str) -> float:
    return os.path.getmtime(os.path.join(path, "manifest.json"))


def _is_run(path: str) -> bool:
    return all(os.path.isfile(os.path.join(path, name)) for name in ("pipeline.toml", "manifest.json"))


# --- overrides ---------------------------------------------------------------------------------------------------


def _document(context: click.Context) -> Document:
    from pathlib import Path

    resumed = context.params.get("resume")
    return _read(Path(resumed if resumed is not None else context.params.get("pipeline") or context.params["file"]))


def _read(path: Path) -> Document:
    from framework.pipeline import read

    return read(path / "pipeline.toml" if path.is_dir() else path)


def _overrides(
    document: Document, written: Sequence[str], incomplete: str, sections: Sequence[str] | None = None
) -> Iterator[str]:
    """Keys, or the values of one. For bash ``key=value`` are three words, of which it may keep the second to itself."""
    options = _options(document)
    if written[-1:] == ["="] or (not incomplete and written[-1:] and written[-1] in options):
        yield from _values(options, written[-2] if written[-1] == "=" else written[-1])
    elif "=" in incomplete:
        key = incomplete.partition("=")[0]
        yield from (f"{key}={value}" for value in _values(options, key))
    elif incomplete.startswith("~"):
        yield from (f"~{name}" for name in document.values)
    else:
        yield from (f"{key}=" for key in options if sections is None or key.partition(".")[0] in sections)


def _options(document: Document) -> dict[str, Any]:
    """The type of each option of a pipeline, with its choices, by dotted key; names of components for ``use``."""
    from framework.catalog import default_catalog
    from framework.pipeline.components import KERNEL_OPTIONS
    from framework.pipeline.sections import ARRAYS, COMPONENTS, DEFAULT_ENCODER, SECTIONS
    from framework.schema import join, options

    keys: dict[str, Any] = {}

    def add(cls: type | None, path: str) -> None:
        for name, (field, hint) in options(cls).items() if cls else ():
            keys[join(path, name)] = tuple(field.metadata.get("choices") or ()) or hint

    catalog = default_catalog()
    for section, cls in SECTIONS.items():
        add(cls, section)
    tables = {kind: document.values.get(kind, {}) for kind in COMPONENTS if kind not in ARRAYS}
    for kind in ARRAYS:
        tables |= {join(kind, index): table for index, table in enumerate(document.values.get(kind, ()))}
    for path, table in tables.items():
        kind = path.partition(".")[0]
        keys[join(path, "use")] = tuple(catalog.names(kind))
        use = table.get("use", DEFAULT_ENCODER if kind == "encoder" else "")
        if use and ":" not in use:  # a file of one's own is not run for this
            add(KERNEL_OPTIONS.get(kind), path)
            add(catalog.find(kind, use).config_class(), path)
    return keys


def _values(options: dict[str, Any], key: str) -> list[str]:
    """Values that an option may have, where they are few."""
    choices = options[key]
    if not isinstance(choices, tuple):
        members = [
            inner for hint in (choices, *get_args(choices)) if get_origin(hint) is Literal for inner in get_args(hint)
        ]
        choices = (True, False) if choices is bool else tuple(members)
    return [str(value).lower() if isinstance(value, bool) else str(value) for value in choices]
