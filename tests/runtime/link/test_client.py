import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from raw_learner import RawLearner

from framework.runtime.link import client as module
from framework.runtime.link import wire
from framework.runtime.link.client import Client, End, LearnerSilent, Rejected, Stopped


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[RawLearner]:
    learner = RawLearner(f"ipc://{tmp_path}/link")
    yield learner
    learner.close()


@pytest.fixture
def client(tmp_path: Path, learner: RawLearner) -> Iterator[Client]:
    """One whose learner has heard of it."""
    client = Client(f"ipc://{tmp_path}/link")
    client.send("alive")
    assert learner.receive().type == "alive"
    yield client
    client.close()


class Clock:
    """Time, as the client takes it; it passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


# Messages.


def test_messages_go_both_ways(client: Client, learner: RawLearner) -> None:
    """With their fields and arrays, in their order."""
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    client.send("trajectory", {"rewards": array}, shard=1, number=2, version=3, timing=[0.5, 1.0, 2.0])
    client.send("pull", version=4)
    trajectory, pull = learner.receive(), learner.receive()
    assert (trajectory["number"], trajectory["timing"]) == (2, [0.5, 1.0, 2.0])
    np.testing.assert_array_equal(trajectory.arrays["rewards"], array)
    assert (pull.type, pull["version"]) == ("pull", 4)
    learner.send("weights", {"weights": np.arange(9, dtype=np.uint8)}, version=7)
    learner.send("acknowledge", shard=1, number=2)
    weights, acknowledgement = client.wait(), client.wait()
    assert (weights["version"], weights.arrays["weights"].tolist()) == (7, list(range(9)))
    assert (acknowledgement.type, acknowledgement.fields) == ("acknowledge", {"shard": 1, "number": 2})


def test_what_was_sent_can_be_sent_again(client: Client, learner: RawLearner) -> None:
    """The same bytes, without encoding them anew."""
    frames = client.send("trajectory", {"rewards": np.ones(3)}, shard=0, number=0, version=0, timing=[0.0] * 3)
    first = learner.frames()
    client.send_again(frames)
    assert learner.frames() == first
    assert len(first) == 2


def test_weights_are_trusted_whatever_their_size(client: Client, learner: RawLearner) -> None:
    """There is no limit to what the learner may send, other than for samplers."""
    learner.send("weights", {"weights": np.zeros(2**20, np.uint8)}, version=0)
    assert client.wait().arrays["weights"].nbytes == 2**20


def test_silence_is_none(client: Client) -> None:
    """`Client.receive` waits as long as it is told to, and not at all for 0 seconds."""
    before = monotonic()
    assert client.receive(0) is None
    assert client.receive(0.05) is None
    assert monotonic() - before > 0.04


def test_garbage_from_the_learner_is_an_error(client: Client, learner: RawLearner) -> None:
    """It is no learner then."""
    learner._socket.send_multipart([*learner.way, b"\xc1"])
    with pytest.raises(wire.ProtocolError):
        client.wait()


# The learner's last words.


def test_the_learner_says_stop(client: Client, learner: RawLearner) -> None:
    """After what it sent before."""
    learner.send("alive")
    learner.send("stop")
    assert client.wait().type == "alive"
    with pytest.raises(Stopped):
        client.receive(5.0)


def test_the_learner_rejects_a_sampler(client: Client, learner: RawLearner) -> None:
    """With a reason."""
    learner.send("reject", reason="another version", status=78)
    with pytest.raises(Rejected, match=r"^another version$"):
        client.wait()


def test_the_end_is_no_error_of_an_environment() -> None:
    """Foreign code that catches every `Exception` does not catch it."""
    for end in (Stopped, Rejected, LearnerSilent):
        assert issubclass(end, End)
    assert not issubclass(End, Exception)


# Silence.


def test_a_learner_that_says_nothing_is_taken_for_gone(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `SILENCE` seconds, and not at once; who waits for it looks at the clock every `IDLE` seconds."""
    monkeypatch.setattr(module, "IDLE", 0.001)
    client.was_busy()
    clock.now += module.SILENCE
    client.check_silence()
    clock.now += 0.1
    with pytest.raises(LearnerSilent):
        client.check_silence()
    with pytest.raises(LearnerSilent):
        client.wait()


def test_every_word_of_the_learner_counts(client: Client, learner: RawLearner, clock: Clock) -> None:
    """Whatever it is, silence begins anew."""
    client.was_busy()
    for _ in range(3):
        clock.now += module.SILENCE - 1
        learner.send("alive")
        client.wait()
        client.check_silence()
    clock.now += module.SILENCE + 1
    with pytest.raises(LearnerSilent):
        client.check_silence()


def test_who_was_busy_did_not_listen(client: Client, clock: Clock) -> None:
    """The time that was spent with other things is no silence of the learner's."""
    client.was_busy()
    clock.now += 10 * module.SILENCE
    client.was_busy()
    client.check_silence()
    assert not client.idle


def test_idle_is_who_heard_nothing_for_a_while(client: Client, learner: RawLearner, clock: Clock) -> None:
    """For `IDLE` seconds; any word ends it."""
    client.was_busy()
    assert not client.idle
    clock.now += module.IDLE
    assert client.idle
    learner.send("alive")
    client.wait()
    assert not client.idle


def test_a_ping_is_no_work(client: Client, learner: RawLearner, clock: Clock) -> None:
    """It tells that the learner is there, and is no message: a sampler that hears nothing else is idle."""
    client.was_busy()
    for _ in range(5):
        clock.now += module.SILENCE - 1
        learner.send("ping")
        assert client.receive(5.0) is None
        client.check_silence()
    assert client.idle


def test_pings_hold_nothing_up(client: Client, learner: RawLearner) -> None:
    """However many have come while nobody listened, the message behind them is the next."""
    for _ in range(20):
        learner.send("ping")
    learner.send("acknowledge", shard=0, number=1)
    sleep(0.2)
    message = client.receive(0)
    assert message is not None
    assert message["number"] == 1


def test_a_learner_may_be_late(tmp_path: Path) -> None:
    """What was sent before it listened reaches it once it does."""
    early = Client(f"ipc://{tmp_path}/late")
    early.send("pull", version=3)
    late = RawLearner(f"ipc://{tmp_path}/late")
    assert late.receive()["version"] == 3
    early.close()
    late.close()


# Closing.


def test_last_words_have_time_to_leave(tmp_path: Path) -> None:
    """With a linger, what was sent arrives at a learner that hears it only then; closing twice does no harm."""
    dying = Client(f"ipc://{tmp_path}/late")
    dying.send("failed", message="KeyError", traceback="x" * 50_000)
    closing = threading.Thread(target=dying.close, args=(60.0,))
    closing.start()
    late = RawLearner(f"ipc://{tmp_path}/late")
    assert late.receive()["message"] == "KeyError"
    closing.join()
    dying.close()
    late.close()


def test_closing_waits_for_nobody(tmp_path: Path) -> None:
    """Where no learner ever listened, what was sent is dropped."""
    alone = Client(f"ipc://{tmp_path}/nobody")
    alone.send("alive")
    closing = threading.Thread(target=alone.close)
    closing.start()
    closing.join(timeout=20)
    assert not closing.is_alive()
