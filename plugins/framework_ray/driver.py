"""The driver: keeps hosts at work as tasks of a Ray cluster, as ``python -m framework_ray.driver FOLDER``.

It is a process in the background (see `framework.toolkit.background`), apart from the learner: Ray takes over signals,
and ends the process that is connected to it when the cluster does.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from attrs import asdict

from framework.errors import RunError
from framework.interfaces import Work
from framework.toolkit.background import Inside, inside
from framework_ray.config import RayConfig
from framework_ray.hosts import Engine, Hosts, host_names

_TICK = 0.1
#: Seconds that tasks have to end.
_GRACE = 10.0


def drive(folder: Path) -> None:
    """Keep the hosts that are wanted at work, until SIGTERM. Raises `RunError` where there is no cluster."""
    with inside(folder) as process:
        wanted = process.wanted
        config = RayConfig(**wanted["options"])
        work = Work(wanted["hosts"], wanted["workers"], tuple(wanted["program"]), Path(wanted["token"]))
        from framework_ray.cluster import Cluster, connected

        with connected(config):
            keep(process, Cluster(wanted["run"], config, work))


def keep(process: Inside, cluster: Engine) -> None:
    """Have as many hosts as are wanted at work on a cluster, and end them when the process is to end."""
    hosts = Hosts(cluster)
    told: Any = None
    while not process.ending:
        hosts.want(host_names(process.wanted["hosts"]))
        hosts.look(time.monotonic())
        if told != (telling := [asdict(status) for status in hosts.tell()]):
            told = telling
            process.tell(told)
        time.sleep(_TICK)
    hosts.want([])
    deadline = time.monotonic() + _GRACE
    while hosts.leaving and time.monotonic() < deadline:
        time.sleep(_TICK)
        hosts.look(time.monotonic())


if __name__ == "__main__":
    try:
        drive(Path(sys.argv[1]))
    except RunError as error:
        sys.exit(str(error))
