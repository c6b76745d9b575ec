"""Run directories as runs leave them, written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PIPELINE = """
[run]
name = "pole"
seed = 3
total_steps = 1000

[environment]
use = "gymnasium"
id = "CartPole-v1"

[encoder]
use = "mlp"
hidden = [64, 64]

[algorithm]
use = "ppo"
learning_rate = 0.001
epochs = 4

[sampling]
environments = 8
shard = 8
"""
MANIFEST = {
    "framework": "0.1.0",
    "started": "2026-11-30T15:12:02+00:00",
    "seed": 3,
    "base_directory": "/home/me/study",
    "components": {"algorithm/ppo": {"distribution": "framework-rl", "version": "0.1.0", "sha256": "ab" * 32}},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "machine": {"platform": "Linux", "processor": "x86_64", "cores": 2},
    "command": ["framework", "run", "pole one.toml"],
}
FINISHED = {"time": "2026-11-30T15:12:42.348+00:00", "event": "finished", "status": "done"}


def update(number: int, **columns: Any) -> dict[str, Any]:
    """The line of an update, a second and 100 steps after the one before; ``a__b`` is ``a/b``."""
    line: dict[str, Any] = {"update": number, "steps": 100 * number, "return": float(number), "length": 2.0 * number}
    line |= {"lag": 1, "loss": 1 / number, "time/seconds": float(number), "time/steps_per_second": 100.0}
    line |= {"time/waiting": 0.25, "time/updating": 0.75, "time/acting": 1.0, "time/stepping": 2.0, "time/total": 4.0}
    return line | {name.replace("__", "/"): value for name, value in columns.items()}


def evaluation(number: int, mean: float = 5.0, **columns: Any) -> dict[str, Any]:
    """The line of an evaluation after an update."""
    scores = {"return": mean, "return_std": 2.0, "return_min": mean - 3, "return_max": mean + 3, "length": 9.0}
    scores |= {"episodes": 17} | columns
    return {"update": number, "steps": 100 * number} | {f"evaluation/{name}": value for name, value in scores.items()}


def write(
    folder: Path,
    metrics: Iterable[dict[str, Any]] = (),
    events: Iterable[dict[str, Any]] = (FINISHED,),
    pipeline: str = PIPELINE,
    manifest: Any = MANIFEST,
) -> Path:
    """A run directory."""
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(pipeline)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name, lines in (("metrics", metrics), ("events", events)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder
