"""Run directories that nobody ran: what a run records, made of a learning curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.pipeline.toml import to_toml
from framework.studies.recorded_run import RecordedRun

STEPS = 100  #: environment steps of an update
SECONDS = 2.0  #: of an update


def write_run(
    directory: Path,
    seed: int,
    returns: Sequence[float],
    *,
    score: float | None = None,
    status: str = "done",
    **sections: dict[str, Any],
) -> RecordedRun:
    """A run whose updates had ``returns``, and whose last evaluation had ``score``; ``sections`` of its pipeline."""
    directory.mkdir(parents=True)
    run = {"name": "pole", "seed": seed, "total_steps": STEPS * len(returns), **sections.pop("run", {})}
    (directory / "pipeline.toml").write_text(to_toml({"run": run, **sections}))
    (directory / "manifest.json").write_text("{}")
    lines: list[dict[str, Any]] = [
        {"update": number, "steps": STEPS * number, "return": value, "time/seconds": SECONDS * number}
        for number, value in enumerate(returns, 1)
    ]
    if score is not None:
        lines.append({"update": len(returns), "steps": STEPS * len(returns), "evaluation/return": score})
    (directory / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (directory / "events.jsonl").write_text(json.dumps({"event": "finished", "status": status}) + "\n")
    return RecordedRun(directory)
