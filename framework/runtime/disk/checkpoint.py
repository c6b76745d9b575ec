"""Checkpoints: folders of safetensors and JSON that are whole or not there.

A state is a nest of dictionaries, lists, tuples, plain values, tensors and numpy arrays. Arrays go to
``tensors.safetensors``, everything else to ``state.json``; ``manifest.json``, with the checksum of both, is written
last, everything is flushed to the disk, and the folder gets its name by an atomic rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from framework.errors import FrameworkError
from framework.plugins import describe

FORMAT = 1
_FILES = ("tensors.safetensors", "state.json")


class CheckpointError(FrameworkError):
    """A checkpoint that is damaged or made by another format, or a state that cannot be saved."""


class StateError(CheckpointError):
    """A state that cannot be saved."""

    def __init__(self, message: str, path: str):
        super().__init__(message)
        self.path = path  #: to what cannot be saved, such as ``/algorithm/optimizer``


def save(folder: Path, name: str, state: dict[str, Any]) -> Path:
    """Write ``state`` as the checkpoint ``folder/name``; until that is done, nothing of that name is there."""
    contents = encode(state)
    folder.mkdir(exist_ok=True)  # not its parents: a run directory that was deleted is not made anew
    for leftover in folder.glob(".*"):  # of a process that was killed while it saved
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = folder / f".{name}.{os.getpid()}"
    temporary.mkdir()
    try:
        checksums = {file: _hash(data).hexdigest() for file, data in contents.items()}
        contents["manifest.json"] = json.dumps({"format": FORMAT, "checksums": checksums}).encode()
        for file, data in contents.items():
            _write(temporary / file, data)
        _flush(temporary)
        final = folder / name
        _remove(final)
        temporary.rename(final)
        _flush(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final


def encode(state: dict[str, Any]) -> dict[str, bytes]:
    """The files of a state, by name."""
    tensors: dict[str, torch.Tensor] = {}
    described = _describe(state, "", tensors)
    return {"tensors.safetensors": safetensors.torch.save(tensors), "state.json": json.dumps(described).encode()}


def decode(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """The state that `encode` was given."""
    tensors = safetensors.torch.load(contents["tensors.safetensors"])
    state: dict[str, Any] = _restore(json.loads(contents["state.json"]), tensors.__getitem__)
    return state


def load(checkpoint: Path, *keys: str) -> Any:
    """The state saved in a checkpoint, or the part of it that ``keys`` lead to, whose tensors alone are loaded.

    Raises `CheckpointError` where the checkpoint is not whole.
    """
    try:
        manifest = json.loads((checkpoint / "manifest.json").read_bytes())
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise CheckpointError(f"{checkpoint}: not a checkpoint of format {FORMAT}")
        for file in _FILES:
            with (checkpoint / file).open("rb") as opened:
                if hashlib.file_digest(opened, _hash).hexdigest() != manifest["checksums"][file]:
                    raise CheckpointError(f"{checkpoint}: {file} is damaged (its checksum differs)")
        described = json.loads((checkpoint / "state.json").read_bytes())
        for key in keys:
            described = dict(described["$dict"])[key]
        with safetensors.safe_open(checkpoint / "tensors.safetensors", "pt") as tensors:
            state = _restore(described, tensors.get_tensor)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{checkpoint}: cannot be read: {type(error).__name__}: {error}") from error
    if not keys and not isinstance(state, dict):
        raise CheckpointError(f"{checkpoint}: does not hold a state")
    return state


def checkpoints(folder: Path, prefix: str = "update-") -> list[Path]:
    """Checkpoints in a folder, the oldest first. Raises `CheckpointError` where it is there and cannot be read."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:  # a run that took it for empty would start anew, over what is recorded
        raise CheckpointError(f"{folder}: cannot be read: {error.strerror}") from None
    return sorted(folder / name for name in names if name.startswith(prefix) and (folder / name).is_dir())


def resolve_checkpoint(run: Path, which: str) -> Path:
    """The folder of a run's checkpoint: ``"best"``, ``"last"``, or the name of one.

    ``"best"`` is the last where no evaluation has been done yet.
    """
    folder = run / "checkpoints"
    if which not in ("best", "last"):
        path = folder / which
        if not path.is_dir():
            names = ", ".join(path.name for path in sorted(folder.glob("*-*"))) or "none"
            raise FrameworkError(f"{run} has no checkpoint {which!r}; there are: {names}")
        return path
    best = checkpoints(folder, "best-") if which == "best" else []
    candidates = best or checkpoints(folder)
    if not candidates:
        raise FrameworkError(f"{run}: no checkpoint in it")
    return candidates[-1]


def prune(folder: Path, keep: int, prefix: str = "update-") -> None:
    """Remove all but the newest ``keep`` checkpoints."""
    for path in checkpoints(folder, prefix)[:-keep]:
        _remove(path)


def load_newest(folder: Path, restore: Callable[[dict[str, Any]], None]) -> tuple[Path, list[str]]:
    """The newest checkpoint that is whole and whose state ``restore`` takes, and what was wrong with newer ones.

    A state that was begun to be restored and does not fit is overwritten by the next.
    """
    problems: list[str] = []
    for path in reversed(checkpoints(folder)):
        try:
            state = load(path)
            with restoring(path):
                restore(state)
            return path, problems
        except CheckpointError as error:
            problems.append(str(error))
    raise CheckpointError("\n".join([f"{folder}: no whole checkpoint to go on from", *problems]))


@contextmanager
def restoring(checkpoint: Path) -> Iterator[None]:
    """Whatever goes wrong here, the state of ``checkpoint`` lacks something or fits another run: `CheckpointError`."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(f"{checkpoint}: does not fit this run: {describe(error)}") from error


def _remove(path: Path) -> None:
    """Remove a checkpoint; of one that is a link only the link, as what it names lies elsewhere."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _describe(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biufc":
        raise StateError(f"a state may hold arrays of numbers; {path} is of {value.dtype}", path)
    if isinstance(value, torch.Tensor | np.ndarray):
        path = f"{len(tensors)}{path}"  # paths alone may be equal: {"a/b": x} and {"a": {"b": x}}
        tensor = value.detach() if isinstance(value, torch.Tensor) else torch.from_numpy(np.array(value))
        tensors[path] = tensor.to("cpu", copy=True).contiguous()
        return {"$tensor" if isinstance(value, torch.Tensor) else "$array": path}
    if isinstance(value, dict):
        for key in value:
            if not (key is None or isinstance(key, bool | int | float | str)):
                kind = type(key).__name__
                raise StateError(f"a key of a state must be a plain value; in {path} one is of type {kind}", path)
        return {"$dict": [[key, _describe(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [_describe(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    kind = type(value).__name__
    raise StateError(f"a state may hold plain values, tensors and arrays; {path} is of type {kind}", path)


def _restore(value: Any, tensor: Callable[[str], torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_restore(item, tensor) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    match tag:
        case "$tensor":
            return tensor(content)
        case "$array":
            return tensor(content).numpy()
        case "$tuple":
            return tuple(_restore(item, tensor) for item in content)
        case "$dict":
            return {key: _restore(item, tensor) for key, item in content}
    raise ValueError(f"unknown tag {tag!r}")


def _hash(data: bytes = b"") -> Any:
    return hashlib.blake2b(data, digest_size=32)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
