"""Samplers on machines that ssh reaches."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_launchers(register: Register) -> None:
    """Offer ``ssh``."""
    register(
        "ssh",
        "framework_ssh.launcher:Ssh",
        config="framework_ssh.config:SshConfig",
        summary="Samplers on machines that ssh reaches, started again where they end.",
    )
