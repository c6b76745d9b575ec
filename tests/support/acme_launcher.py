"""A plugin with a launcher and a command, as somebody else would write it."""

from __future__ import annotations

import shlex

import click
from attrs import frozen

from framework import hookimpl
from framework.hookspecs import Register, RegisterCommand
from framework.interfaces import HostStatus, LauncherContext, Work
from framework.schema import option
from framework.toolkit import keeper
from framework.toolkit.background import Background


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
    """Keeps hosts at work on this machine."""

    def __init__(self, config: Options, context: LauncherContext):
        self._nice = ["nice", "-n", str(config.nice)]
        self._background = Background(context.directory)

    def plan(self, work: Work) -> str:
        """See `framework.interfaces.Launcher`."""
        return "".join(f"{shlex.join(command.arguments)} < {work.token}\n" for command in self._commands(work))

    def start(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.start(keeper.MODULE, keeper.wanted(self._commands(work), work.token))

    def scale(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.keep(keeper.MODULE, keeper.wanted(self._commands(work), work.token))

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher`."""
        return keeper.statuses(self._background)

    def stop(self) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.stop()

    def _commands(self, work: Work) -> list[keeper.Command]:
        names = [f"acme-{number}" for number in range(work.hosts)]
        return [keeper.Command(name, [*self._nice, *work.command(name)], "here") for name in names]
