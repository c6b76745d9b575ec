"""What ``kubectl`` does for a `kubernetes_cluster.Cluster`: verbs and options that anyone here uses, and no others."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import yaml

if TYPE_CHECKING:
    from kubernetes_cluster import Cluster

_SHORT = {"-f": "--filename", "-l": "--selector", "-o": "--output", "-p": "--patch", "-n": "--namespace"}
_OPTIONS = {
    "config": {"--minify", "--output"},
    "create": {"--filename", "--from-file"},
    "apply": {"--filename"},
    "get": {"--selector", "--output"},
    "patch": {"--type", "--patch", "--output"},
    "delete": {"--ignore-not-found", "--cascade", "--timeout"},
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class Wrong(Exception):
    """What it complains of."""


def answer(cluster: Cluster, arguments: list[str], document: str) -> tuple[int, str, str]:
    """Its exit code, and what it prints to standard output and to standard error."""
    try:
        return 0, _Call(cluster, arguments, document).answer(), ""
    except Wrong as wrong:
        return 1, "", f"{wrong}\n"


def add(cluster: Cluster, manifest: dict[str, Any], namespace: str) -> None:
    """Have a cluster take on an object. Raises `Wrong` where it refuses."""
    from kubernetes_cluster import Job

    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    kind, name = manifest["kind"].lower(), manifest["metadata"]["name"]
    if not _NAME.fullmatch(name) or len(name) > 63:
        raise Wrong(f'The {manifest["kind"]} "{name}" is invalid: metadata.name: Invalid value: "{name}"')
    with cluster.lock:
        if (namespace, name) in (cluster.jobs if kind == "job" else cluster.secrets):
            place = 'error when creating "STDIN"'
            raise Wrong(f'Error from server (AlreadyExists): {place}: {kind}s "{name}" already exists')
        if kind == "job":
            assert manifest["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # as podFailurePolicy wants it
            cluster.jobs[namespace, name] = Job(manifest)
        else:
            text = {
                key: base64.b64encode(value.encode()).decode() for key, value in manifest.get("stringData", {}).items()
            }
            cluster.secrets[namespace, name] = {"data": manifest.get("data", {}) | text}


class _Call:
    def __init__(self, cluster: Cluster, arguments: list[str], document: str):
        self._cluster, self._document = cluster, document
        self._words: list[str] = []
        self._options: dict[str, str] = {}
        waiting = iter(arguments)
        for argument in waiting:
            name, equals, value = argument.partition("=")
            if argument in _SHORT:
                self._options[_SHORT[argument]] = next(waiting)
            elif argument.startswith("--"):
                self._options[name] = value if equals else "true"
            else:
                self._words.append(argument)
        unknown = self._options.keys() - _OPTIONS[self._words[0]] - {"--context", "--namespace"}
        if unknown:
            raise Wrong(f"error: unknown flag: {min(unknown)}")
        context = self._options.get("--context", cluster.context)
        if cluster.config is not None and context not in cluster.config:
            raise Wrong(f'error: context "{context}" does not exist')
        default = cluster.namespace if cluster.config is None else cluster.config[context]
        self._namespace = self._options.get("--namespace", default)
        self._context = context

    def answer(self) -> str:
        verb, *words = self._words
        if verb in self._cluster.refusals:
            raise Wrong(self._cluster.refusals[verb].replace("{document}", self._document))
        done: str = getattr(self, f"_{verb}")(*words)
        return done

    def _config(self, what: str) -> str:
        assert (what, self._options["--minify"], self._options["--output"]) == ("view", "true", "json")
        if self._cluster.config is None:
            raise Wrong("error: current-context must exist in order to minify")
        context = {"cluster": "c", "user": "u", "namespace": self._cluster.config[self._context]}
        if not context["namespace"]:
            del context["namespace"]
        return json.dumps({"current-context": self._context, "contexts": [{"name": self._context, "context": context}]})

    def _create(self, *words: str) -> str:
        if words[:2] == ("secret", "generic"):
            key, _, file = self._options["--from-file"].partition("=")
            assert file == "/dev/stdin"
            data = {key: base64.b64encode(self._document.encode()).decode()}
            self._add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": words[2]}, "data": data})
        else:
            assert self._options["--filename"] == "-"
            for manifest in yaml.safe_load_all(self._document):
                self._add(manifest)
        return "created\n"

    def _apply(self) -> str:
        for manifest in yaml.safe_load_all(Path(self._options["--filename"]).read_text()):
            self._add(manifest)
        return "applied\n"

    def _add(self, manifest: dict[str, Any]) -> None:
        namespace = manifest["metadata"].get("namespace", self._namespace)
        if "--namespace" in self._options and namespace != self._namespace:
            raise Wrong(f'error: the namespace from the provided object "{namespace}" does not match the namespace')
        add(self._cluster, manifest, namespace)

    def _get(self, kinds: str) -> str:
        assert (kinds, self._options["--output"]) == ("jobs,pods", "json")
        wanted = dict(pair.split("=") for pair in self._options["--selector"].split(","))
        with self._cluster.lock:
            jobs = [job.to_plain() for (place, _), job in self._cluster.jobs.items() if place == self._namespace]
            pods = [pod.to_plain() for pod in self._cluster.pods.values() if pod.namespace == self._namespace]
        items = [item for item in [*jobs, *pods] if wanted.items() <= item["metadata"]["labels"].items()]
        return json.dumps({"kind": "List", "items": items})

    def _patch(self, what: str) -> str:
        assert (self._options["--type"], self._options["--output"]) == ("merge", "json")
        change = json.loads(self._options["--patch"])
        assert change.keys() == {"spec"}
        assert change["spec"].keys() == {"parallelism"}  # all else of a Job cannot be changed
        with self._cluster.lock:
            job = self._cluster.jobs.get((self._namespace, what.removeprefix("job/")))
            if job is None:
                name = what.removeprefix("job/")
                raise Wrong(f'Error from server (NotFound): jobs.batch "{name}" not found')
            job.manifest["spec"].update(change["spec"])
            return json.dumps(job.to_plain())

    def _delete(self, *objects: str) -> str:
        jobs = []
        for kind, name in (words.split("/") for words in objects):
            key = (self._namespace, name)
            with self._cluster.lock:
                if key not in (self._cluster.jobs if kind == "job" else self._cluster.secrets):
                    if "--ignore-not-found" not in self._options:
                        raise Wrong(f'Error from server (NotFound): {kind}s "{name}" not found')
                elif kind == "job":
                    self._cluster.delete_job(key)
                    jobs.append(key)
                else:
                    del self._cluster.secrets[key]
        assert not jobs or self._options["--cascade"] == "foreground"  # else the pods would outlive the Job
        seconds = float(self._options.get("--timeout", "1s").removesuffix("s"))
        if not self._cluster.wait(lambda: all(key not in self._cluster.jobs for key in jobs), seconds):
            raise Wrong("error: timed out waiting for the condition on jobs")
        return "deleted\n"
