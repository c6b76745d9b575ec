"""The launcher: a Job in a cluster, by way of ``kubectl``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from framework.errors import RunError
from framework.interfaces import HostStatus, LauncherContext, Work
from framework_kubernetes import emitter, manifests, pods
from framework_kubernetes.config import KubernetesConfig
from framework_kubernetes.kubectl import GONE, Kubectl, Refused
from framework_kubernetes.names import Names

_PLAN = """\
# Samplers of {run}: a Job that keeps {hosts} pods of {workers} samplers each at work.
# Apply it with: kubectl apply --filename=FILE. Its pods wait for the Secret with the join token, which is in no file:
#   framework join {path} | kubectl create secret generic {secret}{namespace} --from-file={file}=/dev/stdin
"""


class Kubernetes:
    """Keeps a Job with a pod for each host.

    The cluster and the namespace that were current when it was started are kept in ``cluster.json``.
    """

    def __init__(self, config: KubernetesConfig, context: LauncherContext):
        self._config = config
        self._run = context.run
        self._names = Names.of(context.run)
        self._directory = context.directory

    def plan(self, work: Work) -> str:
        """See `framework.interfaces.Launcher`: the Job, and how to make its Secret."""
        namespace = "" if self._config.namespace is None else f" --namespace={self._config.namespace}"
        comment = _PLAN.format(
            run=self._run,
            hosts=work.hosts,
            workers=work.workers,
            path=self._run_directory,
            secret=self._names.secret,
            namespace=namespace,
            file=manifests.FILE,
        )
        return comment + emitter.documents([manifests.job(self._config, self._names, work)])

    def start(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`. Objects of the same names that are there already are left alone."""
        kubectl = Kubectl.here(self._config.context, self._config.namespace)
        self._file.write_text(json.dumps(kubectl.to_plain()))
        token = work.token.read_text().strip()
        self._create(kubectl, manifests.secret(self._config, self._names, token), token)
        try:
            self._create(kubectl, manifests.job(self._config, self._names, work))
        except BaseException as error:  # also where it is interrupted, and the Job may be there or not
            try:
                self._delete(kubectl, *([self._secret] if isinstance(error, Refused) else [self._job, self._secret]))
            except RunError as left:
                raise RunError(f"{error or 'interrupted'}\nand what was made before is left: {left}") from None
            raise

    def scale(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`. Raises `RunError` too where the Job has ended."""
        patch = json.dumps({"spec": {"parallelism": work.hosts}})
        job = self._kubectl.read("patch", self._job, "--type=merge", f"--patch={patch}")
        if end := pods.end_of(job):
            raise RunError(
                f"the Job {self._names.job} has ended ({end}), and starts no more pods: end the launch with"
                f" framework launch --stop {self._run_directory}, and launch again"
            )

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher`: each pod, ended ones too."""
        selector = ",".join(f"{key}={value}" for key, value in manifests.labels(self._names).items())
        items: list[dict[str, Any]] = self._kubectl.read("get", "jobs,pods", f"--selector={selector}")["items"]
        if not any(item["kind"] == "Job" for item in items):
            raise RunError(
                f"the Job {self._names.job} is gone: it was deleted otherwise than with"
                f" framework launch --stop {self._run_directory}, which is to be called all the same"
            )
        return pods.statuses(item for item in items if item["kind"] == "Pod")

    def stop(self) -> None:
        """See `framework.interfaces.Launcher`: returns when the pods are gone, and the Secret."""
        if self._file.exists():  # else nothing was made
            self._delete(self._kubectl, self._job, self._secret)

    def _create(self, kubectl: Kubectl, manifest: dict[str, Any], secret: str = "") -> None:
        # Not "apply", which keeps what it was given, tokens too, in an annotation, and changes what others have made.
        try:
            kubectl.call("create", "--filename=-", document=emitter.documents([manifest]), secret=secret)
        except Refused as refused:
            if "AlreadyExists" not in str(refused):
                raise
            advice = f"If nobody needs it any more: kubectl delete {self._job} {self._secret}"
            raise Refused(f"{refused}\nAn earlier launch has left it, or somebody has made it. {advice}") from None

    def _delete(self, kubectl: Kubectl, *objects: str) -> None:
        """Delete what there is of these objects, and wait until it is gone, with its pods."""
        kubectl.call("delete", *objects, "--ignore-not-found", "--cascade=foreground", f"--timeout={GONE}s")

    @property
    def _job(self) -> str:
        return f"job/{self._names.job}"

    @property
    def _secret(self) -> str:
        return f"secret/{self._names.secret}"

    @property
    def _kubectl(self) -> Kubectl:
        if not self._file.exists():
            advice = f"end it with framework launch --stop {self._run_directory}, and launch again"
            raise RunError(f"the launch was interrupted before the cluster was known: {advice}")
        return Kubectl(**json.loads(self._file.read_text()))

    @property
    def _file(self) -> Path:
        return self._directory / "cluster.json"

    @property
    def _run_directory(self) -> str:
        """As it may be typed in a shell where this is called."""
        directory, here = self._directory.parents[1], Path.cwd()
        return shlex.quote(str(directory.relative_to(here) if directory.is_relative_to(here) else directory))
