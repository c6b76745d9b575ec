"""Train a pipeline, or resume a run."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from framework.commands._completion import complete_overrides, complete_pipeline, complete_runs
from framework.errors import EXIT_DONE, EXIT_INTERRUPTED, PipelineError
from framework.report.events import NOTABLE

if TYPE_CHECKING:
    from framework.report.live import Output
    from framework.runtime.learn.interrupt import Interrupt
    from framework.runtime.session import Session
    from framework.studies.recorded_run import RecordedRun


@click.command()
@click.argument("pipeline", required=False, type=click.Path(path_type=Path), shell_complete=complete_pipeline)
@click.argument("overrides", nargs=-1, shell_complete=complete_overrides)
@click.option(
    "--resume",
    metavar="RUN",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Resume this run from its newest checkpoint.",
    shell_complete=complete_runs,
)
@click.option(
    "--runs",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder in which the run directory is created.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Let samplers on other machines join (framework sampler), such as at 0.0.0.0:5555; the same as "
    "runtime.listen. A port alone is for this machine.",
)
@click.option("--trust", is_flag=True, help="Import Python files that RUN names, even if another account made it.")
def command(
    pipeline: Path | None, overrides: tuple[str, ...], resume: Path | None, runs: Path, listen: str | None, trust: bool
) -> int:
    """Train the pipeline file PIPELINE, or resume a run.

    OVERRIDES are dotted keys with TOML values, such as algorithm.learning_rate=1e-4; ~curriculum removes a table.
    Ctrl-C saves a checkpoint and ends the run; a second Ctrl-C ends it at once.

    Under torchrun, or accelerate launch, several processes share the gradients: torchrun --standalone --nproc-per-node
    4 -m framework run PIPELINE algorithm.slices=4
    """
    from framework.pipeline import load_document
    from framework.report.live import Output
    from framework.runtime.disk.load_run import load_run
    from framework.runtime.learn.ranks import marked, place
    from framework.runtime.session import Session
    from framework.studies.recorded_run import RecordedRun

    if listen is not None:
        overrides = (*overrides, f"runtime.listen={json.dumps(listen)}")
    document = None
    if resume is not None:
        # With --resume the first argument is an override too.
        overrides = (*([str(pipeline)] if pipeline is not None else []), *overrides)
        loaded = load_run(resume, overrides, trust=trust)
    elif pipeline is not None and pipeline.is_dir():
        if not (pipeline / "manifest.json").exists():
            raise click.UsageError(f"{pipeline} is a folder: name the pipeline file in it")
        again = f"train its pipeline anew with framework run {pipeline / 'pipeline.toml'}"
        raise click.UsageError(f"{pipeline} is a run: resume it with framework run --resume {pipeline}, or {again}")
    elif pipeline is not None:
        loaded, document = load_document(pipeline, overrides)
    else:
        raise click.UsageError("name a pipeline file, or a run with --resume")
    rank = place(loaded)
    if rank is not None and rank.number:
        from framework.runtime.learn.follower import follow

        follow(rank)
        return EXIT_DONE
    if rank is not None and rank.restarts and resume is None and (resume := marked(runs)) is not None:
        loaded = load_run(resume, overrides, trust=trust)
    output = Output(sys.stdout)
    interrupt = _interrupt_on_signals(output)
    tell = partial(_tell, output)
    try:
        session = Session(loaded, root=runs, resume=resume, interrupt=interrupt, listener=tell, rank=rank)
    except PipelineError as error:
        raise error if document is None else document.located(error, str(pipeline)) from None
    except KeyboardInterrupt:
        click.echo("interrupted before the run began", err=True)
        return EXIT_INTERRUPTED
    return _watch(session, output, RecordedRun(session.directory) if resume is not None else None)


def _watch(session: Session, output: Output, recorded: RecordedRun | None) -> int:
    """Run a session, which resumes what is ``recorded``, and show it; gives the exit code."""
    from framework.report.live import watch

    directory = shlex.quote(str(_as_typed(session.directory)))
    output.say(f"run directory: {directory}")
    run, runtime = session.pipeline.run, session.pipeline.runtime
    resume = f"framework run --resume {directory}"
    try:
        apart = bool(runtime.samplers) or runtime.listen is not None
        last = watch(session.updates(), run.total_steps, output, apart=apart, recorded=recorded)
    except KeyboardInterrupt:
        click.echo(f"interrupted; resume with: {resume}", err=True)
        return EXIT_INTERRUPTED
    steps = last.steps if last is not None else recorded.steps if recorded is not None else 0
    if steps >= run.total_steps:
        resume += f" run.total_steps={2 * max(steps, run.total_steps):_}"
    if last is None:
        output.say(f"this run is complete: it has done all of its {run.total_steps:,} steps; to go on: {resume}")
    elif output.live:
        page = [f"report: {directory}/report.html"] if run.report else []
        for line in (*page, "next:", f"  framework eval {directory}", f"  framework plot {directory}", f"  {resume}"):
            output.say(line)
    return EXIT_DONE


def _as_typed(directory: Path) -> Path:
    """A run directory relative to the current one, where it is below it."""
    here = Path.cwd()
    return directory.relative_to(here) if directory.is_relative_to(here) else directory


def _tell(output: Output, event: str, fields: Mapping[str, Any]) -> None:
    if "join" in fields:
        fields = {**fields, "join": _as_typed(Path(fields["join"]))}
    if event in NOTABLE:
        output.tell(_harmless(NOTABLE[event].format(**fields)))


def _harmless(text: str) -> str:
    """Text without what a terminal would take for commands: some of it comes from other machines."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def _interrupt_on_signals(output: Output) -> Interrupt:
    from framework.runtime.learn.interrupt import Interrupt

    interrupt = Interrupt()

    def stop(number: int, frame: FrameType | None) -> None:
        if interrupt.requested and number == signal.SIGINT:
            os._exit(EXIT_INTERRUPTED)  # the samplers end by themselves when this process is gone
        if interrupt.requested:
            return  # engines send SIGTERM more than once, and so does the system where a parent of many threads dies
        output.notify("saving a checkpoint; once more to end at once")
        interrupt.request()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and shells in the background have it
            signal.signal(number, stop)
    interrupt.end_when_stuck()
    return interrupt
