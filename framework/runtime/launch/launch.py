"""A run's samplers on an engine, such as a cluster: what was asked for, by whoever asks about it later.

It is kept in ``RUN/launch/LAUNCHER``: the launcher's table in ``launch.json``, the join token in ``token``, and
whatever the launcher itself must find again.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from framework.errors import FrameworkError, PluginError, RunError
from framework.foreign import foreign
from framework.interfaces import HostStatus, Launcher, LauncherContext, Work
from framework.pipeline.build import build, choose_launcher
from framework.pipeline.components import Chosen
from framework.plugins import describe, traceback_of
from framework.runtime.disk import trust
from framework.runtime.link.keys import Keys, write_private
from framework.runtime.link.token import JoinToken

FOLDER = "launch"
_FILE = "launch.json"


class Launch:
    """What the launcher of a table does for the run in ``run``; it may have been started before.

    Every method raises `PluginError`, with the traceback, where the launcher raises anything but an error for users.

    Args:
        path: where the table stands, for messages.
        directory: of files that the table names.
    """

    def __init__(self, run: Path, table: str | Mapping[str, Any], path: str, directory: Path):
        self._run = run.resolve()
        self._source = directory.resolve()
        self._chosen: Chosen = choose_launcher(table, path, directory)
        self.name = self._chosen.use
        self.directory = _folder(self._run, self.name)
        context = LauncherContext(run=self._run.name, directory=self.directory, source=self._source)
        self._launcher: Launcher = build(self._chosen, context)

    @staticmethod
    def names(run: Path) -> list[str]:
        """Of the launchers that were started for a run and not stopped."""
        return [_read(file)["table"]["use"] for file in sorted((run / FOLDER).glob(f"*/{_FILE}"))]

    @classmethod
    def started(cls, run: Path, name: str | None = None, *, trusted: bool = False, **changes: Any) -> list[Launch]:
        """Those that were started and not stopped, or that of a name; ``changes`` are other options than they have.

        Raises `RunError` where one names Python files, and neither this account has started it nor it is ``trusted``.
        """
        launches = []
        for started_name in cls.names(run):
            if name in (None, started_name):
                values = _read(_folder(run, started_name) / _FILE)
                if not trusted:
                    stated = {"base_directory": values["directory"], "authentication": values["authentication"]}
                    trust.check(run, stated, trust.texts(values["table"]))
                launches.append(cls(run, {**values["table"], **changes}, "launcher", Path(values["directory"])))
        return launches

    @property
    def samplers(self) -> int:
        """How many are asked for."""
        samplers: int = self._chosen.kernel.samplers
        return samplers

    @property
    def is_started(self) -> bool:
        """Whether it was started and not stopped."""
        return self._file.exists()

    def plan(self) -> str:
        """See `framework.interfaces.Launcher.plan`."""
        text: str = self._call("plan", self._work)
        return text

    def start(self) -> None:
        """Have the engine keep the samplers at work; where it does already, as many as are asked for now.

        Raises `RunError` where the run does not listen, where the engine refuses, and where it was started with other
        options.
        """
        keys = Keys(self._run)
        with self._alone():
            if self.is_started:
                self._check_options()
                if self._is_at_work(keys):
                    self._scale()
                    return
                self._stop()  # what is left of it
            self._begin(keys)

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher.status`."""
        hosts: list[HostStatus] = self._call("status")
        return hosts

    def stop(self) -> None:
        """End the samplers on the engine, and the key that they joined with.

        The key is ended also where the engine raises; then this may be called again.
        """
        if not self.is_started:
            return
        with self._alone():
            try:
                self._stop()
            except RunError as error:
                again = f"framework launch --stop {self.name} {self._run}"
                raise RunError(
                    f"{error}\nNobody can join any more; to end the samplers of {self.name}: {again}"
                ) from error

    def _begin(self, keys: Keys) -> None:
        taken = keys.clients()
        key = next(free for n in range(len(taken) + 1) if (free := f"{self.directory.name}-{n + 1}") not in taken)
        token = keys.issue(key, endpoint=self._endpoint)
        try:
            if self.directory.exists():  # without its file: one that was killed while it was removed
                shutil.rmtree(self.directory)
            self.directory.mkdir(mode=0o700)
            self._keep(
                table=self._chosen.to_plain(),
                directory=str(self._source),
                authentication=trust.authenticate(str(self._source)),
                key=key,
                at_work=False,
            )
            write_private(self._work.token, f"{token}\n")
            self._call("start", self._work)
            self._keep(at_work=True)
        except BaseException as error:
            # Where the engine refuses, what it has of the same name is not ours; else it may have some of the hosts,
            # which cannot join without a key.
            if not isinstance(error, FrameworkError) or isinstance(error, PluginError):
                with suppress(FrameworkError):
                    self._call("stop")
            keys.revoke(key)
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _check_options(self) -> None:
        table = _read(self._file)["table"]
        if {**table, "samplers": 0} != {**self._chosen.to_plain(), "samplers": 0}:
            advice = f"end it first, with framework launch --stop {self.name} {self._run}"
            raise RunError(f"{self._run} has a launch by {self.name} with other options: {advice}")

    def _is_at_work(self, keys: Keys) -> bool:
        """Whether the engine has hosts of it that can join, and nothing was killed while it started or stopped them."""
        values = _read(self._file)
        if not values["at_work"] or keys.clients().get(values["key"], {"revoked": True}).get("revoked"):
            return False
        endpoints = keys.endpoints if self._endpoint is None else [self._endpoint]
        if list(JoinToken.read(str(self._work.token)).endpoints) != endpoints:  # the run listens elsewhere now
            return False
        try:
            return any(host.state != "ended" for host in self.status())
        except RunError:  # it is stopped next, which tells where the engine cannot be reached
            return False

    def _scale(self) -> None:
        self._call("scale", self._work)  # also to as many as there are: the engine may have lost some
        self._keep(table=self._chosen.to_plain())

    def _stop(self) -> None:
        if not self.is_started:
            return
        self._keep(at_work=False)
        try:
            self._call("stop")
        finally:
            keys, key = Keys(self._run), _read(self._file)["key"]
            if key in keys.clients():  # unless the keys were made anew
                keys.revoke(key)
        shutil.rmtree(self.directory)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            with foreign():
                return getattr(self._launcher, method)(*arguments)
        except (FrameworkError, KeyboardInterrupt):
            raise
        except BaseException as error:
            name = f"launcher {self.name!r} ({self._chosen.component.origin})"
            raise PluginError(f"{name} failed in {method}: {describe(error)}\n{traceback_of(error)}") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else starts or stops something for the run."""
        folder = self._run / FOLDER
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @property
    def _file(self) -> Path:
        return self.directory / _FILE

    @property
    def _endpoint(self) -> str | None:
        """Where the hosts find the learner, if not where it listens."""
        at: str | None = self._chosen.kernel.at
        return None if at is None else f"tcp://{at}"

    @property
    def _work(self) -> Work:
        placement = self._chosen.kernel
        hosts = placement.samplers // placement.workers
        return Work(hosts, placement.workers, placement.program, self.directory / "token")

    def _keep(self, **changes: Any) -> None:
        values = _read(self._file) if self.is_started else {}
        write_private(self._file, json.dumps(values | changes, indent=1))


def _folder(run: Path, name: str) -> Path:
    return run / FOLDER / re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def _read(file: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(file.read_text())
        if {"table", "directory", "authentication", "key", "at_work"} <= values.keys() and "use" in values["table"]:
            return values
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass
    raise RunError(f"{file}: damaged; end what the engine has of it by its own means, and remove {file.parent}")
