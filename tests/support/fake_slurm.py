"""Stands for SLURM: programs on PATH of its names, which keep the tasks of job arrays as processes of this machine.

Its rules are those of SLURM 22.05 as far as the launcher depends on them: tasks wait for room and for their begin time,
output is appended, a cancelled task gets SIGTERM and is COMPLETING until it has ended, and ``scontrol requeue`` brings
back any task that has not, a cancelled one too.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import define, field

#: What each program is: it hands everything to the test's process, and prints what comes back.
PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    text = sys.stdin.read() if {name!r} == "sbatch" else ""
    call = dict(program={name!r}, arguments=sys.argv[1:], text=text, folder=os.getcwd(), variables=dict(os.environ))
    link.sendall(json.dumps(call).encode() + b"\\n")
    code, output, errors = json.loads(link.makefile("rb").readline())
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(code)
"""
NAMES = ("sbatch", "squeue", "scancel", "scontrol")


@define
class Task:
    """One task of a job array."""

    job: int
    number: int
    script: str
    options: dict[str, str]
    folder: str
    variables: dict[str, str]
    state: str = "PENDING"
    begin: float = 0.0  #: when it may start
    killed: float = 0.0  #: when SIGKILL follows
    requeued: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """As SLURM writes it."""
        return f"{self.job}_{self.number}"


@define(slots=False)
class FakeSlurm:
    """A cluster of one node. A context manager; its programs are in ``programs`` while it is open."""

    folder: Path
    room: int = 8  #: how many tasks run at once
    hold: float = 0.05  #: seconds before a task that was queued again starts
    kill_wait: float = 5.0
    refusals: dict[str, str] = field(factory=dict)  #: what a program says instead of doing its work
    tasks: list[Task] = field(factory=list)
    calls: list[dict[str, Any]] = field(factory=list)  #: every call of a program, with its whole environment
    starts: list[str] = field(factory=list)  #: the tasks that were started, in order

    @property
    def programs(self) -> Path:
        """The folder of the programs."""
        return self.folder / "bin"

    def __enter__(self) -> FakeSlurm:
        self.programs.mkdir(parents=True)
        address = str(self.folder / "link")
        for name in NAMES:
            (self.programs / name).write_text(PROGRAM.format(python=sys.executable, address=address, name=name))
            (self.programs / name).chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen()
        self._listener.settimeout(0.02)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="slurm")
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing = True
        self._thread.join()
        self._listener.close()
        for task in self.tasks:
            if task.process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(task.process.pid, signal.SIGKILL)
                task.process.wait()

    def signal(self, name: str, number: int) -> None:
        """Send a signal to the script of a task alone, as ``scancel --batch --signal`` does."""
        process = next(task.process for task in self.tasks if task.name == name)
        assert process is not None
        process.send_signal(number)

    def _serve(self) -> None:
        while not self._closing:
            self._schedule()
            try:
                link, _ = self._listener.accept()
            except TimeoutError:
                continue
            with link:
                link.settimeout(5.0)
                call = json.loads(link.makefile("rb").readline())
                self.calls.append(call)
                if (reason := self.refusals.get(call["program"])) is not None:
                    answer = (1, "", f"{call['program']}: error: {reason}\n")
                else:
                    answer = getattr(self, f"_{call['program']}")(call)
                link.sendall(json.dumps(answer).encode() + b"\n")

    def _schedule(self) -> None:
        now = time.monotonic()
        for task in self.tasks:
            if task.process is not None and task.state == "COMPLETING" and now > task.killed:
                with suppress(ProcessLookupError):
                    os.killpg(task.process.pid, signal.SIGKILL)
            if task.process is not None and task.process.poll() is not None:
                with suppress(ProcessLookupError):  # what the script has left running
                    os.killpg(task.process.pid, signal.SIGKILL)
                task.process = None
                task.state = "PENDING" if task.requeued else "ENDED"
                task.requeued, task.begin = False, now + self.hold
        running = sum(task.process is not None for task in self.tasks)
        for task in self.tasks:
            if task.state == "PENDING" and running < self.room and now >= task.begin:
                running += 1
                self._start(task)

    def _start(self, task: Task) -> None:
        task.state = "RUNNING"
        self.starts.append(task.name)
        script = self.folder / f"{task.name}.sh"
        script.write_text(task.script)
        variables = {"SLURM_ARRAY_JOB_ID": str(task.job), "SLURM_ARRAY_TASK_ID": str(task.number)}
        with Path(task.options["output"].replace("%a", str(task.number)).replace("%%", "%")).open("ab") as output:
            task.process = subprocess.Popen(
                ["/bin/bash", str(script)],
                cwd=task.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=task.variables | variables,
            )

    def _sbatch(self, call: dict[str, Any]) -> tuple[int, str, str]:
        lines = re.findall(r"^#SBATCH (.*)$", call["text"], re.MULTILINE)
        words = [word.removeprefix("--").partition("=") for line in lines for word in shlex.split(line)]
        options = {name: value for name, _, value in words}
        job = 1 + max((task.job for task in self.tasks), default=40)
        for number in expand(options["array"]):
            self.tasks.append(Task(job, number, call["text"], options, call["folder"], call["variables"]))
        return 0, f"{job}\n", ""

    def _squeue(self, call: dict[str, Any]) -> tuple[int, str, str]:
        options = dict(word.removeprefix("--").partition("=")[::2] for word in call["arguments"])
        wanted = options.get("jobs")
        lines = []
        for task in self.tasks:
            if task.state != "ENDED" and wanted in (None, task.name):
                line = options["format"].replace("%F", str(task.job)).replace("%K", str(task.number))
                place = "(Resources)" if task.state == "PENDING" else "localhost"
                lines.append(line.replace("%T", task.state).replace("%R", place))
        return 0, "".join(f"{line}\n" for line in lines), ""

    def _scancel(self, call: dict[str, Any]) -> tuple[int, str, str]:
        for task in self._named(call["arguments"]):
            if task.process is None:
                task.state = "ENDED"
            elif task.state == "RUNNING":
                task.state, task.killed = "COMPLETING", time.monotonic() + self.kill_wait
                with suppress(ProcessLookupError):
                    os.killpg(task.process.pid, signal.SIGTERM)
        return 0, "", ""

    def _scontrol(self, call: dict[str, Any]) -> tuple[int, str, str]:
        verb, *names = call["arguments"]
        assert verb == "requeue", verb
        for task in self._named(names):
            task.state, task.requeued = "COMPLETING", True
            task.killed = time.monotonic() + self.kill_wait
        return 0, "", ""

    def _named(self, names: Sequence[str]) -> list[Task]:
        """The tasks of ``41_2`` and ``41_[0-3,7]`` that have not ended."""
        parts = [name.partition("_") for name in names]
        wanted = {f"{job}_{number}" for job, _, numbers in parts for number in expand(numbers)}
        return [task for task in self.tasks if task.name in wanted and task.state != "ENDED"]


def expand(numbers: str) -> list[int]:
    """``[0-2,7]`` as numbers."""
    spans = [list(map(int, span.split("-"))) for span in numbers.strip("[]").split(",")]
    return [number for span in spans for number in range(span[0], span[-1] + 1)]
