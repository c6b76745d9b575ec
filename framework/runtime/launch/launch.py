"""A run's samplers on an engine, such as a cluster: what was asked for, by whoever asks about it later.

It is kept in ``RUN/launch/LAUNCHER``: the launcher's table in ``launch.json``, the join token in ``token``, and
whatever the launcher itself must find again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.errors import RunError
from framework.interfaces import HostStatus, Launcher, LauncherContext, Work
from framework.pipeline.build import build, choose_launcher
from framework.pipeline.components import Chosen
from framework.runtime.link.keys import Keys, write_private

FOLDER = "launch"


class Launch:
    """What the launcher of a table does for the run in ``run``; it may have been started before.

    Args:
        path: where the table stands, for messages.
        directory: of files that the table names.
    """

    def __init__(self, run: Path, table: str | Mapping[str, Any], path: str, directory: Path):
        self._run = run.resolve()
        self._source = directory.resolve()
        self._chosen: Chosen = choose_launcher(table, path, directory)
        self.name = self._chosen.use
        self.directory = self._run / FOLDER / re.sub(r"[^A-Za-z0-9_.-]+", "-", self.name)
        context = LauncherContext(run=self._run.name, directory=self.directory, source=self._source)
        self._launcher: Launcher = build(self._chosen, context)

    @classmethod
    def started(cls, run: Path, **changes: Any) -> list[Launch]:
        """Those that were started and not stopped, by name; ``changes`` are other options than they have."""
        return [
            cls(run, {**values["table"], **changes}, "launcher", Path(values["directory"]))
            for file in sorted((run / FOLDER).glob("*/launch.json"))
            for values in [json.loads(file.read_text())]
        ]

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
        return self._launcher.plan(self._work)

    def start(self) -> None:
        """Have the engine keep the samplers at work; where it does already, as many as are asked for now.

        Raises `RunError` where the run does not listen, where the engine refuses, and where it was started with other
        options.
        """
        if self.is_started:
            self._scale()
            return
        keys = Keys(self._run)
        taken = keys.clients()
        name = next(free for n in range(len(taken) + 1) if (free := f"{self.directory.name}-{n + 1}") not in taken)
        at = self._chosen.kernel.at
        token = keys.issue(name, endpoint=None if at is None else f"tcp://{at}")
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            write_private(self._work.token, f"{token}\n")
            self._keep(key=name)
            self._launcher.start(self._work)
        except BaseException:
            keys.revoke(name)
            shutil.rmtree(self.directory)
            raise

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher.status`."""
        return self._launcher.status()

    def stop(self) -> None:
        """End the samplers on the engine, and the key that they joined with."""
        if not self.is_started:
            return
        self._launcher.stop()
        Keys(self._run).revoke(self._kept()["key"])
        shutil.rmtree(self.directory)

    def _scale(self) -> None:
        table = self._kept()["table"]
        if {**table, "samplers": 0} != {**self._chosen.to_plain(), "samplers": 0}:
            raise RunError(f"{self._run} has a launch by {self.name} with other options: end it first, with --stop")
        self._launcher.scale(self._work)  # also to as many as there are: the engine may have lost them
        if table["samplers"] != self.samplers:
            self._keep(key=self._kept()["key"])

    @property
    def _file(self) -> Path:
        return self.directory / "launch.json"

    @property
    def _work(self) -> Work:
        placement = self._chosen.kernel
        hosts = placement.samplers // placement.workers
        return Work(hosts, placement.workers, placement.program, self.directory / "token")

    def _keep(self, key: str) -> None:
        values = {"table": self._chosen.to_plain(), "directory": str(self._source), "key": key}
        write_private(self._file, json.dumps(values, indent=1))

    def _kept(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self._file.read_text())
        return values
