"""SLURM: samplers as the tasks of a job array, which start as there is room."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_launchers(register: Register) -> None:
    """Offer ``slurm``."""
    register(
        "slurm",
        "framework_slurm.launcher:Slurm",
        config="framework_slurm.config:SlurmConfig",
        summary="Tasks of a job array, which start as there is room.",
    )
