from typing import Any

import numpy as np

from framework.runtime.data.failures import LIMIT, TOLD, Failure, Failures, encode_failures
from framework.runtime.rollout.failure_log import FailureLog
from framework.runtime.rollout.vector import Raised

NUMBERS = np.array([4, 7])


def raised(call: str = "step", error: Any = None) -> Raised:
    """An exception with a traceback."""
    try:
        raise error or ValueError("gone\nfor ever")
    except Exception as caught:
        return Raised(call, caught)


def test_failures_have_the_names_of_the_run() -> None:
    """Environment, number of the episode, call, one line, and the traceback of the environment's own code."""
    log = FailureLog(range(10, 12))
    assert log.note({1: raised("reset")}, NUMBERS).tolist() == [1]
    (failure,) = log.take().told
    assert (failure.environment, failure.episode, failure.call) == (11, 7, "reset")
    assert failure.reason == "ValueError: gone"
    assert failure.traceback.startswith("Traceback")
    assert failure.traceback.endswith("for ever")


def test_an_episode_fails_once() -> None:
    """However often it is played again; the next episode of its environment is another."""
    log = FailureLog(range(2))
    for _ in range(3):
        log.note({0: raised()}, NUMBERS)
    log.note({0: raised(), 1: raised()}, np.array([5, 7]))
    failures = log.take()
    assert failures.count == 3
    assert [(failure.environment, failure.episode) for failure in failures.told] == [(0, 4), (0, 5), (1, 7)]


def test_what_was_taken_or_cleared_is_gone() -> None:
    """The next trajectory tells of its own failures."""
    log = FailureLog(range(2))
    for forget in (log.take, log.clear):
        log.note({0: raised()}, NUMBERS)
        forget()
        assert log.take() == Failures()


def test_many_and_long_failures_are_cut() -> None:
    """A few are told, each within bounds, and all of them fit into what a trajectory may have."""
    log = FailureLog(range(1))
    for number in range(100):
        log.note({0: raised(error=ValueError("\U0001f525" * 100_000))}, np.array([number]))
    failures = log.take()
    assert (failures.count, len(failures.told)) == (100, TOLD)
    assert encode_failures(failures).nbytes <= LIMIT
    assert encode_failures(Failures(8, (Failure(2**40, 2**40, "reset", "", ""),) * 8)).nbytes < LIMIT
