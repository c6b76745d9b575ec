"""Options of the launcher."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from framework.schema import OptionError, option, quote
from framework_kubernetes import rules

#: Labels that Kubernetes sets on the pods of a Job, and prefixes of those, and of the launcher's own.
OWN_LABELS = ("job-name", "controller-uid")
OWN_PREFIXES = ("app.kubernetes.io/", "batch.kubernetes.io/")
#: Variables that the launcher sets, and the one that may hold a join token, which belongs into the Secret alone.
OWN_VARIABLES = ("POD_NAME", "FRAMEWORK_JOIN")


@frozen
class KubernetesConfig:
    """Options of `kubernetes`."""

    image: str = option(help="Container image with the framework and the plugins, such as registry.example/pong:1.")
    context: str | None = option(
        None,
        help="Context of kubectl's configuration, which names the cluster; by default the current one.",
        pattern=".+",
    )
    namespace: str | None = option(None, help="Namespace of the pods; by default the context's.")
    cpu: int | float | str | None = option(
        None, help="Processors that each pod requests; by default one for each of its samplers."
    )
    memory: str | None = option(
        None,
        help="Memory that each pod requests and may use at most, such as 16Gi; by default no request and no limit.",
    )
    variables: dict[str, str] = option(factory=dict, help="Environment variables of the samplers.")
    node_selector: dict[str, str] = option(factory=dict, help="Labels that a node must have.")
    tolerations: tuple[str, ...] = option(
        (), help="Taints of nodes that are tolerated, such as example.org/spot=true:NoSchedule."
    )
    labels: dict[str, str] = option(factory=dict, help="Further labels of the Job, its pods and the Secret.")
    service_account: str | None = option(
        None, help="Service account of the pods; without one they have the default one, and no token of it."
    )
    image_pull_secret: str | None = option(None, help="Secret with the credentials of the image's registry.")
    user: int | None = option(
        None, help="Number of the user and the group that samplers run as; by default the image's.", ge=1, lt=2**31
    )
    directory: str | None = option(
        None,
        help="Folder in the image with the Python files that the pipeline names; by default where they lie on the "
        "learner's machine.",
        pattern="/.*",
    )

    def __attrs_post_init__(self) -> None:
        _check(rules.image, "image", self.image)
        _check(rules.label, "namespace", self.namespace)
        _check(rules.quantity, "cpu", None if self.cpu is None else str(self.cpu))
        _check(rules.quantity, "memory", self.memory)
        _check(rules.subdomain, "service_account", self.service_account)
        _check(rules.subdomain, "image_pull_secret", self.image_pull_secret)
        for text in self.tolerations:
            _check(rules.taint, "tolerations", text)
        for name in self.variables:
            _check(rules.variable, "variables", name)
            _refuse("variables", name, name in OWN_VARIABLES)
        for path, table in (("node_selector", self.node_selector), ("labels", self.labels)):
            for key, value in table.items():
                _check(rules.label_key, path, key)
                _check(rules.label_value, path, value)
        for key in self.labels:
            _refuse("labels", key, key in OWN_LABELS or key.startswith(OWN_PREFIXES))


def _check(rule: Callable[[str], str], name: str, text: str | None) -> None:
    if text is not None and (wrong := rule(text)):
        raise OptionError(f"{wrong}, not {quote(text)}", name)


def _refuse(name: str, key: str, reserved: bool) -> None:
    if reserved:
        raise OptionError(f"{key} is set by the launcher itself", name)
