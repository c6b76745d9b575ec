"""TensorBoard's event files, as far as scalars need them.

A file is a sequence of TFRecord frames: length, checksum of the length, data, checksum of the data. The data is a
protobuf message ``Event`` (tensorflow/core/util/event.proto). Written here by hand because tensorboard's own writer
costs every run 0.1 s of imports, and its checksums in Python several times what the rest of a record does.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import Any

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK = 0xA282EAD8
_LARGEST = (2 - 2**-23) * 2.0**127  # of float32

#: What every file starts with.
VERSION = b"\x1a\x0dbrain.Event:2"
#: Tells readers to forget what earlier files have from this step on: the run was resumed before it.
RESTART = b"\x3a\x02\x08\x01"


def record(wall_time: float, step: int, content: bytes) -> bytes:
    """A frame with one event. ``wall_time`` in seconds since 1970; ``content`` is what follows time and step."""
    event = struct.pack("<Bd", 0x09, wall_time) + b"\x10" + _varint(step) + content
    header = struct.pack("<Q", len(event))
    return b"".join((header, struct.pack("<I", checksum(header)), event, struct.pack("<I", checksum(event))))


def scalars(values: Mapping[str, float]) -> bytes:
    """The content of an event with these scalars, by tag; they are stored as float32."""
    summary = b"".join(_value(tag, value) for tag, value in values.items())
    return b"\x2a" + _varint(len(summary)) + summary


def checksum(data: bytes) -> int:
    """The masked CRC-32C of TFRecord, two bytes at a time."""
    table, crc = _table(), 0xFFFFFFFF
    for word in struct.unpack_from(f"<{len(data) // 2}H", data):
        crc = table[(crc ^ word) & 0xFFFF] ^ (crc >> 16)
    if len(data) % 2:
        # The last byte alone: eight turns instead of sixteen are those of a word whose lower byte is zero.
        crc = table[((crc ^ data[-1]) & 0xFF) << 8] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


@functools.cache
def _table() -> list[int]:
    import numpy as np

    crc: np.ndarray[Any, Any] = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(16):
        crc = (crc >> 1) ^ np.where(crc & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
    entries: list[int] = crc.tolist()
    return entries


def _value(tag: str, value: float) -> bytes:
    name = _tag(tag)
    number = struct.pack("<Bf", 0x15, max(-_LARGEST, min(_LARGEST, value)))
    return b"\x0a" + _varint(len(name) + len(number)) + name + number


@functools.cache
def _tag(tag: str) -> bytes:
    text = tag.encode()
    return b"\x0a" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
