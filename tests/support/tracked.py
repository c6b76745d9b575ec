"""Runs that a tracker logs, and what it gives back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import tiny

from framework.runtime.session import Session
from framework.studies.recorded_run import RecordedRun
from framework.testing import subject
from framework.testing.callback import ToldRun, told_run

#: What `logged_run` has a tracker log: steps, name and value.
LOGGED = sorted(
    [100 * number, name, value]
    for number in (1, 2, 3)
    for name, value in {
        "update": number,
        "return": number,
        "time/seconds": 0.5 * number,
        "evaluation/return": number + 0.5,
        "evaluation/episodes": 2,
    }.items()
)
#: Seconds that a tracker may take where the machine is busy.
PATIENCE = 250.0
#: A run that is killed after its third update.
_KILLED = """
import os, signal, sys, pathlib, tiny
from framework.runtime.session import Session
folder = pathlib.Path(sys.argv[1])
pipeline = tiny.load(folder, sys.argv[2], evaluation__episodes=1, evaluation__every_steps=32, checkpoint__keep=1,
                     checkpoint__every_seconds=1000.0)
for update in Session(pipeline, root=folder / "runs").updates():
    if update.number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def logged_run(use: str, options: Mapping[str, Any]) -> Iterator[ToldRun]:
    """A run of three updates, each with an evaluation, a video and a checkpoint, that went on after the second."""
    with told_run(subject("callback", use, {"finish_seconds": PATIENCE, **options})) as run:
        (run.directory / "checkpoints").mkdir()
        (run.directory / "checkpoints" / "policy").write_bytes(b"weights")
        for updates in (range(1, 3), range(3, 4)):
            with run.going_on() as lifecycle:
                run.play(lifecycle, updates)
        yield run


def killed_and_resumed(folder: Path, use: str, options: str = "") -> RecordedRun:
    """A run of four updates of 16 steps, evaluated after every second, that was killed after its third."""
    table = f'[[callback]]\nuse = "{use}"\nfinish_seconds = {PATIENCE}\n{options}'
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(folder), table], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    [directory] = (folder / "runs").iterdir()
    pipeline = tiny.load(folder, table, evaluation__episodes=1, evaluation__every_steps=32)
    list(Session(pipeline, root=folder / "runs", resume=directory).updates())
    run = RecordedRun(directory)
    assert [event for event in run.events if event["event"] == "callback_dropped"] == []
    return run


def expected(run: RecordedRun) -> list[tuple[int, str, float]]:
    """Step, name and value of everything that a tracker has to have of a run, once."""
    return sorted(
        (line["steps"], name, value)
        for line in run.metrics
        for name, value in line.items()
        if name != "steps" and not (name == "update" and line in run.evaluations)
    )


def without_times(values: list[tuple[int, str, float]]) -> list[tuple[int, str, float]]:
    """What equal runs have in common: updates that were done again took another time."""
    return [value for value in values if not value[1].startswith("time/")]


def read_back(program: str, *arguments: object) -> Any:
    """What a program with a tracker's own API prints, as JSON; it sees the environment of this process."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that log a run of ``folder``, or were started by one that does."""
    left = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command = " ".join(process.info["cmdline"] or [])
        if "framework.toolkit.tracking" in command or "wandb-core" in command:
            left.append(command if str(folder) in str(process.info["environ"]) else "")
    return [command for command in left if command]
