"""Whose run a run directory is: Python files that it names are imported where it is one's own, or where one says so.

A run directory names the folder of its pipeline file, in which such files are looked for. It carries a message
authentication code of that name (HMAC, RFC 2104) with a key that this account alone has, so a stranger's run directory
cannot name a folder as if it were ours. Snapshots of environments carry one too, as what reads them need not be safe:
it sees only what this account has written.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.errors import RunError

_KEY_BYTES = 32
_CODE_BYTES = 32


def authenticate(folder: str) -> str | None:
    """The code that tells a run of ours, whose pipeline file lies in ``folder``; None where no key can be kept."""
    key = _key()
    return None if key is None else _code(key, folder)


def check(run: Path, manifest: Mapping[str, Any], targets: Iterable[str]) -> None:
    """Raise `RunError` where a target, ``module:name``, is in a Python file beside the pipeline of a stranger's run."""
    key, folder = _key(), str(manifest["base_directory"])
    stated = str(manifest.get("authentication"))
    if key is not None and hmac.compare_digest(_code(key, folder).encode(), stated.encode(errors="replace")):
        return
    named = {Path(folder, f"{target.partition(':')[0]}.py") for target in targets if ":" in target}
    if files := sorted(str(path) for path in named if _is_file(path)):
        raise RunError(
            f"{run} was not made by this account on this machine, and would run Python files that it names: "
            f"{', '.join(files)}; read them, then say --trust (from Python trust=True)"
        )


def can_seal() -> bool:
    """Whether there is a key for `seal`."""
    return _key() is not None


def seal(data: bytes) -> bytes:
    """``data`` after a code that tells `unseal` that this account wrote it."""
    key = _key()
    if key is None:
        raise RunError("this account's key is gone, with which snapshots are sealed: see to its home folder")
    return _seal(key, data) + data


def unseal(sealed: bytes) -> bytes | None:
    """What `seal` was given by this account; None for anything else."""
    key, code, data = _key(), sealed[:_CODE_BYTES], sealed[_CODE_BYTES:]
    return data if key is not None and hmac.compare_digest(_seal(key, data), code) else None


def texts(values: Any) -> Iterator[str]:
    """All strings in tables and arrays."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from texts(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from texts(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def _code(key: bytes, folder: str) -> str:
    return hmac.new(key, folder.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def _seal(key: bytes, data: bytes) -> bytes:
    # Folders, which have codes of the same key, have no such names.
    return hmac.new(key, b"snapshot\0" + data, hashlib.sha256).digest()


def _key() -> bytes | None:
    """This account's key, made when it is first asked for; None where it cannot be kept."""
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "framework-rl")
        path = folder / "key"
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make(path)
        key = path.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: an account without a home
        return None
    return key if len(key) == _KEY_BYTES else None


def _make(path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # readable by this account alone
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        with suppress(FileExistsError):  # another process was first, and its key is kept
            os.link(file.name, path)
