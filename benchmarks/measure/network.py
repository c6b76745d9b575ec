"""Machines that are network namespaces of this one, and a network between them that can be cut and loses packets.

Needs the right to make namespaces (root), ``ip`` and ``/dev/net/tun``; see `possible`.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import selectors
import struct
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MTU = 9000
_networks = itertools.count()  # of this process: several may be there at once
_PREFIX = "10.77.0."


def possible() -> bool:
    """Whether such a network can be made here."""
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        return False
    try:
        with Network(("a",)):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


class Network:
    """Namespaces by name, with the addresses 10.77.0.1, .2 and so on: each has one interface, and all reach all.

    A thread of this process carries their packets. As a context manager it leaves nothing behind.
    """

    def __init__(self, names: Sequence[str], seed: int = 0):
        self.addresses = {name: f"{_PREFIX}{number}" for number, name in enumerate(names, 1)}
        self._network = next(_networks)
        self._namespaces: dict[str, str] = {}  # those that were made
        self._devices: dict[str, int] = {}
        self._random = random.Random(seed)
        self.loss = 0.0  #: share of packets that are lost
        self.away: set[str] = set()  #: whose packets are all lost, either way
        self._closing = False

    def __enter__(self) -> Network:
        try:
            for number, name in enumerate(self.addresses, 1):
                self._make(number, name)
        except BaseException:
            self._remove()
            raise
        self._thread = threading.Thread(target=self._carry, name="network", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closing = True
        self._thread.join()
        self._remove()

    def inside(self, name: str, command: Sequence[str]) -> list[str]:
        """A command line that runs in a namespace."""
        return ["ip", "netns", "exec", self._namespaces[name], *command]

    def token(self, name: str, file: Path) -> Path:
        """The join file that a machine uses: the learner's own."""
        return file

    def _make(self, number: int, name: str) -> None:
        namespace = f"fw-{os.getpid()}-{self._network}-{name}"
        interface = f"fw{os.getpid() % 100000}n{self._network}n{number}"  # at most 15 letters
        _ip("netns", "add", namespace)
        self._namespaces[name] = namespace
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._devices[name] = device
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH", interface.encode(), _IFF_TUN | _IFF_NO_PI))
        _ip("link", "set", interface, "netns", namespace)
        _ip("-n", namespace, "addr", "add", f"{self.addresses[name]}/24", "dev", interface)
        _ip("-n", namespace, "link", "set", interface, "mtu", str(_MTU), "up")
        _ip("-n", namespace, "link", "set", "lo", "up")

    def _carry(self) -> None:
        names = dict(zip(self.addresses.values(), self.addresses, strict=True))
        with selectors.DefaultSelector() as selector:
            for name, device in self._devices.items():
                selector.register(device, selectors.EVENT_READ, name)
            while not self._closing:
                for key, _ in selector.select(0.1):
                    with suppress(BlockingIOError):
                        for _ in range(64):
                            self._pass_on(key.data, os.read(key.fd, _MTU + 100), names)

    def _pass_on(self, sender: str, packet: bytes, names: dict[str, str]) -> None:
        receiver = names.get(".".join(map(str, packet[16:20]))) if packet[0] >> 4 == 4 else None
        if receiver is None or {sender, receiver} & self.away or self._random.random() < self.loss:
            return
        with suppress(OSError):  # its queue is full: a packet is lost
            os.write(self._devices[receiver], packet)

    def _remove(self) -> None:
        for device in self._devices.values():
            os.close(device)
        for namespace in self._namespaces.values():
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", namespace)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
