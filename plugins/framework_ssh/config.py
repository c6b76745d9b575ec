"""Options of the launcher."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option

#: What ssh is told beside what `SshConfig.options` says, which has precedence: of two values ssh takes the first. It
#: never asks for a password, notices within 15 s that a machine cannot be reached any more, and uses a connection that
#: is there already, but is never one that others depend on.
DEFAULTS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ControlMaster=no",
)


@frozen
class SshConfig:
    """Options of `ssh`."""

    hosts: tuple[str, ...] = option(
        help="Machines, as ssh knows them: `node1`, `user@node1`, `ssh://node1:2222`. They take hosts in turn; one "
        "that is named twice takes twice as many."
    )
    ssh: tuple[str, ...] = option(("ssh",), help="What the command `ssh` is on this machine.")
    options: tuple[str, ...] = option(
        (),
        help='Arguments of ssh before the host, such as `["-p", "2222"]`. They have precedence over `'
        + " ".join(f"-o {default}" for default in DEFAULTS)
        + "`.",
    )
    directory: str | None = option(
        None,
        help="Folder on the machines, relative to the home folder, in which the rest happens, and in which Python "
        "files that the pipeline names are looked for; by default the home folder, and where they lie on the learner's "
        "machine.",
    )
    setup: tuple[str, ...] = option(
        (), help='Lines for `sh` before the sampler is started, such as `[". venv/bin/activate"]`.'
    )

    def __attrs_post_init__(self) -> None:
        if not self.hosts:
            raise OptionError("must name a machine at least", "hosts")
        for host in self.hosts:
            if not host.isprintable() or not host or host[0] == "-" or any(map(str.isspace, host)):
                raise OptionError(f"must be machines, without blanks and with no dash in front, not {host!r}", "hosts")
        if not self.ssh:
            raise OptionError("must name a command", "ssh")
        for name in ("ssh", "options", "setup"):
            for text in getattr(self, name):
                _check_line(text, name)
        if self.directory is not None:
            _check_line(self.directory, "directory")
            if not self.directory or (self.directory[0] == "~" and self.directory[1:2] not in ("", "/")):
                raise OptionError(f"must be a folder, such as `~/project`, not {self.directory!r}", "directory")


def _check_line(text: str, name: str) -> None:
    """Shells do not agree on what a line break in an argument is."""
    if any(letter in text for letter in "\0\n\r"):
        raise OptionError(f"must be without line breaks, not {text!r}", name)
