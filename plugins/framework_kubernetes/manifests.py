"""The objects that a run's samplers are in a cluster: a Job, and the Secret with the join token."""

from __future__ import annotations

from typing import Any

from framework.exit_codes import NOT_LET_IN, WRONG_VERSION
from framework.interfaces import Work
from framework_kubernetes import rules
from framework_kubernetes.config import KubernetesConfig
from framework_kubernetes.names import Names

#: Where the Secret is mounted, and the one file in it.
FOLDER, FILE = "/var/run/framework", "join"
#: The container of each pod.
CONTAINER = "sampler"
#: Failed pods that are replaced, all in all: as many as Kubernetes counts, as it is for the run to say when to end.
_BACKOFF_LIMIT = 2**31 - 1
#: Seconds that a pod has to end by itself.
_GRACE = 30
#: The group that the mounted file belongs to where the samplers' user is the image's, whoever that is.
_GROUP = 1000
_POD_NAME = "$(POD_NAME)"


def labels(names: Names) -> dict[str, str]:
    """What the objects of a run are found by."""
    return {
        "app.kubernetes.io/name": "framework",
        "app.kubernetes.io/component": "samplers",
        "app.kubernetes.io/instance": names.instance,
    }


def job(config: KubernetesConfig, names: Names, work: Work) -> dict[str, Any]:
    """The Job that keeps so many pods at work. Without ``completions`` it has no new ones once one has succeeded.

    An exit code that says that no pod of this run can do any better fails the Job; pods that a node was taken from are
    replaced without being counted.
    """
    policy = [
        {
            "action": "FailJob",
            "onExitCodes": {"containerName": CONTAINER, "operator": "In", "values": [NOT_LET_IN, WRONG_VERSION]},
        },
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(config, names, names.job),
        "spec": {
            "parallelism": work.hosts,
            "backoffLimit": _BACKOFF_LIMIT,
            "podFailurePolicy": {"rules": policy},
            "template": {"metadata": {"labels": labels(names) | config.labels}, "spec": _pod(config, names, work)},
        },
    }


def secret(config: KubernetesConfig, names: Names, token: str) -> dict[str, Any]:
    """The Secret that holds the join token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(config, names, names.secret),
        "type": "Opaque",
        "stringData": {FILE: token},
    }


def command(config: KubernetesConfig, work: Work) -> list[str]:
    """The command of each pod. Kubernetes expands references to variables in it, so every other ``$`` is doubled."""
    directory = [] if config.directory is None else ["--directory", config.directory]
    arguments = [*work.command(_POD_NAME, f"{FOLDER}/{FILE}"), *directory]
    return [argument if argument == _POD_NAME else argument.replace("$", "$$") for argument in arguments]


def _metadata(config: KubernetesConfig, names: Names, name: str) -> dict[str, Any]:
    namespace = {} if config.namespace is None else {"namespace": config.namespace}
    return {"name": name, **namespace, "labels": labels(names) | config.labels}


def _pod(config: KubernetesConfig, names: Names, work: Work) -> dict[str, Any]:
    account = {} if config.service_account is None else {"serviceAccountName": config.service_account}
    credentials = {} if config.image_pull_secret is None else {"imagePullSecrets": [{"name": config.image_pull_secret}]}
    tolerations = [rules.toleration(text) for text in config.tolerations]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": _GRACE,
        **account,
        "automountServiceAccountToken": config.service_account is not None,
        "enableServiceLinks": False,
        **credentials,
        **({"nodeSelector": config.node_selector} if config.node_selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
        "securityContext": _identity(config),
        "containers": [_container(config, work)],
        "volumes": [{"name": FILE, "secret": {"secretName": names.secret, "defaultMode": 0o400}}],
    }


def _identity(config: KubernetesConfig) -> dict[str, Any]:
    """Who samplers are. The mounted file is root's, and ``fsGroup`` may read it, which every user of the pod is in."""
    group = _GROUP if config.user is None else config.user
    user = {} if config.user is None else {"runAsNonRoot": True, "runAsUser": config.user, "runAsGroup": config.user}
    return {**user, "fsGroup": group, "seccompProfile": {"type": "RuntimeDefault"}}


def _container(config: KubernetesConfig, work: Work) -> dict[str, Any]:
    cpu = str(work.workers if config.cpu is None else config.cpu)
    memory = {} if config.memory is None else {"memory": config.memory}
    variables = [{"name": name, "value": value.replace("$", "$$")} for name, value in config.variables.items()]
    return {
        "name": CONTAINER,
        "image": config.image,
        "command": command(config, work),
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, *variables],
        "resources": {"requests": {"cpu": cpu, **memory}, **({"limits": memory} if memory else {})},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": FILE, "mountPath": FOLDER, "readOnly": True}],
    }
