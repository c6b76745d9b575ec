"""Keeps hosts at work on machines that ssh reaches."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from framework.interfaces import HostStatus, LauncherContext, Work
from framework.toolkit import keeper
from framework.toolkit.background import Background
from framework_ssh.config import DEFAULTS, SshConfig
from framework_ssh.reach import reach
from framework_ssh.remote import program


class Ssh:
    """A process in the background, on this machine, keeps one ssh for each host, and starts it again where it ends."""

    def __init__(self, config: SshConfig, context: LauncherContext):
        self._config = config
        self._background = Background(context.directory)

    def plan(self, work: Work) -> str:
        """See `framework.interfaces.Launcher`."""
        lines = ["# A host ends when the standard input of its ssh does."]
        for command in self._commands(work):
            lines += [
                f"# {command.name} on {command.place}",
                f"cat {shlex.quote(str(work.token))} - | {shlex.join(command.arguments)}",
            ]
        return "\n".join([*lines, ""])

    def start(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`. Raises `RunError` also where no machine can be reached."""
        commands = list(self._commands(work))
        reach({command.place: [*self._ssh(command.place), "true"] for command in commands})
        self._background.start(keeper.MODULE, keeper.wanted(commands, work.token))

    def scale(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.keep(keeper.MODULE, keeper.wanted(self._commands(work), work.token))

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher`."""
        return keeper.statuses(self._background)

    def stop(self) -> None:
        """See `framework.interfaces.Launcher`."""
        self._background.stop()

    def _commands(self, work: Work) -> Iterator[keeper.Command]:
        """Each host's command; the machines take hosts in turn."""
        for number in range(work.hosts):
            place = self._config.hosts[number % len(self._config.hosts)]
            name = f"ssh-{number}-{_short(place)}"
            remote = program(work.command(name), self._config.directory, self._config.setup)
            yield keeper.Command(name, [*self._ssh(place), remote], place)

    def _ssh(self, place: str) -> list[str]:
        """The command that runs another on a machine, without a terminal, which would say again what it is told."""
        defaults = [word for default in DEFAULTS for word in ("-o", default)]
        return [*self._config.ssh, *self._config.options, *defaults, "-T", place]


def _short(place: str) -> str:
    """``node1`` for ``user@node1`` and ``ssh://user@node1:2222``."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", place.removeprefix("ssh://").rpartition("@")[2].partition(":")[0]) or "host"
