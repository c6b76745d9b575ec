"""Stands in for a cluster and for ``kubectl``: what Kubernetes does with Secrets and Jobs, on this machine.

A pod is a process of its container's command. As Kubernetes's controller of Jobs does, it replaces pods that fail,
later each time; it obeys ``parallelism`` and ``podFailurePolicy``; and where a Job has no ``completions``, it starts
none once one has succeeded. Objects are checked against the schemas of Kubernetes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kubernetes_kubectl
from attrs import define
from kubernetes_pod import Image, Pod

_TICK = 0.01
_NAME = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes's letters for names
#: It imports next to nothing, as tests call it hundreds of times.
_KUBECTL = """\
#!{python} -ISB
import sys, _socket
reads = any(word.endswith(("=-", "/dev/stdin")) for word in sys.argv) or "-" in sys.argv
server = _socket.socket(_socket.AF_UNIX)
server.connect({path!r})
server.sendall("\\0".join([*sys.argv[1:], "", sys.stdin.read() if reads else ""]).encode())
server.shutdown(_socket.SHUT_WR)
answer = b"".join(iter(lambda: server.recv(65536), b"")).decode()
status, out, err = answer.split("\\0")
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(int(status))
"""


@define
class Job:
    """A Job, and what its controller remembers of it."""

    manifest: dict[str, Any]
    succeeded: int = 0
    failed: int = 0  #: pods that count against the limit
    failures: int = 0  #: pods that were replaced, which makes the next one wait
    due: float = 0.0  #: when the next pod may start
    condition: dict[str, str] | None = None  #: how it has ended
    deleting: bool = False

    def end(self, type: str, reason: str, message: str = "") -> None:
        """It has ended."""
        self.condition = {"type": type, "status": "True", "reason": reason, "message": message}

    def to_plain(self) -> dict[str, Any]:
        """As ``kubectl get`` tells it."""
        return self.manifest | {"status": {"conditions": [self.condition] if self.condition else []}}


class Cluster:
    """A cluster as long as the context lasts; ``bin`` has a ``kubectl`` for it.

    Args:
        image: of all pods, whatever it is called.
        backoff: seconds before the first pod that has failed is replaced.
    """

    def __init__(self, image: Image, *, backoff: float = 0.05):
        self.lock = threading.RLock()
        self.calls: list[list[str]] = []  #: arguments of each call of ``kubectl``
        self.given: list[str] = []  #: what it was given over standard input
        self.answers: list[str] = []  #: what it said
        self.refusals: dict[str, str] = {}  #: what it says instead of doing what it is told, by verb
        self.config: dict[str, str] | None = {"current": "namespace-of-mine"}  #: contexts and their namespaces
        self.context = "current"
        self.namespace = "pods-own"  #: where there is no configuration
        self.secrets: dict[tuple[str, str], dict[str, Any]] = {}
        self.jobs: dict[tuple[str, str], Job] = {}
        self.pods: dict[str, Pod] = {}
        self._image, self._backoff = image, backoff
        self._made = 0
        self._closing = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Cluster:
        self._folder = Path(tempfile.mkdtemp(prefix="cluster-"))
        self._folder.chmod(0o711)
        self.bin = self._folder / "bin"
        self.bin.mkdir()
        path = str(self._folder / "socket")
        (self.bin / "kubectl").write_text(_KUBECTL.format(python=sys.executable, path=path))
        (self.bin / "kubectl").chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._start(self._serve)
        self._start(self._control)
        return self

    def __exit__(self, *error: object) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        for pod in self.pods.values():
            pod.close()
        shutil.rmtree(self._folder)

    # What tests do to it.

    def running(self) -> list[Pod]:
        """Pods that run, the eldest first."""
        with self.lock:
            return [pod for pod in self.pods.values() if pod.phase == "Running" and pod.killed_at is None]

    def kill(self, pod: Pod) -> None:
        """Have a pod's container killed, as where it has used up its memory."""
        with self.lock:
            pod.signal(signal.SIGKILL)

    def evict(self, pod: Pod) -> None:
        """Take a pod's node from it."""
        with self.lock:
            pod.disrupted = True
            pod.ask_to_end(time.monotonic())

    @contextmanager
    def on_path(self) -> Iterator[None]:
        """Have ``kubectl`` be this one."""
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{self.bin}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before

    def record(self) -> str:
        """All that a token may not be in: calls, answers, and what pods were started with and have printed."""
        with self.lock:
            pods = [
                f"{json.dumps(pod.to_plain())}\n{pod.process.args if pod.process else ''}\n{pod.log}"
                for pod in self.pods.values()
            ]
        return "\n".join([*map(str, self.calls), *self.answers, *pods])

    # What kubectl does.

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether something has become true in time."""
        deadline = time.monotonic() + seconds
        while not self._closing and time.monotonic() < deadline:
            with self.lock:
                if condition():
                    return True
            time.sleep(_TICK)
        return False

    def delete_job(self, key: tuple[str, str]) -> None:
        """Delete a Job when its pods are gone."""
        with self.lock:
            self.jobs[key].deleting = True
            self._end(self._pods_of(key))

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            words = b"".join(iter(lambda: connection.recv(65536), b"")).decode().split("\0")
            *arguments, _, document = words
            self.calls.append(arguments)
            self.given.append(document)
            status, out, err = kubernetes_kubectl.answer(self, arguments, document)
            self.answers += [out, err]
            connection.sendall(f"{status}\0{out}\0{err}".encode())

    # What controllers do.

    def _control(self) -> None:
        while not self._closing:
            with self.lock:
                now = time.monotonic()
                for pod in self.pods.values():
                    secrets = {name: secret for (place, name), secret in self.secrets.items() if place == pod.namespace}
                    if pod.phase == "Pending":
                        pod.start(secrets, self._image)
                    pod.look(now)
                for key, job in list(self.jobs.items()):
                    self._look(key, job, now)
            time.sleep(_TICK)

    def _look(self, key: tuple[str, str], job: Job, now: float) -> None:
        pods = self._pods_of(key)
        if job.deleting:
            if all(pod.ended for pod in pods):
                del self.jobs[key]
                for pod in pods:
                    del self.pods[pod.name]
            return
        for pod in pods:
            if pod.ended and not pod.judged:
                pod.judged = True
                self._judge(job, pod, now)
            if pod.ended and pod.removed:
                del self.pods[pod.name]
        active = [pod for pod in self._pods_of(key) if not pod.ended and not pod.removed]
        if job.condition is not None:
            if job.condition["type"] == "Failed":
                self._end(active)
            return
        if job.succeeded:
            if not active:
                job.end("Complete", "CompletionsReached")
            return
        wanted = job.manifest["spec"]["parallelism"]
        self._end(active[wanted:] if wanted < len(active) else [])
        if now >= job.due:
            for _ in range(wanted - len(active)):
                self._create(key, job)

    def _judge(self, job: Job, pod: Pod, now: float) -> None:
        if pod.phase == "Succeeded":
            job.succeeded += 1
            return
        action = _action(job.manifest["spec"]["podFailurePolicy"]["rules"], pod)
        if pod.removed:
            return
        job.failures += 1
        job.due = now + self._backoff * 2 ** (job.failures - 1)
        if action == "FailJob":
            message = f"Container sampler for pod {pod.namespace}/{pod.name} failed with exit code {pod.exit_code}"
            job.end("Failed", "PodFailurePolicy", f"{message} matching FailJob rule at index 0")
        elif action == "Count":
            job.failed += 1
            if job.failed > job.manifest["spec"]["backoffLimit"]:
                job.end("Failed", "BackoffLimitExceeded")

    def _create(self, key: tuple[str, str], job: Job) -> None:
        self._made += 1
        namespace, name = key
        digits, number = "", self._made
        for _ in range(5):
            number, digit = divmod(number, len(_NAME))
            digits = _NAME[digit] + digits
        template = job.manifest["spec"]["template"]
        created = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._made)).strftime("%Y-%m-%dT%H:%M:%SZ")
        pod = Pod(
            name=f"{name}-{digits}",
            namespace=namespace,
            job=name,
            labels=template["metadata"]["labels"],
            spec=template["spec"],
            created=created,
            folder=self._folder / f"{name}-{digits}",
        )
        self.pods[pod.name] = pod

    def _end(self, pods: list[Pod]) -> None:
        for pod in pods:
            pod.removed = True
            pod.ask_to_end(time.monotonic())

    def _pods_of(self, key: tuple[str, str]) -> list[Pod]:
        return [pod for pod in self.pods.values() if (pod.namespace, pod.job) == key]


def _action(rules: list[dict[str, Any]], pod: Pod) -> str:
    """Of the first rule that fits."""
    for rule in rules:
        codes = rule.get("onExitCodes")
        if codes is not None and codes["operator"] == "In" and pod.exit_code in codes["values"]:
            return str(rule["action"])
        if pod.disrupted and {"type": "DisruptionTarget", "status": "True"} in rule.get("onPodConditions", []):
            return str(rule["action"])
    return "Count"
