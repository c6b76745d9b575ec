"""A link that can be cut: what stands between the learner's socket file and its samplers."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path


class CutLink:
    """Passes bytes on between ``endpoint``, where samplers connect, and ``learner``, an endpoint too (``ipc``)."""

    def __init__(self, folder: Path, learner: str):
        self.endpoint = f"ipc://{folder}/proxy"
        self._path, self._learner = f"{folder}/proxy", learner.removeprefix("ipc://")
        self._open = threading.Event()  # bytes are passed on
        self._open.set()
        self._ends: list[socket.socket] = []
        self._listen()

    def cut(self) -> None:
        """Every connection is closed, and nobody can connect, until it is `mend`-ed."""
        self._listener.close()
        Path(self._path).unlink()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # which ends the threads that receive from it
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        """Samplers can connect again."""
        self._listen()

    def block(self) -> None:
        """Connections stay, but nothing passes: as where a cable is pulled."""
        self._open.clear()

    def unblock(self) -> None:
        """All that was sent meanwhile passes."""
        self._open.set()

    def close(self) -> None:
        """For good."""
        self._open.set()
        self.cut()

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                sampler, _ = listener.accept()
                learner = socket.socket(socket.AF_UNIX)
                learner.connect(self._learner)
                self._ends += [sampler, learner]
                for source, target in ((sampler, learner), (learner, sampler)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
