"""The rows that the table of the research environment compares, and the episodes they are compared on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

#: Rewards are those of the task itself, and levels those of the setting, whatever the training used.
ALWAYS = ['environment.reward_shaping="sparse"', "evaluation.tasks=[]"]
SOURCE, FACTBOOK, TESTED = "source", "factbook", "test "
#: The baseline that transfer is measured from.
RANDOM = "random"

#: Names of cells, each with overrides.
Cells = dict[str, list[str]]


@frozen
class Row:
    """A pipeline that is trained with ``overrides``, or a ``policy`` that is a function, in its environment."""

    name: str
    pipeline: Path
    overrides: tuple[str, ...] = ()
    policy: str | None = None

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@frozen
class Rows:
    """Those of the table; of the ablation, the full pipeline first; and the steps that lead to it, by their names."""

    table: tuple[Row, ...]
    ablation: tuple[Row, ...]
    steps: Mapping[str, Row]

    @property
    def all(self) -> list[Row]:
        """All rows, each once."""
        return list(dict.fromkeys([*self.table, *self.ablation, *self.steps.values()]))


def read_rows(path: Path) -> Rows:
    """The rows in a TOML file; paths in it are relative to it. A step may refer to a row of the table."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))

    def whole(entry: Mapping[str, Any]) -> Row:
        overrides = tuple(entry.get("overrides", ()))
        return Row(entry["name"], path.parent / entry["pipeline"], overrides, entry.get("policy"))

    def changed(row: Row, entry: Mapping[str, Any]) -> Row:
        return Row(entry["name"], row.pipeline, (*row.overrides, *entry["overrides"]))

    table = tuple(map(whole, content["row"]))
    (full,) = (row for row in table if row.name == content["full"])
    ablation = (full, *(changed(full, entry) for entry in content.get("ablation", ())))
    by_name = {row.name: row for row in (*table, *ablation)}

    def step(entry: Mapping[str, Any]) -> Row:
        if "row" in entry:
            return by_name[entry["row"]]
        return whole(entry) if "pipeline" in entry else changed(full, entry)

    return Rows(table, ablation, {entry["name"]: step(entry) for entry in content.get("step", ())})


def tested(level: float) -> str:
    """The name of the test split at a level."""
    return f"{TESTED}{level:g}"


def held_out_cells(levels: Sequence[float]) -> Cells:
    """The test split at each level: new names and new pairs of relations."""
    return {tested(level): [*ALWAYS, 'environment.split="test"', _level(level)] for level in levels}


def transfer_cells(level: float) -> Cells:
    """The settings trained on, at a level, and settings that differ from them in one respect each."""
    at, higher = f" {level:g}", round(level + 0.2, 3)
    return {
        SOURCE + at: [*ALWAYS, _level(level)],
        "new names" + at: [*ALWAYS, _level(level), 'environment.split="test"', 'environment.bigrams="train"'],
        "new pairs" + at: [*ALWAYS, _level(level), 'environment.bigrams="held out"'],
        **({"next level" + at: [*ALWAYS, _level(higher)]} if higher <= 1 else {}),
        FACTBOOK + at: [*ALWAYS, _level(level), f'environment.corpus="{FACTBOOK}"'],
    }


def _level(level: float) -> str:
    return f"environment.task_complexity={level:g}" if level % 1 else f"environment.task_complexity={level:.1f}"
