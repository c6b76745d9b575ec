"""What wandb has written offline: a log of LevelDB's format, of records that wandb's own protobuf messages read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HEADER, _BLOCK = 7, 1 << 15  # bytes
_FULL, _LAST = 1, 4


def records(file: Path) -> Iterator[Any]:
    """The messages ``wandb_internal.Record`` of a ``.wandb`` file."""
    from wandb.proto import wandb_internal_pb2

    data, place, parts = file.read_bytes(), _HEADER, b""
    while place < len(data):
        if _BLOCK - place % _BLOCK < _HEADER:  # no header fits into the rest of the block
            place += _BLOCK - place % _BLOCK
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + _HEADER : place + _HEADER + length]
        place += _HEADER + length
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def offline_runs(folder: Path) -> list[Path]:
    """The files of the runs in a folder, the oldest first."""
    return sorted((folder / "wandb").glob("offline-run-*/*.wandb"))


def history(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a file: step and values; media are tables."""
    rows = []
    for record in records(file):
        if record.HasField("history"):
            values: dict[str, Any] = {}
            for item in record.history.item:
                name, *nested = item.nested_key or [item.key]
                value = json.loads(item.value_json)
                if nested:
                    values.setdefault(name, {})[nested[0]] = value
                elif not name.startswith("_"):
                    values[name] = value
            rows.append((record.history.step.num, values))
    return rows


def configuration(file: Path) -> dict[str, Any]:
    """What was set in the run's config."""
    updates = [update for record in records(file) for update in record.config.update]
    return {update.key: json.loads(update.value_json) for update in updates if update.key}
