import math
import struct
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framework.runtime.link.wire import (
    ARRAY_LIMIT,
    DTYPES,
    HEADER_LIMIT,
    JOINED,
    SCHEMAS,
    Message,
    ProtocolError,
    decode,
    encode,
)

#: Bytes of objects that one hostile header may cost: it may claim 1024 nested lists of 4096 entries each.
MEMORY_BOUND = 40_000_000
LIMIT = 1 << 20

fuzz = settings(
    derandomize=True, deadline=None, max_examples=300, database=None, suppress_health_check=[HealthCheck.too_slow]
)

#: A right value for every type of field.
VALUES: dict[type, Any] = {int: 7, str: "x", bool: True, list: [], dict: {"torch": "2.0"}}
LISTS: dict[str, Any] = {"timing": [0.5, 1.5, 2.0], "environments": [0, 7]}


def wired(frames: list[Any]) -> list[bytes]:
    """Frames as they arrive: nothing but bytes."""
    return [bytes(frame) for frame in frames]


def header(*arrays: Any, **fields: Any) -> bytes:
    """The packed header of a message, right or wrong."""
    return msgpack.packb({"type": "stop", "arrays": list(arrays), **fields})


def test_every_message_survives() -> None:
    """Each message type arrives with the fields it was sent with, and without arrays when it had none."""
    for kind, schema in SCHEMAS.items():
        fields = {name: LISTS.get(name, VALUES[expected]) for name, expected in schema.items()}
        message = decode(encode(kind, **fields), limit=0)
        assert (message.type, dict(message.fields), dict(message.arrays)) == (kind, fields, {})
        assert all(message[name] == value for name, value in fields.items())


@fuzz
@given(data=st.data())
def test_arrays_survive(data: st.DataObject) -> None:
    """Arrays of every dtype and shape, empty and scalar ones too, arrive bit for bit, in their order."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    arrays = {}
    for number in range(data.draw(st.integers(1, 4))):
        dtype = np.dtype(data.draw(st.sampled_from(sorted(DTYPES))))
        shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
        raw = rng.integers(0, 2 if dtype.kind == "b" else 256, math.prod(shape) * dtype.itemsize, np.uint8)
        arrays[f"group/{number}"] = raw.view(dtype).reshape(shape)
    message = decode(wired(encode("weights", arrays, version=1)), limit=LIMIT)
    assert list(message.arrays) == list(arrays)
    for name, array in arrays.items():
        arrived = message.arrays[name]
        assert (arrived.dtype, arrived.shape, arrived.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_order_of_memory_does_not_matter() -> None:
    """An array that is not C-contiguous arrives with the values that it had, and not with its memory's order."""
    array = np.arange(6.0).reshape(2, 3)
    for odd in (array.T, array[:, ::2], array[::-1]):
        arrived = decode(wired(encode("weights", {"a": odd}, version=1)), limit=LIMIT).arrays["a"]
        np.testing.assert_array_equal(arrived, odd)


