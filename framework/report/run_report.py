"""A page about one run, or about several: `framework report`, and at the end of each run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import framework
from framework.report.html import Html, clipped, details, markup, page, paragraph, section
from framework.report.run_charts import algorithm, learning, speed
from framework.report.run_curves import groups_of
from framework.report.run_events import collectors_of, events_of
from framework.report.run_origin import origin_of
from framework.report.run_pipeline import differing, mixed, pipeline_of
from framework.report.run_summary import head, headline, overview
from framework.report.run_videos import videos_of
from framework.report.thinned_run import ThinnedRun
from framework.studies.recorded_run import RecordedRun, Status

#: Bytes of videos that a page holds at most.
VIDEO_LIMIT = 10_000_000
#: Runs of which more is told than their curves and a row of a table.
_RUNS = 20


def write_report(
    directories: Sequence[Path], output: Path, *, status: Status | None = None, video_limit: int = VIDEO_LIMIT
) -> int:
    """Write the page about runs to a file, whole or not at all; returns its size in bytes.

    Args:
        directories: of the runs.
        output: the file.
        status: how the run stands, where it is about to end; otherwise its directory tells.
        video_limit: bytes of videos that the page holds at most.

    Raises `RunError` where one is no run directory, and OSError where the file cannot be written.
    """
    runs = [ThinnedRun(directory) for directory in directories]
    data = report(runs, [status or run.status for run in runs], output, video_limit).encode()
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
        unfinished.replace(output)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    return len(data)


def report(runs: Sequence[RecordedRun], statuses: Sequence[Status], output: Path, video_limit: int) -> Html:
    """The page about runs, in the order of their names, which will lie at ``output``."""
    groups = groups_of(runs)
    [first, *others] = runs
    names = clipped(", ".join(group.name for group in groups), 200)
    if others:
        top = markup(mixed(groups), section("Runs", overview(groups, dict(zip(runs, statuses, strict=True)))))
    else:
        top = headline(first)
    return page(
        names if others else f"{names}, seed {first.seed}",
        top,
        section("Learning", learning(groups)),
        section("Algorithm", algorithm(groups)),
        section("Speed", speed(groups)),
        section("Videos", videos_of(runs, output, video_limit)),
        section("Events", _of_each(runs, events_of)),
        section("Samplers", _of_each(runs, collectors_of)),
        section("Pipeline", differing(groups), _of_each([group.runs[0] for group in groups], pipeline_of)),
        section("Versions and machine", _of_each(runs, origin_of)),
        head=None if others else head(first, statuses[0]),
        foot=paragraph(f"Written {datetime.now():%Y-%m-%d %H:%M:%S} by framework {framework.__version__}."),
    )


def _of_each(runs: Sequence[RecordedRun], tell: Callable[[RecordedRun], Html]) -> Html:
    """What is told of one run; of several, folded away below the names of their directories."""
    if len(runs) == 1:
        return tell(runs[0])
    told = [(run.directory.name, tell(run)) for run in runs[:_RUNS]]
    more = len(runs) - _RUNS
    return markup(
        (details(name, content) for name, content in told if content),
        paragraph(f"and {more} more runs", muted=True) if more > 0 else None,
    )
