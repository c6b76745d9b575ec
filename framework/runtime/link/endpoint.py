"""Where a learner listens for local samplers: a socket file in a private folder.

Not in the run directory, as the paths of socket files must be short. This module does not import torch or zmq, so
that it can be loaded while others are.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from framework.errors import RunError

#: So often, in milliseconds, either end asks whether the other is there; a connection ends where it is not for so long.
HEARTBEAT, HEARTBEAT_TIMEOUT = 2000, 6000
#: Bytes that a frame grows by where it is encrypted, and then some: ZeroMQ's limit counts them.
OVERHEAD = 64
#: Bytes that the path of a socket file may have.
_PATH_LIMIT = 107
_PREFIX = "framework-link-"
_ADVICE = "set TMPDIR to a short, local, writable path"


class SocketFolder:
    """A new private folder for one socket, and its lock, which is held as long as anybody uses the folder.

    Folders whose users were all killed are removed when the next is made. Raises `RunError` where no folder can be
    made, or the path of its socket would be too long.
    """

    def __init__(self) -> None:
        self.path, self._lock = _locked_folder()

    @property
    def endpoint(self) -> str:
        """Where the learner listens and samplers connect to."""
        return f"ipc://{self.path}/link"

    @property
    def lock(self) -> int:
        """File descriptor for processes that use the folder: they hold the lock as long as it is open."""
        return self._lock.fileno()

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _locked_folder() -> tuple[str, IO[str]]:
    try:
        _remove_stale_folders(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(prefix=_PREFIX)
    except OSError as error:
        raise RunError(f"no folder for the samplers' socket can be made: {error}; {_ADVICE}") from None
    length = len(os.fsencode(f"{folder}/link"))
    if length > _PATH_LIMIT:
        os.rmdir(folder)
        raise RunError(
            f"the samplers' socket {folder}/link has a path of {length} bytes, and {_PATH_LIMIT} are possible; "
            f"{_ADVICE}"
        )
    lock = open(f"{folder}/lock", "w")  # noqa: SIM115  # held until the folder is closed
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not os.path.exists(lock.name):  # another process took it for a stale one before it was locked
        lock.close()
        return _locked_folder()
    return folder, lock


def _remove_stale_folders(place: Path) -> None:
    """Remove the folders that nobody holds the lock of."""
    for path in place.glob(f"{_PREFIX}*/lock"):
        with suppress(OSError), path.open() as lock:
            if path.parent.stat().st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
