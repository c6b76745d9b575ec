"""A pod of the cluster that stands in for Kubernetes: a process of its container's command."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

#: Has a process be the first of a namespace of its own, as in a container.
_ISOLATED = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_isolate() -> bool:
    """Whether containers can have process namespaces of their own here."""
    return subprocess.run([*_ISOLATED, "true"], capture_output=True, check=False).returncode == 0


@frozen
class Image:
    """What containers come with."""

    path: str  #: where their programs are
    user: int | None = None  #: whom they run as; by default as this process
    isolated: bool = False  #: whether each has its own process namespace
    variables: dict[str, str] = Factory(dict)


@define
class Pod:
    """One pod, from its manifest's ``spec`` to its end."""

    name: str
    namespace: str
    job: str
    labels: dict[str, str]
    spec: dict[str, Any]
    created: str
    folder: Path  #: its file system, as far as there is one
    phase: str = "Pending"
    exit_code: int | None = None
    disrupted: bool = False  #: whether its node was taken from it
    killed_at: float | None = None  #: when its time to end by itself is over; None where it was not told to
    removed: bool = False  #: whether somebody has deleted it
    judged: bool = False  #: whether its Job has seen that it has ended
    process: subprocess.Popen[bytes] | None = None
    files: list[Path] = Factory(list)  #: those that are mounted

    @property
    def ended(self) -> bool:
        """Whether its container has ended."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def log(self) -> str:
        """What its container has printed."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    def start(self, secrets: Mapping[str, dict[str, Any]], image: Image) -> None:
        """Mount its Secrets and start its container; it waits where one of them is not there."""
        volumes = {volume["name"]: volume["secret"] for volume in self.spec["volumes"]}
        if any(volume["secretName"] not in secrets for volume in volumes.values()):
            return
        identity = self.spec["securityContext"]
        user = identity.get("runAsUser", image.user)
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True)
        if user is not None:
            os.chown(self.folder, user, -1)
            os.chown(temporary, user, -1)
        [container] = self.spec["containers"]
        places = {}
        for mount in container["volumeMounts"]:
            volume = volumes[mount["name"]]
            places[mount["mountPath"]] = str(self.folder) + mount["mountPath"]
            self._mount(
                Path(places[mount["mountPath"]]), volume, secrets[volume["secretName"]], identity.get("fsGroup")
            )
        environment = {"PATH": image.path, "HOME": str(self.folder), "TMPDIR": str(temporary), **image.variables}
        for variable in container["env"]:
            environment[variable["name"]] = self._value(variable, environment)
        arguments = [expand(argument, environment) for argument in container["command"]]
        for inside, outside in places.items():
            arguments = [re.sub(f"^{re.escape(inside)}(?=/|$)", outside, argument) for argument in arguments]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*(_ISOLATED if image.isolated else []), *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **(
                    {}
                    if user is None
                    else {
                        "user": user,
                        "group": user,
                        "extra_groups": [group for group in [identity.get("fsGroup")] if group],
                    }
                ),
            )
        self.phase = "Running"

    def look(self, now: float) -> None:
        """See whether the container has ended, and kill it where it should have."""
        if self.process is None or self.ended:
            return
        if self.killed_at is not None and now > self.killed_at:
            self.signal(signal.SIGKILL)
        status = self.process.poll()
        if status is not None:
            self.exit_code = status if status >= 0 else 128 - status
            self.phase = "Failed" if status else "Succeeded"

    def ask_to_end(self, now: float) -> None:
        """Tell it to end within its time."""
        if self.killed_at is None:
            self.killed_at = now + self.spec["terminationGracePeriodSeconds"]
            if self.process is None:
                self.phase = "Failed"
            elif not self.ended:
                self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Send its first process a signal; with SIGKILL, all others too, as a container's do not outlive it."""
        assert self.process is not None
        if self.process.poll() is None:
            with suppress(ProcessLookupError):  # it is just ending
                for process in self._first() or [self.process.pid]:
                    os.kill(process, number)
                if number == signal.SIGKILL:
                    os.killpg(self.process.pid, number)

    def close(self) -> None:
        """End whatever it does."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()

    def to_plain(self) -> dict[str, Any]:
        """As ``kubectl get`` tells it."""
        state = {"terminated": {"exitCode": self.exit_code}} if self.ended else {"running": {}}
        conditions = [{"type": "DisruptionTarget", "status": "True"}] if self.disrupted else []
        containers = [{"name": self.spec["containers"][0]["name"], "state": state}] if self.process else []
        return {
            "kind": "Pod",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": self.labels | {"job-name": self.job},
                "creationTimestamp": self.created,
            },
            "spec": self.spec | ({"nodeName": "node-1"} if self.process else {}),
            "status": {"phase": self.phase, "containerStatuses": containers, "conditions": conditions},
        }

    def _first(self) -> list[int]:
        """The first process of an isolated container, which its own is the parent of."""
        assert self.process is not None
        if self.process.args[: len(_ISOLATED)] != _ISOLATED:  # type: ignore[index]
            return []
        return list(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def _mount(self, place: Path, volume: dict[str, Any], secret: dict[str, Any], group: int | None) -> None:
        """As the kubelet does: owned by root; where there is an ``fsGroup``, that may read it too."""
        place.mkdir(parents=True)
        for name, content in secret["data"].items():
            file = place / name
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(content))
            if group is not None and os.geteuid() == 0:
                os.chown(file, 0, group)
            file.chmod(volume["defaultMode"] | (0o440 if group is not None else 0))
            self.files.append(file)

    def _value(self, variable: dict[str, Any], before: Mapping[str, str]) -> str:
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            return self.name
        return expand(variable["value"], before)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """References to variables in a command, or in a variable's value: ``$(NAME)``, and ``$$`` for a dollar sign."""

    def replace(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replace, text)
