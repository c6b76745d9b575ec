"""What the doctor says of a run that this machine might join."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from framework.commands._finding import Finding
from framework.errors import FrameworkError

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline
    from framework.runtime.link.inspection import Inspection

#: Share of the network that samplers may fill, of what was measured both ways at once.
_SHARE = 0.8


def diagnose_join(file: str, directory: Path | None) -> Iterator[Finding]:
    """Whether a run would let this machine in, how well it can be reached, and how many workers are worth it."""
    from framework.pipeline.sections import Pipeline
    from framework.runtime.data.fingerprint import fingerprints, versions
    from framework.runtime.link.admission import ALWAYS, differences
    from framework.runtime.link.inspection import inspect
    from framework.runtime.link.token import JoinToken

    token = JoinToken.read(file)
    run = inspect(token)
    yield Finding("join", "ok", f"{token.run} at {run.endpoint} knows the key {token.name}")
    lines = differences(run.versions, versions())
    for name, line in lines.items():
        refused = run.exact or name in ALWAYS
        yield Finding("join", "error" if refused else "warning", line)
    try:
        pipeline = Pipeline.from_plain(run.pipeline, directory or Path.cwd())
    except FrameworkError as error:
        yield Finding("join", "error", f"the pipeline cannot be built here: {error}")
        return
    component_lines = differences(run.components, fingerprints(pipeline)).values()
    for line in component_lines:
        yield Finding("join", "error", line)
    if not lines and not component_lines:
        yield Finding("join", "ok", "versions, processor and components are the learner's")
    text = f"round trip {1000 * run.round_trip:.2f} ms, {run.bandwidth / 1e6:,.0f} MB/s each way"
    yield Finding("network", "ok", text)
    yield _workers(pipeline, run)


def _workers(pipeline: Pipeline, run: Inspection) -> Finding:
    """How many workers this machine can keep busy, and the network too."""
    from framework.runtime.rollout.worker import Worker
    from framework.toolkit.cores import usable_cores

    worker = Worker(pipeline)
    try:
        worker.keep(0, worker.example_snapshot)
        worker.restore(0, None)
        worker.collect(0, 0, 0)
        started = perf_counter()
        trajectory = worker.collect(0, 1, 0)
        seconds = perf_counter() - started
    finally:
        worker.close()
    size = sum(array.nbytes for array in trajectory.arrays.values())
    cores, carried = usable_cores(), int(_SHARE * run.bandwidth * seconds / size)
    rate = trajectory.steps / seconds
    text = f"one worker collects {rate:,.0f} steps/s of {size / trajectory.steps:,.0f} bytes: --workers {{}}"
    if carried < cores:
        return Finding("workers", "warning", text.format(max(1, carried)), "the network carries no more")
    return Finding("workers", "ok", text.format(cores) + ", one for each processor")
