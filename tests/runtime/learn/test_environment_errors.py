from itertools import pairwise
from typing import Any

import pytest
import trajectories
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import EnvironmentFailed
from framework.runtime.data.failures import TOLD, Failure, Failures, encode_failures
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.disk.checkpoint import load, save
from framework.runtime.learn.environment_errors import WINDOW, EnvironmentErrors

fuzz = settings(derandomize=True, deadline=None, max_examples=60, database=None)


def trajectory(count: int, reason: str = "OSError: gone") -> Trajectory:
    """One that tells of so many failures."""
    told = [Failure(3, number, "step", reason, "Traceback") for number in range(min(count, TOLD))]
    example = trajectories.make()
    failures = encode_failures(Failures(count, tuple(told)))
    return evolve(example, arrays=example.arrays | {"failures": failures})


def ended(*outcomes: bool) -> list[dict[str, Any]]:
    """Episodes that ended, by whether they failed."""
    return [{"return": 1.0} | ({"error": True} if failed else {}) for failed in outcomes]


def add(errors: EnvironmentErrors, *outcomes: bool, resets: int = 0) -> list[dict[str, Any]]:
    return errors.add([trajectory(sum(outcomes) + resets)], ended(*outcomes))


def stops(errors: EnvironmentErrors, share: float) -> bool:
    """Whether the run would end, asked of a copy."""
    copy = EnvironmentErrors()
    copy.load_state_dict(errors.state_dict())
    try:
        copy.check(share)
    except EnvironmentFailed:
        return True
    return False


@fuzz
@given(
    updates=st.lists(st.tuples(st.lists(st.booleans(), max_size=60), st.integers(0, 3)), max_size=12),
    percent=st.integers(1, 100),
)
def test_the_run_ends_where_too_many_of_the_last_episodes_failed(
    updates: list[tuple[list[bool], int]], percent: int
) -> None:
    """Against a plain list: those that failed in reset come after the episodes that ended in the same update."""
    errors, outcomes = EnvironmentErrors(), list[bool]()
    for failed, resets in updates:
        add(errors, *failed, resets=resets)
        outcomes += [*failed, *[True] * resets]
        assert errors.count == sum(outcomes)
        assert stops(errors, percent / 100) == (100 * sum(outcomes[-WINDOW:]) > percent * WINDOW)


def test_the_first_episodes_alone_end_nothing() -> None:
    """By default it takes eleven, however few have ended; and those are forgiven that lie far enough behind."""
    errors = EnvironmentErrors()
    add(errors, *[True] * 10)
    errors.check(0.05)
    assert stops(errors, 0.01)
    add(errors, *[False] * (WINDOW - 1))
    add(errors, *[True] * 9)
    errors.check(0.05)
    add(errors, True)
    errors.check(0.05)
    add(errors, True)
    with pytest.raises(EnvironmentFailed, match="in 11 of the last 200 episodes") as caught:
        errors.check(0.05)
    text = str(caught.value)
    assert "runtime.environment_error_share = 0.05 allows 10 in 200" in text
    assert text.endswith("the last one: environment 3 failed in step: OSError: gone")


def test_with_a_share_of_1_nothing_is_too_much() -> None:
    """Whoever says so gets as many as there are."""
    errors = EnvironmentErrors()
    add(errors, *[True] * (3 * WINDOW))
    errors.check(1.0)


def test_a_run_that_goes_on_after_that_begins_anew() -> None:
    """Something was mended; the episodes that failed before say nothing of what is there now."""
    errors = EnvironmentErrors()
    add(errors, *[True] * 11)
    with pytest.raises(EnvironmentFailed):
        errors.check(0.05)
    errors.check(0.05)
    add(errors, *[True] * 10)
    errors.check(0.05)
    assert errors.count == 21


@pytest.mark.parametrize("at_once", [1, 3, 500])
def test_few_are_told(at_once: int) -> None:
    """The first, and then one whenever there are twice as many as when one was told last."""
    errors, told = EnvironmentErrors(), []
    for _ in range(1500 // at_once):
        told += [event["failures"] for event in add(errors, *[True] * at_once)]
    assert errors.count == 1500
    assert told[:3] == [1, 2, 4]
    assert len(told) <= 11
    assert all(later >= 2 * earlier for earlier, later in pairwise(told))


def test_what_is_told_is_what_was_raised() -> None:
    """As the trajectory has it, with the number of failures so far."""
    (event,) = add(EnvironmentErrors(), True)
    assert event == {
        "environment": 3, "episode": 0, "call": "step", "reason": "OSError: gone", "traceback": "Traceback",
        "failures": 1,
    }  # fmt: skip


def test_without_failures_there_is_nothing_to_tell() -> None:
    """As where environments that raise end the run."""
    errors = EnvironmentErrors()
    assert errors.add([trajectories.make()], ended(False, False)) == []
    assert errors.count == 0


def test_all_of_it_survives_a_checkpoint(tmp_path: Any) -> None:
    """Count, window, and who was told: what comes after is the same; what was there before is forgotten."""
    errors, restored = EnvironmentErrors(), EnvironmentErrors()
    errors.add([trajectory(5, "OSError: \udcff")], ended(*[True] * 5, *[False] * 3))
    add(restored, *[True] * 8)
    restored.load_state_dict(load(save(tmp_path, "update-1", errors.state_dict())))
    assert restored.state_dict() == errors.state_dict()
    assert add(restored, *[True] * 6) == add(errors, *[True] * 6)
    for either in (restored, errors):
        with pytest.raises(EnvironmentFailed, match=r"in 11 of the last 14 episodes.*OSError: gone$"):
            either.check(0.05)
