"""A machine that ssh reaches: OpenSSH's server on this one, with keys, settings and a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from processes import wait_for

from measure.network import Network

ADDRESS = "127.0.0.1"
_SERVER = "/usr/sbin/sshd"
_SETTINGS = """
ListenAddress {address}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment no
MaxStartups 100
SetEnv {variables}
"""


def missing() -> str | None:
    """Why there can be none here, and how to mend it; None where there can."""
    programs = (_SERVER, "ssh", "ssh-keygen")
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not found: apt-get install openssh-server openssh-client"
    return None if os.geteuid() == 0 else "a server that lets others in must be root's"


class Server:
    """It listens; ``options`` are what ssh needs to reach it."""

    def __init__(self, folder: Path, address: str, port: int, network: Network | None):
        self._folder, self.address, self.port, self._network = folder, address, port, network
        known, key = folder / "known_hosts", folder / "user_key"
        public = " ".join((folder / "host_key.pub").read_text().split()[:2])
        known.write_text(f"[{address}]:{port} {public}\n")
        settings = ("IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}")
        self.options = ["-F", "none", "-p", str(port), "-i", str(key)]
        self.options += [word for setting in settings for word in ("-o", setting)]
        self.log = folder / "log"
        self.process: psutil.Popen | None = None
        self._starts = 0

    def start(self) -> None:
        """Listen."""
        command = [_SERVER, "-D", "-e", "-f", str(self._folder / "sshd_config")]
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                command if self._network is None else self._network.inside("node", command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self.log.read_text().count("Server listening") > self._starts, seconds=10)
        self._starts += 1

    def stop(self) -> None:
        """Listen no more, and cut all connections."""
        if self.process is not None:
            connections = self._connections()
            self.process.kill()
            self.process.wait()
            self.process = None
            _kill(connections)

    def cut(self) -> None:
        """Cut all connections, as where the server's processes for them are killed."""
        _kill(self._connections())

    def _connections(self) -> list[psutil.Process]:
        """The server's processes for connections; what runs on them is not among them."""
        assert self.process is not None
        return [child for child in self.process.children(recursive=True) if child.name().startswith("sshd")]


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


@contextmanager
def ssh_server(
    folder: Path, address: str = ADDRESS, network: Network | None = None, **variables: str
) -> Iterator[Server]:
    """A server whose programs have these environment variables; nothing of it stays.

    With a network it is on the machine ``node`` of that, at another address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)  # where it has nothing to do before it knows who is there
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    with socket.create_server((ADDRESS, 0)) as free:
        port = free.getsockname()[1]  # of this machine; on others it is as good as any
    text = " ".join(f'"{name}={value}"' for name, value in variables.items())
    settings = _SETTINGS.format(address=address, port=port, folder=folder, variables=text or '"LANG=C"')
    (folder / "sshd_config").write_text(settings)
    server = Server(folder, address, port, network)
    try:
        server.start()
        yield server
    finally:
        server.stop()
