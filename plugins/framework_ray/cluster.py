"""A Ray cluster, as far as the driver needs it: the only module that imports ray."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from framework.errors import RunError
from framework.interfaces import Work
from framework_ray.config import RayConfig, unfit
from framework_ray.hosts import Exited, Lost, News, Started
from framework_ray.task import attend

_PATIENCE = 5.0  # seconds that a connection may take


@contextmanager
def connected(config: RayConfig) -> Iterator[None]:
    """Be a driver of the cluster as long as the context lasts. Raises `RunError` where it cannot be reached.

    The handlers of signals stay as they are: Ray's own would end this process in the midst of anything.
    """
    address = config.address if config.address != "auto" else os.environ.get("RAY_ADDRESS") or "auto"
    _check(address)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    arguments: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, runtime_env=config.runtime_env or None, **arguments)
    except Exception as error:
        raise RunError(_unreached(address, error)) from error
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield
    finally:
        ray.shutdown()


def _check(address: str) -> None:
    """Raise `RunError` where nothing listens at an address: Ray itself would try for minutes."""
    if reason := unfit(address):
        raise RunError(f"$RAY_ADDRESS: {reason}")
    if ":" in address:
        name, _, port = address.rpartition(":")
        try:
            socket.create_connection((name.strip("[]"), int(port)), _PATIENCE).close()
        except (OSError, ValueError) as error:
            raise RunError(_unreached(address, error)) from error


def _unreached(address: str, error: Exception) -> str:
    return f'no Ray cluster is reached at {address!r}: {error}\nname the head of one that is there: address="HOST:PORT"'


def host(command: Sequence[str], held: Sequence[ray.ObjectRef[str]]) -> Generator[str | int, None, None]:
    """The task: see `framework_ray.task.attend`. The token is what ``held`` refers to."""
    yield from attend(command, ray.get(held[0]))


class Cluster:
    """Runs hosts as tasks of the cluster that this process is connected to; see `framework_ray.hosts.Engine`.

    A task that is lost is not retried by Ray, which would tell neither that it was nor where it goes on: who has
    submitted it, does so again. The token is an object of its own, which tasks have a reference to: arguments are part
    of what Ray records of a task.
    """

    def __init__(self, run: str, config: RayConfig, work: Work):
        self._run = run
        self._work = work
        self._held = [ray.put(work.token.read_text())]
        self._reserved = config.reserved(work.workers)

    def submit(self, name: str) -> Any:
        """See `framework_ray.hosts.Engine`."""
        task = ray.remote(host).options(
            **self._reserved,
            name=f"{self._run}/{name}",
            scheduling_strategy="SPREAD",
            max_retries=0,
            num_returns="streaming",
        )
        return task.remote(self._work.command(name), self._held)

    def news(self, tasks: list[Any]) -> list[tuple[Any, News]]:
        """See `framework_ray.hosts.Engine`."""
        if not tasks:
            return []
        ready, _ = ray.wait(tasks, num_returns=len(tasks), timeout=0, fetch_local=False)
        return [(task, _next(task)) for task in ready]

    def cancel(self, task: Any) -> None:
        """See `framework_ray.hosts.Engine`."""
        ray.cancel(task)


def _next(task: Any) -> News:
    try:
        value = ray.get(next(task))
    except StopIteration:
        return Lost("it ended without an exit code")
    except RayError as error:
        return Lost(str(error).strip().splitlines()[-1])
    return Started(value) if isinstance(value, str) else Exited(value)
