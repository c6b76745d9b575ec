"""Keeps hosts at work, each the process of a command: for engines that start processes and do no more.

Run in the background as ``python -m framework.toolkit.keeper FOLDER`` (see `framework.toolkit.background`), where it
wants what `wanted` gives and tells what `statuses` reads. The join token goes to each process over standard input,
which stays open until the process is to end: a command that has started something far away sees by that when to end it.
What the processes say on standard error is in the log. Their standard output goes nowhere, so that what is far away may
write to it as often as it likes, to learn whether anybody is still there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import asdict, define, frozen

from framework.exit_codes import in_words, is_final
from framework.interfaces import HostState, HostStatus
from framework.toolkit.background import Background, end_with_parent, inside

MODULE = "framework.toolkit.keeper"
#: Seconds before a host is started again: the first, doubled each time up to the last, and from the first again after
#: it has lived for `_SETTLED`.
_FIRST, _LAST, _SETTLED = 1.0, 60.0, 60.0
_TICK = 0.1
#: Seconds that a process has to end by itself once its standard input has ended, and then once it has got SIGTERM.
_CLOSED, _TERMINATED = 1.0, 10.0
_NOT_STARTED = 127


@frozen
class Command:
    """One host: its name, the command that becomes it, and the machine that it runs on."""

    name: str
    arguments: list[str]
    place: str = ""


def wanted(commands: Iterable[Command], token: Path) -> dict[str, Any]:
    """What is wanted of the process: these hosts, each of which is given the token in this file."""
    return {"hosts": [asdict(command) for command in commands], "token": str(token)}


def statuses(background: Background) -> list[HostStatus]:
    """What the process tells. Raises `RunError` where it has ended."""
    return [HostStatus(**values) for values in background.told()]


@define
class _Host:
    command: Command
    token: str
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0
    pause: float = 0.0
    due: float = 0.0  # when it is started again
    status: int | None = None
    starts: int = 0

    def look(self, now: float) -> None:
        """Start it where that is due, and see whether it has ended."""
        if self.process is None:
            if now >= self.due and not self.ended:
                self._start(now)
        elif (status := self.process.poll()) is not None:
            self.close()
            self.process = None
            self._ended(status, now)

    @property
    def ended(self) -> bool:
        return self.process is None and self.status is not None and is_final(self.status)

    def tell(self) -> HostStatus:
        state: HostState = "running" if self.process is not None else "ended" if self.ended else "waiting"
        return HostStatus(self.command.name, state, self.command.place, self.status, self.starts)

    def close(self) -> None:
        """End its standard input."""
        if self.process is not None:
            assert self.process.stdin is not None
            with suppress(BrokenPipeError):
                self.process.stdin.close()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, and with SIGKILL to what it has started."""
        if self.process is not None and self.process.poll() is None:
            (os.killpg if number == signal.SIGKILL else os.kill)(self.process.pid, number)

    def wait(self, deadline: float) -> None:
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.0, deadline - time.monotonic()))

    def _start(self, now: float) -> None:
        self.begun, self.starts = now, self.starts + 1
        try:
            self.process = subprocess.Popen(
                self.command.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # this process has one thread
                start_new_session=True,
            )
        except OSError as error:
            _say(f"{self.command.name} cannot be started: {error}")
            self._ended(_NOT_STARTED, now)
            return
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(self.token.encode())
            self.process.stdin.flush()

    def _ended(self, status: int, now: float) -> None:
        self.status = status
        self.pause = _FIRST if now - self.begun > _SETTLED else min(max(_FIRST, 2 * self.pause), _LAST)
        self.due = now + self.pause
        again = "" if self.ended else f": it is started again in {self.pause:.0f} s"
        place = f" on {self.command.place}" if self.command.place else ""
        _say(f"{self.command.name}{place} has ended with {in_words(status)}{again}")


def keep(folder: Path) -> None:
    """Keep the hosts that are wanted at work, until SIGTERM."""
    hosts: dict[str, _Host] = {}
    told: Any = None
    with inside(folder) as process:
        try:
            while not process.ending:
                values = process.wanted
                commands = {values["name"]: Command(**values) for values in values["hosts"]}
                _end([hosts.pop(name) for name in [*hosts] if hosts[name].command != commands.get(name)])
                for name in commands.keys() - hosts.keys():
                    hosts[name] = _Host(commands[name], Path(values["token"]).read_text())
                now = time.monotonic()
                for name in commands:
                    hosts[name].look(now)
                if told != (telling := [asdict(hosts[name].tell()) for name in commands]):
                    with suppress(OSError):  # a full disk ends nobody
                        process.tell(telling)
                        told = telling
                time.sleep(_TICK)
        finally:
            _end(hosts.values())


def _end(hosts: Iterable[_Host]) -> None:
    """Have them end: first by the end of their standard input, then by SIGTERM, then by SIGKILL."""
    hosts = list(hosts)
    for host in hosts:
        host.close()
    _wait(hosts, _CLOSED)
    for host in hosts:
        host.send(signal.SIGTERM)
    _wait(hosts, _TERMINATED)
    for host in hosts:
        host.send(signal.SIGKILL)
    _wait(hosts, _TERMINATED)


def _wait(hosts: Iterable[_Host], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for host in hosts:
        host.wait(deadline)


def _say(text: str) -> None:
    with suppress(OSError):  # a full disk ends nobody
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
