"""The command line: one command a file, imported when it is used and not before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

import click

from framework import __version__


class Commands(click.Group):
    """The modules of this package, each with a click command named ``command``.

    Help lists them by the first line of each file, so that none is imported for it.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the modules here, less those that start with an underscore."""
        files = (os.path.splitext(file) for file in os.listdir(__path__[0]))
        return sorted(name for name, suffix in files if suffix == ".py" and not name.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command ``name``; ``None`` where there is none."""
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"{__name__}.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion where the name is unknown."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            from framework.schema import suggest

            guess = suggest(args[0], known)
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {guess!r}?" if guess else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(name)) for name in self.list_commands(ctx)])


def _summary(name: str) -> str:
    with open(os.path.join(__path__[0], f"{name}.py"), encoding="utf-8") as file:
        return file.readline().strip().strip('"')


_EPILOG = """Completion: put eval "$(_FRAMEWORK_COMPLETE=bash_source framework)" into ~/.bashrc; zsh_source and
fish_source are for those shells."""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, prog_name="framework", message="%(prog)s %(version)s")
@click.option(
    "--no-plugin",
    "blocked",
    multiple=True,
    metavar="NAME",
    help="Do not load this plugin; may be given several times. FRAMEWORK_PLUGINS_DISABLE=NAME,NAME does the same.",
)
def cli(blocked: Sequence[str]) -> None:
    """Train and study reinforcement-learning agents that a pipeline file describes."""
    if blocked:
        from framework.plugins import DISABLE

        # Through the environment, because the processes that a run starts must leave them alone too.
        os.environ[DISABLE] = ",".join(filter(None, [os.environ.get(DISABLE), *blocked]))
