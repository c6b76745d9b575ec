"""Kubernetes: samplers as the pods of a Job."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_launchers(register: Register) -> None:
    """Offer ``kubernetes``."""
    register(
        "kubernetes",
        "framework_kubernetes.launcher:Kubernetes",
        config="framework_kubernetes.config:KubernetesConfig",
        summary="Samplers as the pods of a Job, through kubectl.",
    )
