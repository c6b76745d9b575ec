"""A plugin with a launcher and a command, as somebody else would write it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import click
from attrs import frozen

from framework import hookimpl
from framework.hookspecs import Register, RegisterCommand
from framework.interfaces import LauncherContext, SamplerExit
from framework.schema import option


@hookimpl
def register_launchers(register: Register) -> None:
    """Offer ``acme/processes``."""
    register("processes", "acme_launcher:Processes", config="acme_launcher:Options", summary="Processes of their own.")


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Offer ``framework acme/greet``."""
    register("greet", "acme_launcher:greet", summary="Say hello.")


@click.command()
@click.argument("name")
@click.option("--fail", is_flag=True)
def greet(name: str, fail: bool) -> int:
    """Say hello to NAME."""
    if fail:
        raise KeyError(name)
    click.echo(f"hello {name}")
    return 1 if name == "nobody" else 0


@frozen
class Options:
    """Options of `Processes`."""

    nice: int = option(0, help="Added to the niceness of each process.", ge=0)


class Processes:
    """Starts each sampler as a new Python process."""

    def __init__(self, config: Options, context: LauncherContext):
        self._command = ["nice", "-n", str(config.nice), sys.executable, "-P", "-m"]
        self._running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        self._most = context.samplers

    def start(self, endpoint: str, run: str, sampler: str, incarnation: int) -> None:
        """See `framework.interfaces.Launcher`."""
        assert len(self._running) < self._most
        module = "framework.runtime.launch.sampler_process"
        arguments = [*self._command, module, endpoint, run, sampler, str(incarnation)]
        self._running[sampler, incarnation] = subprocess.Popen(arguments)

    def exits(self, timeout: float) -> list[SamplerExit]:
        """See `framework.interfaces.Launcher`."""
        deadline = time.monotonic() + timeout
        while not (exits := self._ended()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return exits

    def close(self) -> None:
        """See `framework.interfaces.Launcher`."""
        for process in list(self._running.values()):
            process.terminate()
            process.wait()

    def _ended(self) -> list[SamplerExit]:
        ended: list[Any] = [(key, process) for key, process in self._running.items() if process.poll() is not None]
        for key, _ in ended:
            del self._running[key]
        return [SamplerExit(*key, process.pid, process.returncode) for key, process in ended]
