"""The machines that collect for a run: what the record says of each, once there is more than one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from attrs import define, field

from framework.runtime.link.hosts import LEARNER
from framework.runtime.link.source import Accepted, Event

#: Columns of ``metrics.jsonl`` about a machine are ``time/machine/NAME/...``.
PREFIX = "time/machine/"


@define
class _Machine:
    samplers: set[str] = field(factory=set)  # at work
    reconnects: int = 0


class Machines:
    """Counts, from the events of a run, the samplers of every machine."""

    def __init__(self) -> None:
        self._machines: dict[str, _Machine] = {LEARNER: _Machine()}
        self._several = False

    def hear(self, event: Event) -> None:
        """Take in an event."""
        host = event.fields.get("host")
        if event.name == "host_joined":
            self._machines[str(host)] = _Machine()
            self._several = True
        elif event.name == "host_reconnected":
            self._machines[str(host)].reconnects += 1
        elif event.name in ("host_left", "host_gone", "host_refused"):
            self._machines.pop(str(host), None)
        elif event.name in ("sampler_joined", "sampler_lost", "sampler_gone"):
            sampler = str(event.fields["sampler"])
            machine = self._machines.get(sampler.rpartition("/")[0] or LEARNER)
            if machine is not None and event.name == "sampler_joined":
                machine.samplers.add(sampler)
            elif machine is not None:
                machine.samplers.discard(sampler)  # it may be told twice, and of one that was never ready

    def columns(self, accepted: Sequence[Accepted], update: int, seconds: float) -> dict[str, float]:
        """What an update that took so many seconds says of each machine; nothing where there has been one only."""
        columns: dict[str, float] = {}
        for name, machine in self._machines.items() if self._several else ():
            brought = [item.trajectory for item in accepted if (item.host or LEARNER) == name]
            columns[f"{PREFIX}{name}/samplers"] = len(machine.samplers)
            columns[f"{PREFIX}{name}/reconnects"] = machine.reconnects
            columns[f"{PREFIX}{name}/steps_per_second"] = sum(item.steps for item in brought) / max(seconds, 1e-9)
            if brought:
                columns[f"{PREFIX}{name}/lag"] = fmean(update - item.version for item in brought)
        return columns
