"""Ray: samplers as tasks of a Ray cluster."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_launchers(register: Register) -> None:
    """Offer ``ray``."""
    register(
        "ray",
        "framework_ray.launcher:RayLauncher",
        config="framework_ray.config:RayConfig",
        summary="Tasks of a Ray cluster, each a host with its samplers.",
    )
