"""Network addresses: where a learner listens, and how others reach it."""

from __future__ import annotations

import fcntl
import re
import socket
import struct

from framework.errors import RunError
from framework.pipeline.sections import LISTEN

LOOPBACK = "127.0.0.1"
_ANY = ("0.0.0.0", "*", "[::]")
_SIOCGIFADDR = 0x8915  # Linux: the address of a network interface


def parse(listen: str) -> tuple[str, int]:
    """The host and the port that ``HOST:PORT``, or ``PORT`` for this machine alone, names. Raises `RunError`."""
    match = re.fullmatch(LISTEN, listen)
    if match is None or int(match[2]) > 65535:
        raise RunError(f"{listen!r} is no address to listen at: write HOST:PORT, such as 0.0.0.0:5555")
    host = match[1] or LOOPBACK
    if host not in _ANY and not host.startswith("["):
        try:
            host = socket.gethostbyname(host)
        except (OSError, UnicodeError):  # the latter where a part of the name is empty or too long
            raise RunError(f"{listen!r}: no such host as {host}") from None
    return host, int(match[2])


def reachable(host: str, port: int) -> list[str]:
    """Endpoints of what listens at ``host``, as others may see it."""
    hosts = [*interfaces(), socket.gethostname(), LOOPBACK] if host in _ANY else [host]
    return [f"tcp://{name}:{port}" for name in dict.fromkeys(hosts)]


def interfaces() -> list[str]:
    """The IPv4 address of every network interface but loopback, where the system tells."""
    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asker, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            addresses.append(socket.inet_ntoa(answer[20:24]))
    return [address for address in addresses if not address.startswith("127.")]


def host_and_port(endpoint: str) -> tuple[str, int]:
    """The host and the port of ``tcp://HOST:PORT``."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)
