from typing import Any
from unittest.mock import Mock

import gymnasium
import numpy as np
import pytest
import tiny
from gymnasium.wrappers import OrderEnforcing, TimeLimit
from snapshotting import Remembered

from framework.errors import EnvironmentFailed, RunError
from framework.runtime.data.episode_snapshot import GIVEN_LIMIT
from framework.runtime.disk import trust
from framework.runtime.rollout.snapshots import Snapshots, find_snapshots
from framework.runtime.rollout.stepped_vector import SteppedVector


class Giving(Remembered):
    """Its snapshots are whatever is wanted."""

    def __init__(self, given: Any = b"", error: Exception | None = None):
        super().__init__()
        self.given, self.error = given, error

    def save_snapshot(self) -> bytes:
        if self.error is not None:
            raise self.error
        given: bytes = self.given
        return given

    def load_snapshot(self, snapshot: bytes) -> Any:
        if self.error is not None:
            raise self.error
        return self.given, {}


def started(*environments: gymnasium.Env[Any, Any]) -> SteppedVector:
    """A vector whose environments have all been reset."""
    vector = SteppedVector(environments)
    vector.reset(np.arange(vector.count), list(range(vector.count)), [None] * vector.count)
    return vector


def snapshots_of(vector: SteppedVector) -> Snapshots:
    assert vector.snapshots is not None
    return vector.snapshots


def test_an_environment_goes_where_another_was_saved() -> None:
    """Its row of the vector shows it, the others stay as they are, and so does the one that was saved."""
    vector, heir = started(Remembered(), Remembered()), started(Remembered(), Remembered())
    vector.step(np.array([1, 1]))
    heir.step(np.array([0, 1]))
    before = heir.observations["observation"].copy()
    data = snapshots_of(vector).save(1)
    assert vector.observations["observation"][1].tolist() == tiny.shown(1, None, [1]).tolist()
    snapshots_of(heir).load(0, data)
    assert heir.observations["observation"].tolist() == [tiny.shown(1, None, [1]).tolist(), before[1].tolist()]


def test_only_the_outermost_layer_counts() -> None:
    """A wrapper has state that the snapshot beneath would not hold, but for the one that Gymnasium adds to all."""
    for environments, offered in (
        ([Remembered()], True),
        ([OrderEnforcing(Remembered())], True),
        ([TimeLimit(Remembered(), 9)], False),
        ([OrderEnforcing(TimeLimit(Remembered(), 9))], False),
        ([tiny.Hashed()], False),
        ([Remembered(), tiny.Hashed()], False),
    ):
        assert (find_snapshots(environments, lambda *shown: None) is not None) == offered


def test_a_snapshot_that_is_refused_changes_nothing() -> None:
    """The environment stays where its reset has put it."""
    vector = started(Giving(error=ValueError("of another version")))
    before = vector.observations["observation"].copy()
    snapshots_of(vector).load(0, trust.seal(b""))
    np.testing.assert_array_equal(vector.observations["observation"], before)


def test_an_environment_never_sees_what_another_account_has_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what was changed since: it may not be able to bear it. Both stay where the reset has put them."""
    vector = started(Remembered())
    data = snapshots_of(vector).save(0)
    monkeypatch.setattr(Remembered, "load_snapshot", lambda *arguments: pytest.fail("loaded"))
    snapshots_of(vector).load(0, data[:-1] + bytes([data[-1] ^ 1]))
    monkeypatch.setattr(trust, "_key", lambda: bytes(32))
    snapshots_of(vector).load(0, data)


def test_without_a_key_there_are_no_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nobody could tell whose they are."""
    monkeypatch.setattr(trust, "_key", lambda: None)
    assert started(Remembered()).snapshots is None


@pytest.mark.parametrize("given", ["text", np.zeros(3), bytes(GIVEN_LIMIT + 1)], ids=["text", "array", "long"])
def test_snapshots_must_be_bytes_and_not_too_many(given: Any) -> None:
    """Anything else ends the run, and the environment is named."""
    with pytest.raises(RunError, match="environment 1 gave a snapshot of"):
        snapshots_of(started(Remembered(), Giving(given))).save(1)


@pytest.mark.parametrize("call", ["save", "load"])
def test_exceptions_name_the_environment(call: str) -> None:
    """And the method that raised."""
    snapshots = snapshots_of(started(Giving(error=KeyError("the cause"))))
    arguments = (0,) if call == "save" else (0, trust.seal(b""))
    with pytest.raises(EnvironmentFailed, match=f"environment 0 failed in {call}_snapshot: .*the cause"):
        getattr(snapshots, call)(*arguments)


@pytest.mark.parametrize("given", [np.zeros(3, np.float32), "text"])
def test_what_is_shown_then_must_fit_the_space(given: Any) -> None:
    """As after a reset."""
    with pytest.raises(RunError, match="environment 0"):
        snapshots_of(started(Giving(given))).load(0, trust.seal(b""))


def test_an_environment_made_in_place_of_one_that_raised_gives_its_own() -> None:
    """Not those of the one that was closed."""
    broken, other = Giving(), Remembered()
    vector = SteppedVector([broken], make=lambda: other)
    vector.reset(np.arange(1), [0], [None])
    broken.step = Mock(side_effect=ValueError)  # type: ignore[method-assign]
    vector._steps[0] = broken.step
    vector.step(np.zeros(1, np.int64))
    vector.reset(np.arange(1), [1], [None])
    assert trust.unseal(snapshots_of(vector).save(0)) == other.save_snapshot()