def test_zero_copy() -> None:
    """Large arrays are sent from the memory that they lie in, all are read so; what came cannot be written to."""
    arrays = {"a": np.zeros(JOINED // 8), "b": np.arange(12, dtype=np.float32).reshape(3, 4)}
    frames = encode("weights", arrays, version=1)
    assert np.shares_memory(frames[2], arrays["a"])
    frames = wired(frames)
    for name, frame in zip("ba", frames[1:], strict=True):
        arrived = decode(frames, limit=LIMIT).arrays[name]
        assert np.shares_memory(arrived, np.frombuffer(frame, np.uint8))
        assert not arrived.flags.writeable


@pytest.mark.parametrize("sizes", [(), (0,), (3, 5), (JOINED,), (JOINED - 1, 2, JOINED, 1, JOINED + 3)])
def test_small_arrays_share_a_frame(sizes: tuple[int, ...]) -> None:
    """Each begins at a multiple of eight bytes; large ones have frames of their own."""
    arrays = {str(size): np.full(size, 7, np.uint8) for size in sizes}
    frames = wired(encode("weights", arrays, version=1))
    small = [size for size in sizes if size < JOINED]
    assert len(frames) == 1 + bool(small) + len(sizes) - len(small)
    arrived = decode(frames, limit=LIMIT).arrays
    assert all(np.array_equal(arrived[name], array) for name, array in arrays.items())
    starts = [arrived[str(size)].ctypes.data - np.frombuffer(frames[1], np.uint8).ctypes.data for size in small if size]
    assert all(start % 8 == 0 for start in starts)


def test_encoder_keeps_to_the_protocol() -> None:
    """A message that no receiver would take is not made: a header above the limit, an array of another dtype."""
    with pytest.raises(ProtocolError, match="header of a failed message"):
        encode("failed", message="m", traceback="x" * HEADER_LIMIT)
    with pytest.raises(ProtocolError, match="dtype"):
        encode("weights", {"a": np.array([object()])}, version=1)
    with pytest.raises(ProtocolError, match="dtype"):
        encode("weights", {"a": np.zeros(2, ">f4")}, version=1)


def refused(frames: list[Any], match: str | None = None, limit: int = LIMIT) -> None:
    """The frames raise `ProtocolError`."""
    with pytest.raises(ProtocolError, match=match):
        decode(frames, limit=limit)


def test_frames_without_a_message_are_refused() -> None:
    """No frames, no header, a header that is no map or no msgpack."""
    refused([], "without frames")
    refused([b""], "not msgpack")
    refused([msgpack.packb([1, 2])], "not a map")
    refused([b"\xc1"], "not msgpack")
    refused([msgpack.packb({"type": "stop"}) + b"\x00"], "not msgpack")


def test_types_and_fields_are_closed() -> None:
    """Unknown types, missing, unknown and ill-typed fields: true is no integer, 1.0 neither, bytes are no text."""
    refused([msgpack.packb({"type": "exec"})], "unknown message type")
    refused([msgpack.packb({"type": 1})], "without a type")
    refused([msgpack.packb({})], "without a type")
    refused([msgpack.packb({b"type": b"stop"})], "without a type")
    refused([msgpack.packb({"type": "pull"})], "must have the fields")
    refused([msgpack.packb({"type": "pull", "version": 1, "more": 1})], "must have the fields")
    refused([msgpack.packb({"type": [["stop"]]})], "without a type")
    for version in (True, 1.0, "1", None, [1], b"1"):
        refused([msgpack.packb({"type": "pull", "version": version})], "wrong type")
    refused([msgpack.packb({"type": "reject", "reason": b"x", "status": 77})], "wrong type")
    directive = {"type": "directive", "shard": 0, "number": 0, "version": 0, "restore": 1}
    refused([msgpack.packb(directive)], "wrong type")


def test_odd_msgpack_is_refused() -> None:
    """Duplicate keys, at any depth; keys that are no text; extension types; text that is not UTF-8."""
    refused([b"\x82" + msgpack.packb("type") + msgpack.packb("stop") + msgpack.packb("type") + msgpack.packb("stop")])
    refused([b"\x81" + msgpack.packb("type") + b"\x82\xa1a\x01\xa1a\x01"], "duplicate")
    refused([b"\x82" + msgpack.packb("type") + msgpack.packb("stop") + b"\x01\x01"], "not msgpack")
    refused([msgpack.packb({"type": msgpack.ExtType(5, b"abc")})], "not msgpack")
    refused([msgpack.packb({"type": msgpack.Timestamp(1)})], "not msgpack")
    refused([b"\x81" + msgpack.packb("type") + b"\xa2\xff\xfe"], "not msgpack")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_are_finite(number: float) -> None:
    """NaN and infinity do not reach the learner's record."""
    fields = {"shard": 0, "number": 0, "version": 0, "timing": [0.0, number, 0.0]}
    refused([msgpack.packb({"type": "trajectory", **fields})], "finite")


@pytest.mark.parametrize("element", [True, "1", b"1", None, [1], {}, 1])
def test_lists_hold_numbers_of_one_type(element: Any) -> None:
    """What a list may hold is closed too: it ends up in the run's JSON."""
    fields = {"shard": 0, "number": 0, "version": 0, "timing": [0.0, element]}
    refused([msgpack.packb({"type": "trajectory", **fields})], "finite numbers")


def test_arrays_must_be_as_described() -> None:
    """Number of frames, dtype, shape and bytes must all agree; nothing is guessed, cut or padded."""
    good = ["a", "float32", [2, 3]]
    frame = bytes(24)
    assert decode([header(good), frame], limit=24).arrays["a"].shape == (2, 3)
    refused([header(good)], "frames do not fit")
    refused([header(good), frame, frame], "frames do not fit")
    refused([header(), frame], "frames do not fit")
    refused([msgpack.packb({"type": "stop", "arrays": {"a": 1}}), frame], "a list of at most")
    refused([header(good, good), frame + frame], "comes twice")
    refused([header(good), bytes(23)], "do not fit")
    refused([header(good), bytes(25)], "do not fit")
    refused([header(good), frame], "larger than what was agreed", limit=23)
    refused([header(good, ["b", "uint8", [1]]), frame, b"0"], "larger than what was agreed", limit=24)
    for dtype in ("object", "O", "V8", "U4", "datetime64", ">f4", "complex64", "", "nothing", 1, None):
        refused([header(["a", dtype, [2, 3]]), frame], "unknown dtype")
    for shape in (6, None, "23", [-2, -3], [2.0, 3], [True, 6], [None], [2**48], [1] * 9, [[2], 3], {"0": 6}):
        refused([header(["a", "float32", shape]), frame], "impossible shape")
    for description in (["a", "float32"], [1, "float32", [6]], "abc", None, ["a", "float32", [6], 0]):
        refused([header(description), frame], "name, dtype and shape")
    descriptions = [[str(number), "uint8", [0]] for number in range(ARRAY_LIMIT + 1)]
    refused([header(*descriptions), b""], "a list of at most")


def test_overflowing_shapes_are_refused() -> None:
    """Shapes whose product overflows an integer, and those that are empty beside huge dimensions."""
    refused([header(["a", "float32", [2**32, 2**32]]), b""], "impossible shape")
    refused([header(["a", "float64", [2**64 - 1] * 8]), b""], "impossible shape")
    refused([header(["a", "float64", [2**45]]), b""], "larger than")
    refused([header(["a", "uint8", [0, 2**39, 2**39]]), b""], "impossible shape")


def test_truth_values_are_zero_or_one() -> None:
    """A bool of another byte is neither true nor false to compiled code, so it is refused."""
    refused([header(["a", "bool", [3]]), b"\x00\x01\x02" + bytes(5)], "truth")


@fuzz
@given(st.lists(st.binary(max_size=80), max_size=4))
def test_random_bytes_are_refused(frames: list[bytes]) -> None:
    """Random frames raise `ProtocolError` and nothing else."""
    refused(frames)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
messages = [
    encode(
        "trajectory",
        {"a": np.arange(6, dtype=np.int16), "b": np.ones((2, 1), bool)},
        shard=1,
        number=2,
        version=3,
        timing=[0.1, 0.2, 0.3],
    ),
    encode("hello", protocol=1, framework="0.1", run="r", sampler="s", incarnation=0, process=9),
    encode("welcome", {"pipeline": np.arange(9, dtype=np.uint8)}, directory="/x"),
    encode("directive", {"number": np.array([4])}, shard=0, number=4, version=4, restore=True),
]


def decoded_or_refused(frames: list[bytes]) -> None:
    """A whole message of a known type comes out, or `ProtocolError`."""
    try:
        message = decode(frames, limit=LIMIT)
    except ProtocolError:
        return
    assert isinstance(message, Message)
    assert message.fields.keys() == SCHEMAS[message.type].keys()
    assert all(array.dtype.name in DTYPES for array in message.arrays.values())
    size, padding = sum(array.nbytes for array in message.arrays.values()), 7 * len(message.arrays)
    assert size <= sum(len(frame) for frame in frames[1:]) <= size + padding


@fuzz
@given(data=st.data())
def test_mutated_messages_are_decoded_or_refused(data: st.DataObject) -> None:
    """Valid frames with bytes changed, cut out or put in, and frames dropped, doubled or swapped."""
    frames = wired(data.draw(st.sampled_from(messages)))
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(frames) - 1))
        frame = bytearray(frames[index])
        at = data.draw(st.integers(0, len(frame)))
        frame[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        frames[index] = bytes(frame)
    frames = data.draw(st.just(frames) | st.permutations(frames) | st.lists(st.sampled_from(frames), max_size=4))
    decoded_or_refused(list(frames))


@fuzz
@given(data=st.data())
def test_well_formed_nonsense_is_decoded_or_refused(data: st.DataObject) -> None:
    """Headers of valid msgpack with the fields of a real message and any values in them."""
    kind = data.draw(st.sampled_from(sorted(SCHEMAS)))
    description = st.tuples(
        st.text(max_size=3), st.sampled_from(sorted(DTYPES)), st.lists(st.integers(0, 2**41), max_size=9)
    )
    fields = {
        name: data.draw(st.just(LISTS.get(name, VALUES[expected])) | plain) for name, expected in SCHEMAS[kind].items()
    }
    arrays = data.draw(st.lists(description | plain, max_size=3) | plain)
    frames = data.draw(st.lists(st.binary(max_size=16), max_size=3))
    decoded_or_refused([msgpack.packb({"type": kind, "arrays": arrays, **fields}), *frames])


def start(key: str = "type") -> bytes:
    """A map of one entry, up to its value."""
    return b"\x81" + msgpack.packb(key)


def fill(head: bytes, byte: bytes) -> bytes:
    """As large a header as there may be."""
    return head + byte * (HEADER_LIMIT - len(head))


def claim(tag: bytes, size: int, levels: int = 1) -> bytes:
    """The heads of nested containers that claim to have ``size`` entries each."""
    return (tag + struct.pack(">I", size)) * levels


HOSTILE = {
    "empty maps": start() + claim(b"\xdd", HEADER_LIMIT - 12) + b"\x80" * (HEADER_LIMIT - 12),
    "empty lists": start() + claim(b"\xdd", HEADER_LIMIT - 12) + b"\x90" * (HEADER_LIMIT - 12),
    "small lists of empty maps": start() + claim(b"\xdd", 4096) + (b"\x9d" + b"\x80" * 13) * 4096,
    "empty maps among the fields": b"\x82"
    + msgpack.packb("type")
    + msgpack.packb("hello")
    + fill(b"\xa1a" + claim(b"\xdd", 65000), b"\x80"),
    "nested lists": fill(start(), b"\x91"),
    "nested maps": start() + b"\x81\xa1a" * 20_000 + b"\xc0",
    "nested lists, just not too deep": start() + b"\x91" * 1020 + b"\xc0",
    "nested lists of huge claims": fill(start() + claim(b"\xdd", 60_000, 1020), b"\xc0"),
    "nested lists of large claims": fill(start() + claim(b"\xdd", 4_096, 1020), b"\xc0"),
    "nested maps of large claims": fill(start() + claim(b"\xdf", 4_096, 1020), b"\xc0"),
    "a list of a claimed 4 billion": fill(start() + claim(b"\xdd", 2**32 - 1), b"\xc0"),
    "text of a claimed 4 gigabytes": fill(start() + claim(b"\xdb", 2**32 - 1), b"a"),
    "as long a type as can be": start() + b"\xda" + struct.pack(">H", 60_000) + b"a" * 60_000,
    "too long": msgpack.packb({"type": "reject", "reason": "x" * HEADER_LIMIT, "status": 77}),
    "too long by far": bytes(50_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_is_bounded(name: str) -> None:
    """A hostile header costs no more than `MEMORY_BOUND` bytes, and ends in `ProtocolError` with a short message."""
    frame = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as caught:
            decode([frame], limit=LIMIT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BOUND
    assert len(str(caught.value)) < 300


def test_headers_may_be_as_large_as_promised() -> None:
    """A real header just below the limit passes."""
    reason = "x" * (HEADER_LIMIT - 50)
    assert decode(encode("reject", reason=reason, status=77), limit=0)["reason"] == reason


@pytest.mark.parametrize("text", ["caf\udce9", "\ud800", "a\x00b", "\U0001f600", "\udcff" * 5000])
def test_any_text_arrives(text: str) -> None:
    """Names of files and texts of exceptions may hold bytes that are no UTF-8: they arrive as they are."""
    assert decode(encode("reject", reason=text, status=77), limit=0)["reason"] == text
