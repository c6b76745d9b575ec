"""Messages as frames: a msgpack header with a closed schema, then the arrays.

Arrays of less than `JOINED` bytes come in one frame, one after the other, each from a multiple of eight bytes on; every
other has a frame of its own, in which nothing was copied. Nothing that arrives is evaluated, unpickled or trusted: a
header has at most `HEADER_LIMIT` bytes and exactly the fields of its type; an array has a dtype from `DTYPES` and
exactly the bytes that its shape needs, and at most the bytes that the receiver is ready to take. Whatever breaks a rule
raises `ProtocolError` and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import numpy as np
from attrs import frozen

from framework.errors import FrameworkError

PROTOCOL = 6
HEADER_LIMIT = 64 * 1024
ARRAY_LIMIT = 256  #: arrays in one message
JOINED = 64 * 1024  #: bytes from which on an array has a frame of its own: a frame takes longer than to copy less
_ALIGNMENT = 8
ITEM_LIMIT = 4096  #: entries of one list or map of a header: bounds what nested claims of large ones can allocate
DIMENSION_LIMIT = 8
WAY_LIMIT = 2  #: stages of the way between a sampler and the learner
_ROUTING_ID_LIMIT = 255  # bytes; ZeroMQ's own
DTYPES = {"bool", "float16", "float32", "float64"} | {f"{kind}{2**n}" for kind in ("int", "uint") for n in range(3, 7)}

_DTYPES = {name: np.dtype(name) for name in DTYPES}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}  # numpy takes microseconds to tell a name
#: Fields of each message and their types; every message has ``type``, and ``arrays`` where frames follow.
SCHEMAS: dict[str, dict[str, type | tuple[type, ...]]] = {
    # sampler -> learner
    "hello": {
        "protocol": int,
        "framework": str,
        "run": str,
        "session": str,
        "sampler": str,
        "incarnation": int,
        "process": int,
        "versions": dict,
    },
    "ready": {"specification": str, "components": dict},
    "trajectory": {"shard": int, "number": int, "version": int, "timing": list},
    "pull": {"version": int},
    "alive": {},
    "not_replayable": {"shard": int},
    "failed": {"message": str, "traceback": str},
    # host -> learner
    "enter": {
        "protocol": int,
        "framework": str,
        "run": str,
        "session": str,
        "host": str,
        "samplers": int,
        "process": int,
    },
    "departed": {"session": str, "status": int},
    "have": {"version": int},
    "leave": {},
    "inspect": {"protocol": int, "framework": str, "run": str},
    # learner -> host
    "entered": {"name": str, "known": bool, "kept_versions": int},
    "terms": {"versions": dict, "components": dict, "exact": bool, "bytes": int},
    # either way
    "echo": {"number": int},
    # learner -> sampler
    "who": {},
    "welcome": {"directory": str, "ready": bool},
    "reject": {"reason": str, "status": int},
    "weights": {"version": int},
    "directive": {"shard": int, "number": int, "version": int, "restore": bool},
    "withdraw": {"shard": int, "number": int},
    "acknowledge": {"shard": int, "number": int},
    "ping": {},
    "stop": {},
}
#: Bytes of the arrays of an `echo`.
ECHO_LIMIT = 2**20
#: What introduces whoever has not been heard of; its protocol is looked at before anything else.
INTRODUCTIONS = ("hello", "enter", "inspect")


class ProtocolError(FrameworkError):
    """A message that breaks the protocol; the peer that sent it is not to be trusted any further."""


@frozen
class Message:
    """One decoded message. Arrays are read-only views of the frames they came in."""

    type: str
    fields: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


# Surrogates stand for bytes that are not UTF-8, in names of files and in what quotes them.
_packer = msgpack.Packer(autoreset=True, unicode_errors="surrogatepass")


def encode(type: str, arrays: Mapping[str, np.ndarray] | None = None, **fields: Any) -> list[Any]:
    """The frames of one message. Arrays must stay unchanged until they have been sent.

    Raises `ProtocolError` where no receiver would take the message.
    """
    described: dict[str, Any] = {"type": type, **fields}
    frames: list[Any] = [b""]
    if arrays:
        for name, array in arrays.items():
            if array.dtype not in _NAMES:
                raise ProtocolError(f"array {name!r} has dtype {array.dtype.str}, which cannot be sent")
        described["arrays"] = [[name, _NAMES[array.dtype], list(array.shape)] for name, array in arrays.items()]
        joined = [array.tobytes() for array in arrays.values() if array.nbytes < JOINED]
        if joined:
            frames.append(b"".join(part + bytes(-len(part) % _ALIGNMENT) for part in joined))
        frames += [np.ascontiguousarray(array) for array in arrays.values() if array.nbytes >= JOINED]
    packed = _packer.pack(described)
    if len(packed) > HEADER_LIMIT:
        raise ProtocolError(
            f"the header of a {type} message has {len(packed)} bytes; at most {HEADER_LIMIT} are allowed"
        )
    frames[0] = packed
    return frames


def split(parts: Sequence[Any]) -> tuple[tuple[bytes, ...], Sequence[Any]]:
    """The way that a message has come, and its frames.

    As in ZeroMQ's own patterns, every ROUTER on the way has put the routing id of the connection in front, and an
    empty frame ends them: ``(learner's, )`` or, of a sampler behind a host, ``(learner's, host's)``.
    """
    for depth, part in enumerate(parts[: WAY_LIMIT + 1]):
        if not memoryview(part).nbytes:
            return tuple(bytes(stage) for stage in parts[:depth]), parts[depth + 1 :]
        if memoryview(part).nbytes > _ROUTING_ID_LIMIT:
            break
    raise ProtocolError("a message without an envelope")


def header(frames: Sequence[Any]) -> dict[str, Any]:
    """The header of a message of which nothing is checked but that its type is one of `SCHEMAS`."""
    if not frames:
        raise ProtocolError("a message without frames")
    fields = _unpack(frames[0])
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in SCHEMAS:
        raise ProtocolError(
            f"unknown message type {kind[:40]!r}" if isinstance(kind, str) else "a message without a type"
        )
    return fields


def decode(frames: Sequence[Any], *, limit: int, fields: dict[str, Any] | None = None) -> Message:
    """Frames (bytes or buffers) to a message whose arrays have at most ``limit`` bytes altogether.

    ``fields`` are what `header` gave of these frames, where it was called before; they are used up.
    """
    fields = header(frames) if fields is None else fields
    kind = fields.pop("type")
    schema = SCHEMAS[kind]
    described = fields.pop("arrays", [])
    if fields.keys() != schema.keys():
        raise ProtocolError(f"a {kind} message must have the fields {sorted(schema)}")
    for name, expected in schema.items():
        value = fields[name]
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise ProtocolError(f"field {name!r} of a {kind} message has the wrong type")
        if isinstance(value, list) and not all(isinstance(item, float) and math.isfinite(item) for item in value):
            raise ProtocolError(f"field {name!r} of a {kind} message holds something else than finite numbers")
        if isinstance(value, dict) and not all(isinstance(item, str) for pair in value.items() for item in pair):
            raise ProtocolError(f"field {name!r} of a {kind} message holds something else than text")
    return Message(kind, fields, _arrays(described, frames[1:], limit))


def _unpack(frame: Any) -> dict[str, Any]:
    size = memoryview(frame).nbytes
    if size > HEADER_LIMIT:
        raise ProtocolError(f"a header of {size} bytes; at most {HEADER_LIMIT} are allowed")
    try:
        fields = msgpack.unpackb(
            frame,
            max_ext_len=0,
            max_array_len=ITEM_LIMIT,
            max_map_len=ITEM_LIMIT,
            strict_map_key=True,
            raw=False,
            unicode_errors="surrogatepass",
            object_pairs_hook=_unique,
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a header that is not msgpack: {str(error)[:100]}") from None
    if not isinstance(fields, dict):
        raise ProtocolError("a header that is not a map")
    return fields


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate keys")
    return result


def _arrays(described: Any, frames: Sequence[Any], limit: int) -> dict[str, np.ndarray]:
    if not isinstance(described, list) or len(described) > ARRAY_LIMIT:
        raise ProtocolError(f"arrays must be described by a list of at most {ARRAY_LIMIT}")
    entries = [_described(entry) for entry in described]
    sizes = [math.prod(shape) * dtype.itemsize for _, dtype, shape in entries]
    if sum(sizes) > limit:
        raise ProtocolError(f"arrays of {sum(sizes)} bytes are larger than what was agreed")
    small = [size + -size % _ALIGNMENT for size in sizes if size < JOINED]
    expected = [sum(small)] * bool(small) + [size for size in sizes if size >= JOINED]
    if [memoryview(frame).nbytes for frame in frames] != expected:
        raise ProtocolError(f"{len(frames)} frames do not fit the arrays that the header describes")
    rest = iter(frames)
    joined, offset = next(rest) if small else b"", 0
    arrays: dict[str, np.ndarray] = {}
    for (name, dtype, shape), size in zip(entries, sizes, strict=True):
        if name in arrays:
            raise ProtocolError(f"array {name[:40]!r} comes twice")
        if size >= JOINED:
            array = np.ndarray(shape, dtype, next(rest))
        else:
            array = np.ndarray(shape, dtype, joined, offset)
            offset += size + -size % _ALIGNMENT
        if dtype.kind == "b" and size and array.view(np.uint8).max() > 1:
            raise ProtocolError(f"array {name[:40]!r} has truth values that are neither 0 nor 1")
        arrays[name] = array
    return arrays


def _described(entry: Any) -> tuple[str, np.dtype[Any], list[int]]:
    if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str)):
        raise ProtocolError("an array must be described by name, dtype and shape")
    name, dtype, shape = entry
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ProtocolError(f"array {name[:40]!r} has an unknown dtype")
    if (
        not isinstance(shape, list)
        or len(shape) > DIMENSION_LIMIT
        or not all(type(size) is int and size >= 0 for size in shape)
        or math.prod(size or 1 for size in shape) >= 2**48  # numpy's own limit, which counts so too
    ):
        raise ProtocolError(f"array {name[:40]!r} has an impossible shape")
    return name, _DTYPES[dtype], shape
