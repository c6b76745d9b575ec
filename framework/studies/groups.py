"""Runs that exist, grouped by what they learn: those of a group differ in their seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from framework.errors import RunError
from framework.pipeline.toml import literal
from framework.studies.identity import differing
from framework.studies.recorded_run import RecordedRun

#: Options that are no part of what a run learns, or that its group is told by.
_LABELS = ("run.seed", "run.name")
_LONGEST = 60  # characters of a value in a name


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


@frozen
class Group:
    """Runs of one pipeline with different seeds, by ascending seed."""

    name: str = field(converter=_printable)  #: in one line, and nothing that a terminal takes for commands
    runs: tuple[RecordedRun, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run."""
        return tuple(run.seed for run in self.runs)


def grouped(runs: Sequence[RecordedRun]) -> tuple[list[Group], list[str]]:
    """The groups of ``runs``, in order of appearance, and notes on the runs that were left out.

    Runs count that are done, or were stopped for a reason; of two with equal pipeline and seed the last one given does.
    A group is called by its ``run.name`` where that tells all groups apart, and else by the options in which groups
    differ. Raises `RunError` where no run counts.
    """
    members: list[dict[int, RecordedRun]] = []  # of each group, by seed
    notes = []
    for run in runs:
        if (note := unfinished(run)) is not None:
            notes.append(note)
            continue
        of_group = next((group for group in members if _is_one_of(run, group)), None)
        if of_group is None:
            members.append(of_group := {})
        if run.seed in of_group:
            notes.append(f"{of_group[run.seed].directory} is left out: {run.directory} has its pipeline and seed, too")
        of_group[run.seed] = run
    if not members:
        raise RunError("\n".join([*notes, "no run is whole: train them first, or resume them"]))
    groups = [tuple(of_group[seed] for seed in sorted(of_group)) for of_group in members]
    return [Group(name, group) for name, group in zip(_names(groups), groups, strict=True)], notes


def unfinished(run: RecordedRun) -> str | None:
    """A note that the run is left out as it has not come to its end; None where it has."""
    if run.status in ("done", "stopped"):
        return None
    total = run.pipeline["run"].get("total_steps", 0)
    return f"{run.directory} is left out: it is {run.status} at {run.steps:,} of {total:,} steps"


def _is_one_of(run: RecordedRun, group: Mapping[int, RecordedRun]) -> bool:
    first = next(iter(group.values()))
    return not differing(first.pipeline, run.pipeline).keys() - {"run.seed"}


def _names(groups: Sequence[Sequence[RecordedRun]]) -> list[str]:
    runs = [group[0] for group in groups]
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        shared = len(set(names)) == 1
        told = [" ".join(overrides) for overrides in _overrides(runs)]
        names = [text if shared else f"{run.name} {text}".strip() for run, text in zip(runs, told, strict=True)]
    return [
        name if name not in names[:number] else f"{name} ({names[: number + 1].count(name)})"
        for number, name in enumerate(names)
    ]


def _overrides(runs: Sequence[RecordedRun]) -> list[list[str]]:
    """Of each run, the options in which any differs from the first, as overrides.

    Where runs have different components, their options are left out.
    """
    changes = [differing(runs[0].pipeline, run.pipeline) for run in runs]
    first = {key: value for change in changes for key, (value, _) in change.items() if key not in _LABELS}
    components = tuple(key.removesuffix("use") for key in first if key.endswith(".use"))
    keys = [key for key in first if key.endswith(".use") or not key.startswith(components)]
    return [[_override(key, change.get(key, (None, first[key]))[1]) for key in keys] for change in changes]


def _override(key: str, value: Any) -> str:
    if value is None:
        return f"~{key}"
    if isinstance(value, dict) and "use" in value:
        return f"{key}.use={value['use']}"
    if isinstance(value, list) and value and all(isinstance(part, dict) and "use" in part for part in value):
        return f"{key}={'+'.join(part['use'] for part in value)}"
    text = str(value) if key.endswith(".use") else literal(value)
    return f"{key}={text if len(text) <= _LONGEST else text[:_LONGEST] + '…'}"
