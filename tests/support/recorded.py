"""Run directories as runs leave them, without a run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PIPELINE = """
[run]
name = "{name}"
seed = {seed}
total_steps = {total_steps}

[algorithm]
learning_rate = {learning_rate}

[runtime]
samplers = {seed}
"""


def write_run(
    folder: Path,
    *,
    name: str = "pole",
    seed: int = 1,
    total_steps: int = 1000,
    learning_rate: float = 0.001,
    metrics: Iterable[dict[str, Any]] = (),
    status: str | None = "done",
    started: str = "2026-01-02T03:04:05+00:00",
) -> Path:
    """A run directory with lines of metrics; its last event tells a status, if any."""
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(
        PIPELINE.format(name=name, seed=seed, total_steps=total_steps, learning_rate=learning_rate)
    )
    (folder / "manifest.json").write_text(json.dumps({"started": started, "seed": seed}))
    events = [] if status is None else [{"time": started, "event": "finished", "status": status}]
    for file, lines in (("metrics", metrics), ("events", events)):
        (folder / f"{file}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def learned(*returns: float, evaluated: float | None = None, seconds: float = 2.0) -> list[dict[str, Any]]:
    """Metrics of an update of 100 steps for each return, and of an evaluation at the end."""
    lines: list[dict[str, Any]] = [
        {"update": number, "steps": 100 * number, "return": value, "time/seconds": seconds * number}
        for number, value in enumerate(returns, 1)
    ]
    if evaluated is not None:
        lines.append({"update": len(returns), "steps": 100 * len(returns), "evaluation/return": evaluated})
    return lines
