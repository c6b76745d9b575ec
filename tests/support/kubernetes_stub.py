"""A cluster whose image has a stub in place of ``framework``, and launches for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kubernetes_cluster import Cluster
from kubernetes_pod import Image, Pod

from framework.runtime.launch.launch import Launch

IMAGE = "registry.example/pong:1"
#: Reads its token as the sampler does, and ends with the exit code that it is given in a file of its name.
_STUB = """\
#!/bin/sh
[ "$1 $2 $4 $6" = "sampler --join --workers --name" ] || exit 2
cat "$3" > token || exit 66
trap 'exit 75' TERM
echo "$7 with $5 samplers"
while [ ! -e "$ORDERS/$7" ]; do sleep 0.01; done
exit "$(cat "$ORDERS/$7")"
"""


class Stubbed(Cluster):
    """A cluster of which the tests say when each pod ends, and how."""

    def __init__(self, folder: Path, user: int | None = None):
        self._orders, programs = folder / "orders", folder / "programs"
        self._orders.mkdir()
        programs.mkdir()
        (programs / "framework").write_text(_STUB)
        (programs / "framework").chmod(0o755)
        path = os.pathsep.join((str(programs), "/usr/bin", "/bin"))
        super().__init__(Image(path, user, variables={"ORDERS": str(self._orders)}))

    def end(self, pod: Pod, code: int) -> None:
        """Have a pod's program end."""
        new = self._orders / f".{pod.name}"
        new.write_text(str(code))
        new.rename(self._orders / pod.name)

    def reach(self, count: int) -> list[Pod]:
        """As many pods as this, once they run and have read their token."""
        assert self.wait(lambda: len(self.running()) == count and all(pod.log for pod in self.running()), 20), (
            self.record()
        )
        return self.running()

    def reach_end(self, type: str) -> None:
        """Wait for the only Job to end so."""
        [job] = self.jobs.values()
        assert self.wait(lambda: job.condition is not None, 20)
        assert job.condition is not None
        assert job.condition["type"] == type


def launch(run: Path, samplers: int = 2, **options: Any) -> Launch:
    """The launch of so many samplers for a run."""
    table = {"use": "kubernetes", "image": IMAGE, "samplers": samplers, **options}
    return Launch(run, table, "launcher", run.parent)
