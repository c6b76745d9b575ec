"""The command line: one file for each command, imported only when the command is used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import click

from framework import __version__

if TYPE_CHECKING:
    from framework.catalog import Component


class Commands(click.Group):
    """The modules of this package, each with a click command named ``command``, and the commands of plugins.

    Help lists them by the first line of each file and by what plugins declare, so that it imports none.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the modules here that have no leading underscore; then ``plugin/name`` of each plugin."""
        return [*_modules(), *(component.name for component in _plugin_commands())]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command ``name``; ``None`` where there is none."""
        if name in _modules():
            command: click.Command = import_module(f"{__name__}.{name}").command
            return command
        return next((component.load_command() for component in _plugin_commands() if component.name == name), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the arguments, as in click; the error of an unknown name has a suggestion."""
        name = args[0]
        if name not in _modules() and not name.startswith("-"):
            from framework.catalog import default_catalog
            from framework.schema import suggest

            if "/" in name:
                default_catalog().find("command", name)  # where there is none, its error says more than click's
            elif name not in (names := self.list_commands(ctx)):
                guess = suggest(name, names)
                ctx.fail(f"No such command {name!r}." + (f" Did you mean {guess!r}?" if guess else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name)) for name in _modules()])
        if commands := _plugin_commands():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(command.name, command.summary) for command in commands])


def _modules() -> list[str]:
    files = (os.path.splitext(file) for file in os.listdir(__path__[0]))
    return sorted(name for name, suffix in files if suffix == ".py" and not name.startswith("_"))


def _plugin_commands() -> list[Component]:
    from framework.catalog import default_catalog

    return default_catalog().components("command")


def _summary(name: str) -> str:
    with open(os.path.join(__path__[0], f"{name}.py"), encoding="utf-8") as file:
        return file.readline().strip().strip('"')


_EPILOG = """Shell completion: put eval "$(_FRAMEWORK_COMPLETE=bash_source framework)" into ~/.bashrc; zsh_source and
fish_source are for those shells."""


def _block(ctx: click.Context, parameter: click.Parameter, names: Sequence[str]) -> None:
    if names:
        from framework.plugins import DISABLE

        # Through the environment, because the processes that a run starts must leave them alone too.
        os.environ[DISABLE] = ",".join(filter(None, [os.environ.get(DISABLE), *names]))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="framework", message="%(prog)s %(version)s")
@click.option(
    "--no-plugin",
    multiple=True,
    is_eager=True,  # before any command of a plugin is looked for
    expose_value=False,
    callback=_block,
    metavar="NAME",
    help="Do not load this plugin; may be given several times. FRAMEWORK_PLUGINS_DISABLE=NAME,NAME does the same.",
)
def cli() -> None:
    """Train and study reinforcement-learning agents that a pipeline file describes."""
