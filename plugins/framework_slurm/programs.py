"""The programs of SLURM. What they refuse is a `RunError` that says what to do."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping

from attrs import frozen

from framework.errors import RunError
from framework.runtime.link.token import VARIABLE

#: Variables that stand for options of these programs, and would have it their way where the launcher has its own.
_OPTIONS = ("SBATCH_", "SQUEUE_", "SCANCEL_")
_UNREACHABLE = "scontrol ping tells whether SLURM can be reached from here"
#: Seconds that a controller under load has to answer.
PATIENCE = 120.0


@frozen
class Task:
    """A task of a job array that SLURM has in its queue."""

    job: str
    number: int
    state: str  #: as SLURM writes it: ``RUNNING``
    place: str  #: the node, or in parentheses why there is none


def submit(script: str) -> str:
    """Queue the script; returns the id of its job."""
    advice = "framework launch --dry-run prints the script, whose options may be at fault; " + _UNREACHABLE
    output = _call(["sbatch", "--parsable"], advice, script)
    match = re.match(r"(\d+)(;.*)?$", output.strip().rpartition("\n")[2])
    if match is None:
        raise RunError(f"sbatch --parsable: expected the id of a job, got: {output.strip()!r}")
    return match[1]


def queued() -> list[Task]:
    """All tasks of this user's job arrays that have not ended."""
    arguments = ["squeue", "--all", "--noheader", "--array", f"--user={os.getuid()}", "--format=%F|%K|%T|%R"]
    fields = (line.split("|", 3) for line in _call(arguments, _UNREACHABLE).splitlines())
    return [
        Task(line[0].strip(), int(line[1]), line[2].strip(), line[3].strip().removesuffix("(None)"))
        for line in fields
        if len(line) == 4 and line[1].isdecimal()  # the others are jobs without tasks
    ]


def cancel(tasks: Mapping[str, str]) -> None:
    """End tasks, such as ``{"1234": "0-3,7"}``, the numbers by the id of their job."""
    _call(["scancel", *(f"{job}_[{numbers}]" for job, numbers in tasks.items())], _UNREACHABLE)


def _call(arguments: Iterable[str], advice: str, text: str = "") -> str:
    arguments = list(arguments)
    command = shlex.join(arguments)
    # The job gets this environment too, where a join token may stand.
    variables = {
        name: value for name, value in os.environ.items() if name != VARIABLE and not name.startswith(_OPTIONS)
    }
    try:
        process = subprocess.run(
            arguments, input=text, capture_output=True, text=True, timeout=PATIENCE, env=variables, check=False
        )
    except FileNotFoundError:
        raise RunError(
            f"{command}: there is no {arguments[0]} here: launch on a machine that submits jobs to SLURM, or load the"
            " module that puts it on PATH"
        ) from None
    except OSError as error:
        raise RunError(f"{command}: cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise RunError(f"{command}: no answer within {PATIENCE:.0f} s: {_UNREACHABLE}") from None
    if process.returncode:
        reason = process.stderr.strip() or "it says nothing"
        raise RunError(f"{command} has ended with {process.returncode}: {reason}\n{advice}")
    return process.stdout
