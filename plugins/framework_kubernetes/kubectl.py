"""Calls of ``kubectl``, each for one cluster and one namespace."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any

from attrs import asdict, frozen

from framework.errors import RunError

#: Seconds that a call may take, and those that objects have to be gone.
_LIMIT = 120.0
GONE = 120


class Refused(RunError):
    """``kubectl`` was there and has failed."""


@frozen
class Kubectl:
    """``kubectl`` for a cluster. Raises `RunError`, with the command and what it said, where it fails."""

    context: str | None = None  #: of its configuration; without one, as in a pod, it finds the cluster by itself
    namespace: str | None = None

    @classmethod
    def here(cls, context: str | None, namespace: str | None) -> Kubectl:
        """The cluster and the namespace that are current now, where they are not given.

        So that both stay the same when others become current. In a pod there is no configuration to ask: the cluster
        is the pod's own.
        """
        try:
            text = cls(context).call("config", "view", "--minify", "--output=json")
        except Refused:
            if context is not None:
                raise
            return cls(None, namespace)
        values = json.loads(text)
        current = values["contexts"][0]["context"]
        return cls(values["current-context"], namespace or current.get("namespace") or "default")

    def call(self, *arguments: str, document: str = "", secret: str = "") -> str:
        """What a call prints; ``document`` is its standard input.

        ``secret`` stands in the document, and is left out of what is told of a failure.
        """
        options = {"context": self.context, "namespace": self.namespace}
        command = ["kubectl", *(f"--{name}={value}" for name, value in options.items() if value), *arguments]
        words = " ".join(command)
        try:
            process = subprocess.run(
                command,
                input=document,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_LIMIT + GONE,
                check=False,
            )
        except FileNotFoundError:
            advice = "install it where you launch from; what it would be given is printed with --dry-run"
            raise RunError(f"kubectl is not installed, or not on PATH: {advice}") from None
        except OSError as error:
            raise RunError(f"kubectl cannot be started: {error}") from None
        except subprocess.TimeoutExpired as expired:
            raise RunError(f"{words} has not ended after {expired.timeout:.0f} s: is the cluster reachable?") from None
        if process.returncode:
            said = _without(secret, process.stderr).strip() or "nothing was said"
            raise Refused(f"{words} failed with exit code {process.returncode}: {said}")
        return process.stdout

    def read(self, *arguments: str) -> Any:
        """What a call prints, as JSON."""
        return json.loads(self.call(*arguments, "--output=json"))

    def to_plain(self) -> dict[str, Any]:
        """What makes it again."""
        return asdict(self)


def _without(secret: str, text: str) -> str:
    for form in filter(None, (secret, base64.b64encode(secret.encode()).decode())):
        text = text.replace(form, "(the join token)")
    return text
