import math

from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from framework_tensorboard import events


def decoded(record: bytes) -> Event:
    length = int.from_bytes(record[:8], "little")
    assert len(record) == 8 + 4 + length + 4
    return Event.FromString(record[12:-4])


def test_checksum_of_the_standard():
    """The checksum of "123456789" is CRC-32C's check value e3069283, masked."""
    assert events.checksum(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF


@given(st.binary(max_size=300))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_checksum_is_tensorboards(data):
    """The checksum equals tensorboard's for any data, of even and odd length."""
    assert events.checksum(data) == masked_crc32c(data)


@given(
    st.floats(0, 4e9),
    st.integers(0, 2**62),
    st.dictionaries(st.text(max_size=200), st.floats(width=32, allow_nan=False), max_size=8),
)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_scalars_are_read_back_by_protobuf(wall_time, step, values):
    """Time, step, tags and finite values come back from tensorboard's own protobuf classes as they were."""
    event = decoded(events.record(wall_time, step, events.scalars(values)))
    expected = {tag: value for tag, value in values.items() if math.isfinite(value)}
    simple_values = {value.tag: value.simple_value for value in event.summary.value if value.tag in expected}
    assert (event.wall_time, event.step) == (wall_time, step)
    assert [value.tag for value in event.summary.value] == list(values)
    assert simple_values == expected


def test_values_beyond_float32_are_the_largest():
    """A value that float32 cannot hold becomes the largest that it can, of the same sign."""
    event = decoded(events.record(0.0, 0, events.scalars({"up": 1e300, "down": -math.inf})))
    largest = (2 - 2**-23) * 2.0**127
    assert [value.simple_value for value in event.summary.value] == [largest, -largest]


def test_version_and_restart():
    """The two fixed contents are the file version and a session that starts anew."""
    assert decoded(events.record(1.0, 0, events.VERSION)).file_version == "brain.Event:2"
    assert decoded(events.record(1.0, 7, events.RESTART)).session_log.status == SessionLog.START
