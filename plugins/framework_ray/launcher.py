"""The launcher ``ray``: it starts, asks and ends the driver, and does not import ray itself."""

from __future__ import annotations

import shlex
from typing import Any

from framework.interfaces import HostStatus, LauncherContext, Work
from framework.schema import plain
from framework.toolkit.background import Background
from framework.toolkit.keeper import statuses
from framework_ray.config import RayConfig
from framework_ray.hosts import host_names

MODULE = "framework_ray.driver"


class RayLauncher:
    """Has the tasks of a Ray cluster collect; see `framework.interfaces.Launcher`.

    The tasks belong to a process in the background, `framework_ray.driver`, and end with it.
    """

    def __init__(self, config: RayConfig, context: LauncherContext):
        self._config = config
        self._run = context.run
        self._background = Background(context.directory)

    def plan(self, work: Work) -> str:
        """See `framework.interfaces.Launcher`."""
        first, *others = host_names(work.hosts)
        tasks = f"{work.hosts} tasks at work, {first} to {others[-1]}" if others else f"a task at work, {first}"
        environment = f", runtime_env={self._config.runtime_env!r}" if self._config.runtime_env else ""
        reserved = "".join(f"{name}={amount!r}, " for name, amount in self._config.reserved(work.workers).items())
        return (
            "A process on this machine joins the cluster as a driver:\n"
            f"    ray.init(address={self._config.address!r}{environment})\n"
            f"It keeps {tasks}:\n"
            f"    ray.remote({reserved}scheduling_strategy='SPREAD')\n"
            "and submits another where one is lost, or ends with another exit code than 0, 77 and 78. A task runs\n"
            f"    {shlex.join(work.command(first))}\n"
            f"and writes the join token, from {work.token}, to its standard input.\n"
        )

    def start(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.start(MODULE, self._wanted(work))

    def scale(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.keep(MODULE, self._wanted(work))

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher`."""
        return statuses(self._background)

    def stop(self) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.stop()

    def _wanted(self, work: Work) -> dict[str, Any]:
        return {
            "run": self._run,
            "options": plain(self._config),
            "hosts": work.hosts,
            "workers": work.workers,
            "program": work.program,
            "token": str(work.token),
        }
