"""The hosts that are to be at work, and when each is started again: the driver's decisions, without Ray."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol

from attrs import define, frozen

from framework.exit_codes import ENVIRONMENT_FAILED, in_words, is_final
from framework.interfaces import HostState, HostStatus

#: Seconds before a host is started again: the first, doubled each time up to the last; from the beginning again after
#: it has lived for `_SETTLED`.
_FIRST, _LAST, _SETTLED = 1.0, 60.0, 60.0


@frozen
class Started:
    """The process of a task is there, on a machine of the cluster."""

    place: str


@frozen
class Exited:
    """The process of a task has ended, and the task with it."""

    status: int


@frozen
class Lost:
    """A task has ended in another way: its node or its worker was lost, or it could not be started."""

    reason: str


News = Started | Exited | Lost


def host_names(number: int) -> list[str]:
    """What the run calls so many hosts."""
    return [f"ray-{host}" for host in range(number)]


class Engine(Protocol):
    """What runs tasks, each of them once."""

    def submit(self, name: str) -> Any:
        """A new task for the host of this name, which runs as soon as there is room."""

    def news(self, tasks: list[Any]) -> list[tuple[Any, News]]:
        """What has happened to these tasks since it was asked last, in order; returns at once."""

    def cancel(self, task: Any) -> None:
        """Have a task end its process in good order, or never start it."""


@define
class _Host:
    name: str
    task: Any = None
    place: str = ""
    begun: float | None = None  # when its process was started, while that is there
    pause: float = 0.0  # before it was started again, the last time
    due: float = 0.0
    excluded: int = 0  # names under which it has got `ENVIRONMENT_FAILED`
    status: int | None = None
    starts: int = 0
    ended: bool = False

    @property
    def alias(self) -> str:
        """What it is called this time: the run does not let a name in again under which environments have failed.

        That is for machines, and the next task may be on another one.
        """
        return f"{self.name}.{self.excluded + 1}" if self.excluded else self.name

    def note(self, news: News, now: float) -> None:
        match news:
            case Started():
                self.place, self.begun, self.starts = news.place, now, self.starts + 1
            case Exited():
                self.ended = is_final(news.status)
                self.excluded += news.status == ENVIRONMENT_FAILED
                self._leave(news.status, now)
            case Lost():
                self._leave(None, now)

    def tell(self) -> HostStatus:
        state: HostState = "ended" if self.ended else "waiting" if self.begun is None else "running"
        return HostStatus(self.name, state, self.place, self.status, self.starts)

    def _leave(self, status: int | None, now: float) -> None:
        """Its task has ended. Where that is nothing new, and where the process itself has failed, it has to pause."""
        first = self.pause == 0.0 or (self.begun is not None and now - self.begun > _SETTLED)
        self.pause = _FIRST if first else min(2 * self.pause, _LAST)
        self.due = now if first and status is None else now + self.pause
        self.task = self.begun = None
        self.status = status
        if not self.ended:
            self.place = ""


class Hosts:
    """Keeps the hosts of some names at work on an engine."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._hosts: dict[str, _Host] = {}
        self._leaving: list[Any] = []

    def want(self, names: Iterable[str]) -> None:
        """Have hosts of these names, and no others."""
        names = list(names)
        for name in self._hosts.keys() - set(names):
            self._cancel(self._hosts.pop(name))
        self._hosts = {name: self._hosts.get(name) or _Host(name) for name in names}

    def look(self, now: float) -> None:
        """Take note of what has happened, and submit what is due."""
        owners = {id(host.task): host for host in self._hosts.values() if host.task is not None}
        tasks = [*(host.task for host in owners.values()), *self._leaving]
        for task, news in self._engine.news(tasks):
            if (host := owners.get(id(task))) is not None:
                host.note(news, now)
                _log(host.name, news)
            elif not isinstance(news, Started):
                self._leaving = [leaving for leaving in self._leaving if leaving is not task]
        for host in self._hosts.values():
            if host.task is None and not host.ended and now >= host.due:
                host.task = self._engine.submit(host.alias)

    def tell(self) -> list[HostStatus]:
        """What has become of each."""
        return [host.tell() for host in self._hosts.values()]

    @property
    def leaving(self) -> bool:
        """Whether tasks that were cancelled are still there."""
        return bool(self._leaving)

    def _cancel(self, host: _Host) -> None:
        if host.task is not None:
            self._engine.cancel(host.task)
            self._leaving.append(host.task)


def _log(name: str, news: News) -> None:
    match news:
        case Started():
            text = f"collects on {news.place}"
        case Exited():
            text = f"ended with {in_words(news.status)}"
        case Lost():
            text = f"was lost: {news.reason}"
    print(f"{name} {text}", file=sys.stderr, flush=True)
