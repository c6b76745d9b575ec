"""Stubs of hosts: what a launcher starts while it is checked, in the place of ``framework sampler``."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from framework.interfaces import LauncherContext, Work
from framework.testing.subject import Skip, Subject

#: Samplers of each host that is asked for.
WORKERS = 2
_LOOK = 0.05
#: Seconds that processes have to end which were killed.
_KILLED = 10.0
#: Takes the arguments of ``framework sampler``; each line of the journal is one event of one process. It ends with 75
#: on SIGTERM, with what stands in a file of its own where there is one, and without its folder.
_STUB = """\
import argparse, hashlib, json, os, signal, sys, time

FOLDER = os.path.dirname(os.path.abspath(__file__))


def tell(event, **fields):
    line = json.dumps({"process": os.getpid(), "event": event, **fields}) + "\\n"
    journal = os.open(os.path.join(FOLDER, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(journal, line.encode())
    os.close(journal)


def end(status):
    tell("ended", status=status)
    os._exit(status)


signal.signal(signal.SIGTERM, lambda *_: end(75))
parser = argparse.ArgumentParser()
parser.add_argument("command", choices=["sampler"])
for name in ("--join", "--workers", "--name"):
    parser.add_argument(name, required=True)
for name in ("--patience", "--directory"):
    parser.add_argument(name)
given = parser.parse_args()
token = sys.stdin.readline() if given.join == "-" else open(given.join).read()
digest = hashlib.sha256(token.strip().encode()).hexdigest()
tell("started", name=given.name, workers=given.workers, token=digest)
order = os.path.join(FOLDER, f"end-{os.getpid()}")
while os.path.exists(__file__):
    if os.path.exists(order):
        end(int(open(order).read()))
    time.sleep(0.02)
"""


class Stubs:
    """A launcher with a folder of its own, and the stubs that it starts."""

    def __init__(self, subject: Subject, folder: Path):
        from framework.runtime.link.keys import write_private
        from framework.runtime.link.token import JoinToken

        self._subject, self._folder = subject, folder
        run = f"conformance-{secrets.token_hex(4)}"
        self._directory = folder / run / "launch" / "checked"
        self._directory.mkdir(mode=0o700, parents=True)
        token = JoinToken("checked", run, ("tcp://127.0.0.1:9",), *(secrets.token_urlsafe(30) for _ in range(3)))
        write_private(self._directory / "token", f"{token}\n")
        self.digest = sha256(str(token).encode()).hexdigest()
        # Less than whole groups of base64, as what stands before and after may change the first and the last.
        self._secrets = (str(token)[4:], token.secret, base64.b64encode(str(token).encode()).decode()[:-4])
        self.program = str(folder / "host.py")
        Path(self.program).write_text(_STUB, encoding="utf-8")
        self._context = LauncherContext(run, self._directory, subject.directory or Path.cwd())

    def launcher(self) -> Any:
        """The launcher, built as each process that asks it for something builds it."""
        return self._subject.build(self._context)

    def work(self, hosts: int) -> Work:
        """So many hosts, which are stubs."""
        return Work(hosts, WORKERS, (sys.executable, "-I", self.program), self._directory / "token")

    # What they do.

    def journal(self) -> list[dict[str, Any]]:
        """What they have told so far."""
        try:
            text = (self._folder / "journal").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def starts(self) -> list[dict[str, Any]]:
        """Those that have begun so far."""
        return [line for line in self.journal() if line["event"] == "started"]

    def alive(self) -> dict[int, str]:
        """The processes that are at work, and the names that they run under, in their order."""
        return {
            line["process"]: line["name"] for line in self.starts() if self.program in _command(Path("/proc"), line)
        }

    def end(self, process: int, status: int) -> None:
        """Have one end with an exit code."""
        order = self._folder / f".end-{process}"
        order.write_text(str(status))
        order.replace(self._folder / f"end-{process}")
        self.wait(lambda: process not in self.alive(), lambda: f"the host of process {process} does not end")

    def kill(self, process: int) -> None:
        """Kill one."""
        os.kill(process, signal.SIGKILL)
        self.wait(lambda: process not in self.alive(), lambda: f"the host of process {process} does not end")

    def wait(self, condition: Callable[[], Any], otherwise: Callable[[], str]) -> None:
        """Wait until something is so, as long as the subject has patience."""
        deadline = monotonic() + self._subject.patience
        while not condition():
            assert monotonic() < deadline, f"{otherwise()} (waited for {self._subject.patience:g} s)"
            sleep(_LOOK)

    def watch(self, seconds: float, condition: Callable[[], Any], otherwise: Callable[[], str]) -> None:
        """See that something stays so."""
        until = monotonic() + seconds
        while monotonic() < until:
            assert condition(), otherwise()
            sleep(_LOOK)

    def settle(self, count: int) -> None:
        """Wait until so many are at work."""
        self.wait(
            lambda: len(self.alive()) == count,
            lambda: f"{count} hosts were asked for, and {len(self.alive())} are at work",
        )

    # What is left, and what is seen.

    def processes(self) -> dict[int, str]:
        """All processes whose arguments name a file of ours: stubs, and what the launcher has started beside them."""
        return {number: command for number, command in _commands().items() if str(self._folder) in command}

    def environment(self, process: int) -> str:
        """The environment variables of a process."""
        with suppress(OSError):
            return Path("/proc", str(process), "environ").read_bytes().decode(errors="replace")
        return ""

    def files(self) -> list[str]:
        """Those of the launcher's directory."""
        paths = (path for path in self._directory.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self._directory)) for path in paths)

    def file(self, name: str) -> str:
        """The content of one."""
        with suppress(OSError):
            return (self._directory / name).read_bytes().decode(errors="replace")
        return ""

    def tells_token(self, text: str) -> bool:
        """Whether the token can be read in a text, as it is or in base64."""
        return any(secret in text for secret in self._secrets)

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """Look at the arguments of all processes, however short they live; gives the programs that have the token."""
        programs: set[str] = set()
        ended = threading.Event()

        def watch() -> None:
            while not ended.is_set():
                programs.update(
                    f"{command.partition(' ')[0]} (process {number})"
                    for number, command in _commands().items()
                    if self.tells_token(command)
                )
                ended.wait(0.005)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield programs
        finally:
            ended.set()
            watcher.join()

    def close(self) -> None:
        """End whatever the launcher has left."""
        with suppress(Exception):  # a check has said what is wrong with it
            self.launcher().stop()
        deadline = monotonic() + _KILLED
        while (left := self.processes()) and monotonic() < deadline:
            for number in left:
                with suppress(OSError):
                    os.kill(number, signal.SIGKILL)
            sleep(_LOOK)


@contextmanager
def stubs(subject: Subject) -> Iterator[Stubs]:
    """Stubs in a folder that goes with the context, as do they. `Skip` where processes cannot be looked at."""
    if not Path("/proc/self/environ").exists():
        raise Skip("launchers are checked under Linux only, where processes can be looked at")
    with TemporaryDirectory(prefix=f"framework-launcher-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        made = Stubs(subject, Path(folder))
        try:
            yield made
        finally:
            made.close()


def _commands() -> dict[int, str]:
    """The arguments of all other processes."""
    commands = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid():
            commands[int(path.name)] = _arguments(path)
    return commands


def _command(folder: Path, line: dict[str, Any]) -> str:
    return _arguments(folder / str(line["process"]))


def _arguments(process: Path) -> str:
    """Those of a process; none where it has ended."""
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""
