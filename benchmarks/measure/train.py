"""Trains a pipeline in a process of its own and prints the time of each part: ``python -m measure.train PIPELINE``."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import framework
from framework.runtime.session import Session
from measure.processes import cpu_seconds, say, tree

#: Updates before the window whose time is broken down: the first ones wait for samplers to start.
WARM_UP = 5
_TIMES = ("acting", "stepping", "total", "waiting", "updating")


def main() -> None:
    """Train, until the steps are done or an evaluation reaches ``--until``."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pipeline")
    arguments.add_argument("overrides", nargs="*")
    arguments.add_argument("--until", type=float)
    options = arguments.parse_args()
    pipeline = framework.load(options.pipeline, options.overrides)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(pipeline, root=Path(folder))
        rows: list[dict[str, Any]] = []
        moments: list[float] = []
        processor: list[float] = []
        evaluations: list[list[float]] = []
        evaluating = 0.0
        updates = session.updates()
        for update in updates:
            moments.append(time.time())
            rows.append(update.metrics)
            if len(rows) == WARM_UP or update.steps >= pipeline.run.total_steps:
                processor.append(cpu_seconds(tree(os.getpid())))
            if update.evaluation:
                evaluations.append([update.steps, update.evaluation["evaluation/return"]])
                evaluating += update.evaluation["time/evaluation"]
                if options.until is not None and evaluations[-1][1] >= options.until:
                    break
        updates.close()
        ready = _samplers_ready(session.directory) or moments[0] - rows[0]["time/seconds"]
    import torch

    seconds = moments[-1] - ready
    say(
        steps=rows[-1]["steps"],
        seconds=seconds,
        rate=rows[-1]["steps"] / seconds,
        ready=ready,
        curve=[[row["steps"], row["return"]] for row in rows if "return" in row],
        final_return=rows[-1].get("return"),
        episodes=rows[-1]["episodes"],
        evaluations=evaluations,
        evaluating=evaluating,
        solved=bool(options.until is not None and evaluations and evaluations[-1][1] >= options.until),
        window=_window(rows, moments, processor),
        threads=torch.get_num_threads(),
    )


def _samplers_ready(directory: Path) -> float | None:
    """The time of day when the first sampler had built its environments; None where there are no samplers."""
    for line in (directory / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "sampler_joined":
            return datetime.fromisoformat(event["time"]).timestamp()
    return None


def _window(rows: list[dict[str, Any]], moments: list[float], processor: list[float]) -> dict[str, Any] | None:
    """Seconds that the updates after the first few took, by activity.

    None for a run that was shorter, or ended before its steps were done.
    """
    if len(processor) < 2:
        return None
    window = rows[WARM_UP:]
    return {
        "updates": len(window),
        "steps": window[-1]["steps"] - rows[WARM_UP - 1]["steps"],
        "wall": moments[-1] - moments[WARM_UP - 1],
        "processor": processor[1] - processor[0],
        **{name: sum(row[f"time/{name}"] for row in window) for name in _TIMES},
    }


if __name__ == "__main__":
    main()
