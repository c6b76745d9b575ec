"""What the examples reached, for ``framework examples``: ``examples/measured.json``, from the result files alone."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.commands._examples import MEASURED
from measure.aims import EXAMPLES
from measure.pages import RESULTS
from measure.report import results
from measure.research_rows import TESTED, read_rows
from measure.results import BENCHMARKS, Measurement, values

PATH = EXAMPLES / MEASURED
_ROWS = BENCHMARKS / "pipelines" / "research-rows.toml"


def facts() -> str:
    """The text of the file. Raises ValueError where the examples were not all measured alike."""
    by_example = results()
    ways = {
        (tuple(result["settings"]["seeds"]), result["machine"]["usable_cores"], result["machine"]["processor"])
        for result in by_example.values()
    }
    if len(ways) > 1 or any(result["settings"]["overrides"] for result in by_example.values()):
        raise ValueError(f"not all examples were measured as they are, with the same seeds and cores: {ways}")
    [(seeds, cores, processor)] = ways
    examples = {name: _returns(name, result["measurements"]) for name, result in by_example.items()} | _research()
    note = (
        f"Measured with seeds {', '.join(map(str, seeds))}; minutes on {cores} core{'s' * (cores > 1)} of {processor}."
    )
    return json.dumps({"note": note, "examples": dict(sorted(examples.items()))}, indent=1) + "\n"


def write() -> list[Path]:
    """Write the file; gives it where it changed."""
    text = facts()
    if PATH.is_file() and PATH.read_text(encoding="utf-8") == text:
        return []
    PATH.write_text(text, encoding="utf-8")
    return [PATH]


def _returns(name: str, measurements: Sequence[Measurement]) -> dict[str, Any]:
    returns = ", ".join(f"{value:.4g}" for value in values(measurements, name, "return"))
    return _fact(returns, [seconds / 60 for seconds in values(measurements, name, "seconds")])


def _research() -> dict[str, dict[str, Any]]:
    """The rows of the research table that train an example as it is, at the levels that it is measured at."""
    result = json.loads((RESULTS / "research-table.json").read_text(encoding="utf-8"))
    measurements, facts = result["measurements"], {}
    for row in read_rows(_ROWS).table:
        if row.policy is None and not row.overrides:
            scores: list[Any] = values(measurements, row.name, "scores")
            success = {
                level: sum(cells[f"{TESTED}{level:g}"]["success"] for cells in scores) / len(scores)
                for level in sorted(result["settings"]["levels"])
            }
            words = " and ".join(f"{_decimal(share)} at level {_decimal(level)}" for level, share in success.items())
            facts[row.pipeline.stem] = _fact(f"success of {words}", values(measurements, row.name, "minutes"))
    return facts


def _decimal(number: float) -> str:
    """As the examples write shares: ``.93``; ``0`` for 0."""
    return re.sub(r"^0(?=\.)", "", f"{round(number, 2):g}")


def _fact(reached: str, minutes: Sequence[float]) -> dict[str, Any]:
    return {"reached": reached, "minutes": [round(min(minutes), 1), round(max(minutes), 1)]}
