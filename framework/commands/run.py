"""Train a pipeline, or resume a run."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from framework.errors import EXIT_DONE, EXIT_INTERRUPTED, PipelineError
from framework.report.events import NOTABLE

if TYPE_CHECKING:
    from framework.runtime.learn.interrupt import Interrupt


@click.command()
@click.argument("pipeline", required=False, type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option(
    "--resume",
    metavar="RUN",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Resume this run from its newest checkpoint.",
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
    from framework.report.live import Output, watch
    from framework.runtime.disk.load_run import load_run
    from framework.runtime.learn.ranks import marked, place
    from framework.runtime.session import Session

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
    interrupt = _interrupt_on_signals()
    try:
        session = Session(loaded, root=runs, resume=resume, interrupt=interrupt, listener=_tell, rank=rank)
    except PipelineError as error:
        raise error if document is None else document.located(error, str(pipeline)) from None
    except KeyboardInterrupt:
        click.echo("interrupted before the run began", err=True)
        return EXIT_INTERRUPTED
    directory = _as_typed(session.directory)
    output = Output(sys.stdout)
    output.say(f"run directory: {directory}")
    try:
        apart = bool(loaded.runtime.samplers) or loaded.runtime.listen is not None
        last = watch(session.updates(), loaded.run.total_steps, output, apart=apart)
    except KeyboardInterrupt:
        click.echo(f"interrupted; resume with: framework run --resume {directory}", err=True)
        return EXIT_INTERRUPTED
    if last is None:
        output.say("this run is already complete: it has done all of its steps")
    return EXIT_DONE


def _as_typed(directory: Path) -> Path:
    """A run directory relative to the current one, where it is below it."""
    here = Path.cwd()
    return directory.relative_to(here) if directory.is_relative_to(here) else directory


def _tell(event: str, fields: Mapping[str, Any]) -> None:
    if "join" in fields:
        fields = {**fields, "join": _as_typed(Path(fields["join"]))}
    if event in NOTABLE:
        with suppress(OSError):  # the terminal may be gone
            click.echo(_harmless(NOTABLE[event].format(**fields)), err=True)


def _harmless(text: str) -> str:
    """Text without what a terminal would take for commands: some of it comes from other machines."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def _interrupt_on_signals() -> Interrupt:
    from framework.runtime.learn.interrupt import Interrupt

    interrupt = Interrupt()

    def stop(number: int, frame: FrameType | None) -> None:
        if interrupt.requested and number == signal.SIGINT:
            os._exit(EXIT_INTERRUPTED)  # the samplers end by themselves when this process is gone
        if interrupt.requested:
            return  # engines send SIGTERM more than once, and so does the system where a parent of many threads dies
        with suppress(OSError):
            os.write(2, b"saving a checkpoint; once more to end at once\n")
        interrupt.request()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and shells in the background have it
            signal.signal(number, stop)
    interrupt.end_when_stuck()
    return interrupt
