"""The HTTP interface of a `kubernetes_cluster.Cluster`, as far as the real ``kubectl`` needs it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_kubectl
from kubernetes_cluster import Cluster

_PATH = re.compile(r"/(?:api|apis/batch)/v1/namespaces/([^/]+)/(jobs|pods|secrets)(?:/([^/]+))?")
_VERBS = ["create", "delete", "get", "list", "patch", "watch"]
_CONFIG = """\
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u, namespace: namespace-of-mine}}}}]
"""


def _resources(group: str, **kinds: str) -> dict[str, Any]:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group,
        "resources": [
            {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": _VERBS}
            for name, kind in kinds.items()
        ],
    }


def _schema(prefix: str, group: str, **kinds: str) -> dict[str, Any]:
    """Says that objects are validated here, so that kubectl leaves it to us."""
    parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    paths = {
        f"{prefix}/namespaces/{{namespace}}/{name}/{{name}}": {
            "patch": {
                "parameters": parameters,
                "x-kubernetes-group-version-kind": {"group": group, "version": "v1", "kind": kind},
                "responses": {},
            }
        }
        for name, kind in kinds.items()
    }
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "1"}, "paths": paths}


_BATCH = {"groupVersion": "batch/v1", "version": "v1"}
#: What kubectl asks for before all else.
_DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH}],
    },
    "/api/v1": _resources("v1", pods="Pod", secrets="Secret"),
    "/apis/batch/v1": _resources("batch/v1", jobs="Job"),
    "/openapi/v3": {
        "paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash=1"} for name in ("api/v1", "apis/batch/v1")}
    },
    "/openapi/v3/api/v1": _schema("/api/v1", "", pods="Pod", secrets="Secret"),
    "/openapi/v3/apis/batch/v1": _schema("/apis/batch/v1", "batch", jobs="Job"),
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
}
_KINDS = {"jobs": "Job", "pods": "Pod", "secrets": "Secret"}


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in _DISCOVERY:
            self._say(200, _DISCOVERY[url.path])
        elif match := _PATH.fullmatch(url.path):
            namespace, resource, name = match.groups()
            items = [item for item in self._objects(resource, namespace) if _fits(item, name, query)]
            if name is None and "watch" in query:
                self._watch(resource, namespace, query)
            elif name is None:
                version = "batch/v1" if resource == "jobs" else "v1"
                kind = f"{_KINDS[resource]}List"
                self._say(
                    200, {"kind": kind, "apiVersion": version, "metadata": {"resourceVersion": "1"}, "items": items}
                )
            elif items:
                self._say(200, items[0])
            else:
                self._refuse(404, "NotFound", f'{resource} "{name}" not found')
        else:
            self._refuse(404, "NotFound", f"{url.path} is not served")

    def do_POST(self) -> None:
        match = _PATH.fullmatch(urlsplit(self.path).path)
        assert match is not None
        manifest = json.loads(self._body())
        try:
            kubernetes_kubectl.add(self.cluster, manifest, match[1])
        except kubernetes_kubectl.Wrong as wrong:
            self._refuse(409, "AlreadyExists", str(wrong))
        else:
            self._say(201, manifest)

    def do_PATCH(self) -> None:
        match = _PATH.fullmatch(urlsplit(self.path).path)
        assert match is not None
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        with self.cluster.lock:
            job = self.cluster.jobs[match[1], match[3]]
            job.manifest["spec"].update(json.loads(self._body())["spec"])
        self._say(200, self._objects("jobs", match[1])[0])

    def do_DELETE(self) -> None:
        match = _PATH.fullmatch(urlsplit(self.path).path)
        assert match is not None
        namespace, resource, name = match.groups()
        options = json.loads(self._body() or "{}")
        [*objects] = [item for item in self._objects(resource, namespace) if item["metadata"]["name"] == name]
        if not objects:
            self._refuse(404, "NotFound", f'{resource} "{name}" not found')
            return
        if resource == "jobs":
            assert options["propagationPolicy"] == "Foreground"
            self.cluster.delete_job((namespace, name))
        else:
            with self.cluster.lock:
                del self.cluster.secrets[namespace, name]
        self._say(
            200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"name": name, "uid": name}}
        )

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keep what was asked for."""
        self.cluster.calls.append([self.command, self.path])

    def _objects(self, resource: str, namespace: str) -> list[dict[str, Any]]:
        with self.cluster.lock:
            if resource == "jobs":
                jobs = self.cluster.jobs.items()
                objects = [(name, job.to_plain(), "batch/v1") for (place, name), job in jobs if place == namespace]
            elif resource == "pods":
                pods = self.cluster.pods.values()
                objects = [(pod.name, pod.to_plain(), "v1") for pod in pods if pod.namespace == namespace]
            else:
                secrets = self.cluster.secrets.items()
                objects = [
                    (name, {"metadata": {}, **secret}, "v1") for (place, name), secret in secrets if place == namespace
                ]
        return [
            {
                **item,
                "apiVersion": version,
                "kind": _KINDS[resource],
                "metadata": item["metadata"]
                | {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"},
            }
            for name, item, version in objects
        ]

    def _watch(self, resource: str, namespace: str, query: dict[str, str]) -> None:
        """Tell when the objects that there are have gone."""
        if "sendInitialEvents" in query:
            self._refuse(400, "BadRequest", "sendInitialEvents is not supported")
            return
        before = [item for item in self._objects(resource, namespace) if _fits(item, None, query)]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()

        def gone() -> bool:
            return not any(_fits(item, None, query) for item in self._objects(resource, namespace))

        if self.cluster.wait(gone, 60):
            for item in before:
                self.wfile.write(json.dumps({"type": "DELETED", "object": item}).encode() + b"\n")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        self._say(code, status | {"reason": reason, "message": message})

    def _say(self, code: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _fits(item: dict[str, Any], name: str | None, query: dict[str, str]) -> bool:
    metadata = item["metadata"]
    labels = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
    wanted = name or query.get("fieldSelector", "").removeprefix("metadata.name=")
    return wanted in ("", metadata["name"]) and labels.items() <= metadata.get("labels", {}).items()


@contextmanager
def served(cluster: Cluster, config: Path) -> Iterator[None]:
    """Serve a cluster; ``config`` becomes kubectl's configuration for it."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        config.write_text(_CONFIG.format(port=server.server_port))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
