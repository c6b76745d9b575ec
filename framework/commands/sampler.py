"""Collect for a run on another machine."""

from __future__ import annotations

import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click

from framework.commands._duration import Duration


@click.command()
@click.option(
    "--join",
    "file",
    metavar="FILE",
    help="File with the run's join token; - reads it from standard input. Without, it is taken from $FRAMEWORK_JOIN.",
)
@click.option(
    "--workers",
    default="auto",
    show_default=True,
    metavar="NUMBER",
    help="Sampler processes on this machine; auto: one for each processor.",
)
@click.option("--name", metavar="NAME", help="What the run calls this machine; by default its own name.")
@click.option(
    "--patience",
    type=Duration(),
    default="10m",
    show_default=True,
    help="How long to wait for a learner that cannot be reached.",
)
@click.option(
    "--directory",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where Python files that the pipeline names lie here; by default where they lie on the learner's machine.",
)
def command(file: str | None, workers: str, name: str | None, patience: float, directory: Path | None) -> int:
    """Collect for a run that listens on a network (framework run PIPELINE --listen HOST:PORT).

    The join token is the file RUN/join of its run directory. The framework, the plugins and the packages must be the
    learner's; framework doctor --join FILE tells whether they are.

    Exit codes: 0 the run is done; 75 the learner cannot be reached, try again; 77 the key is not valid; 78 versions
    or components differ; 70 the environment fails on this machine.
    """
    from framework.exit_codes import DONE, TRY_AGAIN
    from framework.runtime.launch.agent import run_host
    from framework.runtime.link.token import JoinToken
    from framework.toolkit.cores import usable_cores

    if workers != "auto" and not (workers.isdecimal() and 1 <= int(workers) <= 1024):
        raise click.BadParameter("must be auto, or a number from 1 to 1024", param_hint="--workers")
    token = JoinToken.read(file)
    samplers = usable_cores() if workers == "auto" else int(workers)

    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # engines may say it to a group and to the process
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        status, reason = run_host(
            token, samplers, name or socket.gethostname(), patience=patience, directory=directory, tell=_tell
        )
    except Terminated:
        status, reason = TRY_AGAIN, "ended by SIGTERM"
    click.echo(reason, err=status != DONE)
    return status


class Terminated(BaseException):
    """SIGTERM has come."""


#: Messages of the events that are told.
_NOTABLE = {
    "entered": "{host} collects for {run} at {endpoint}",
    "sampler_lost": "{sampler} died (status {status})",
    "sampler_replaced": "{sampler} is restarted",
}


def _tell(event: str, fields: Mapping[str, Any]) -> None:
    if event in _NOTABLE:
        with suppress(OSError):  # the terminal may be gone
            click.echo(_NOTABLE[event].format(**fields), err=True)
