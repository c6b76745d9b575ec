"""What a cluster tells of a Job and its pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from framework.interfaces import HostStatus

_STATES: dict[str, Literal["waiting", "running", "ended"]] = {
    "Running": "running",
    "Succeeded": "ended",
    "Failed": "ended",
}


def statuses(pods: Iterable[Mapping[str, Any]]) -> list[HostStatus]:
    """Each pod as a host, the eldest first. Every one is started once: what replaces it has another name."""
    return [_status(pod) for pod in sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], _name(pod)))]


def end_of(job: Mapping[str, Any]) -> str:
    """Why a Job starts no more pods, in Kubernetes's words; ``""`` where it goes on."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            words = (condition["type"], condition.get("reason"), condition.get("message"))
            return ": ".join(filter(None, words))
    return ""


def _status(pod: Mapping[str, Any]) -> HostStatus:
    told = pod.get("status", {})
    state = _STATES.get(told.get("phase", ""), "waiting")
    codes = [
        container["state"]["terminated"]["exitCode"]
        for container in told.get("containerStatuses", [])
        if "terminated" in container.get("state", {})
    ]
    place = pod.get("spec", {}).get("nodeName", "")
    starts = 1 if told.get("containerStatuses") and state != "waiting" else 0
    return HostStatus(_name(pod), state, place, codes[0] if codes else None, starts)


def _name(pod: Mapping[str, Any]) -> str:
    name: str = pod["metadata"]["name"]
    return name
