"""A launcher whose engine is a list: what it is asked for is kept there, and nothing is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

from framework.interfaces import HostStatus, LauncherContext, Work
from framework.runtime.launch.launch import Launch
from framework.runtime.link.keys import Keys
from framework.schema import option

#: Its name in pipelines.
USE = "fake_engine:Engine"
#: What its launchers were asked for, by method and the number of hosts.
calls: list[tuple[str, int]] = []
#: What a method raises.
raises: dict[str, BaseException] = {}
#: The state of each host, where it is another than running.
states: dict[str, Any] = {}


class Engine:
    """Keeps what it is asked for in a list."""

    @frozen
    class Config:
        zone: str = option("here", help="Where.")

    def __init__(self, config: Config, context: LauncherContext):
        self._file = context.directory / "hosts"
        self._zone, self._run = config.zone, context.run

    def plan(self, work: Work) -> str:
        self._do("plan", work.hosts)
        return f"{work.hosts} hosts of {work.workers} in {self._zone} for {self._run}: {work.command('h')}\n"

    def start(self, work: Work) -> None:
        self._do("start", work.hosts)
        self._file.write_text(str(work.hosts))

    def scale(self, work: Work) -> None:
        self._do("scale", work.hosts)
        self._file.write_text(str(work.hosts))

    def status(self) -> list[HostStatus]:
        self._do("status", 0)
        names = [f"host-{number}" for number in range(int(self._file.read_text()))]
        return [HostStatus(name, states.get(name, "running"), "here", 75, 2) for name in names]

    def stop(self) -> None:
        self._do("stop", 0)

    def _do(self, method: str, hosts: int) -> None:
        calls.append((method, hosts))
        if method in raises:
            raise raises[method]


class Other(Engine):
    """Another of the kind."""


@contextmanager
def forgotten() -> Iterator[None]:
    """Nothing was asked for before, and nothing is remembered."""
    for memory in (calls, raises, states):
        memory.clear()
    yield
    for memory in (calls, raises, states):
        memory.clear()


def listening(folder: Path) -> Path:
    """The directory of a run that has listened."""
    run = folder / "run-7"
    run.mkdir()
    (run / "pipeline.toml").write_text("")
    Keys(run, create=True).listening(["tcp://192.0.2.1:5555"])
    return run


def launch(run: Path, samplers: int = 4, use: str = USE, **options: Any) -> Launch:
    """A launch of a run by the fake engine, as its table says."""
    return Launch(run, {"use": use, "samplers": samplers, **options}, "launcher", run.parent)


def active(run: Path) -> list[str]:
    """The join keys of launches that are not revoked."""
    clients = Keys(run).clients().items()
    return [name for name, client in clients if name != "join" and not client.get("revoked")]


def everything(run: Path) -> dict[str, tuple[bytes, int]]:
    """All files of a run, with when they were written."""
    return {
        str(path.relative_to(run)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in run.rglob("*")
        if path.is_file()
    }
