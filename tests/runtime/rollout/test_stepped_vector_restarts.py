"""Stepped environments that are made anew where they raise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from environments import SPACES, Scripted, all_of
from gymnasium.spaces import Discrete

from framework.errors import EnvironmentFailed, FrameworkError, PluginError, RunError
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.toolkit.spaces import flatten

NOTHING = np.zeros(2, np.int64)


class Fragile(Scripted):
    """Raises what ``in_step`` and ``in_reset`` hold, and again whenever it is closed."""

    in_step: BaseException | None = None
    in_reset: BaseException | None = None

    def reset(self, **kwargs: Any) -> Any:
        if self.in_reset is not None:
            raise self.in_reset
        return super().reset(**kwargs)

    def step(self, action: Any) -> Any:
        if self.in_step is not None:
            raise self.in_step
        return super().step(action)

    def close(self) -> None:
        super().close()
        raise OSError("cannot be closed")


class Pair:
    """Two environments that have been reset, and those that were made in their place."""

    def __init__(self, first: Fragile | None = None, make: Callable[[], Any] = Fragile, started: bool = True):
        self.environments = [first or Fragile(), Fragile()]
        self.made: list[Fragile] = []
        self.make: Any = make
        self.vector = SteppedVector(self.environments, self._make)
        if started:
            self.vector.reset(*all_of(2))

    def _make(self) -> Any:
        self.made.append(self.make())
        return self.made[-1]

    def reset(self, index: int, seed: int = 5) -> None:
        self.vector.reset(np.array([index]), [seed], [None])

    def raised(self) -> dict[int, tuple[str, str]]:
        return {index: (raised.call, repr(raised.error)) for index, raised in self.vector.failed.items()}


@pytest.mark.parametrize("observation", ["vector", "dict", "discrete"])
@pytest.mark.parametrize("error", [ValueError("gone"), SystemExit(3)], ids=["exception", "exit"])
def test_the_episode_of_one_that_raises_is_truncated(observation: str, error: BaseException) -> None:
    """Where it stood before, with no reward; the other environments are stepped as ever."""
    space = SPACES[observation]
    failing = Fragile(space)
    vector = SteppedVector([failing, Fragile(space)], lambda: Fragile(space))
    vector.reset(*all_of(2))
    vector.step(NOTHING)
    before = {name: array.copy() for name, array in vector.observations.items()}
    alone = Scripted(space)
    alone.reset(seed=101)
    alone.step(0)
    failing.in_step = error
    vector.step(NOTHING)
    following, reward, *_ = alone.step(0)
    for name, value in flatten(space, following).items():
        np.testing.assert_array_equal(vector.observations[name][0], before[name][0])
        np.testing.assert_array_equal(vector.observations[name][1], value)
    assert vector.rewards.tolist() == [0.0, np.float32(reward)]
    assert (vector.truncated.tolist(), vector.terminated.tolist()) == ([True, False], [False, False])
    assert vector.success[0] == -1
    assert vector.metrics[0] is None
    assert vector.failed[0] == ("step", error)


def test_its_next_reset_makes_it_anew() -> None:
    """The old one is closed, whatever it raises in that; nobody else is touched, and the new one is stepped."""
    pair = Pair()
    pair.environments[0].in_step = ValueError("gone")
    pair.vector.step(NOTHING)
    assert not pair.made
    pair.reset(0, seed=7)
    assert (len(pair.made), pair.raised()) == (1, {})
    assert [environment.closed for environment in pair.environments] == [True, False]
    alone = Scripted()
    np.testing.assert_array_equal(pair.vector.observations["observation"][0], alone.reset(seed=7)[0])
    pair.vector.step(NOTHING)
    np.testing.assert_array_equal(pair.vector.observations["observation"][0], alone.step(0)[0])
    assert not pair.vector.truncated.any()
    pair.vector.close()
    assert pair.made[0].closed


def test_one_that_raises_in_reset_has_to_be_reset_again() -> None:
    """The rest are reset; the next attempt, with a seed of its own, is with another environment."""
    pair = Pair(started=False)
    pair.environments[0].in_reset = OSError("no licence")
    pair.vector.reset(*all_of(2))
    assert pair.raised() == {0: ("reset", "OSError('no licence')")}
    np.testing.assert_array_equal(pair.vector.observations["observation"][1], Scripted().reset(seed=101)[0])
    pair.reset(0)
    assert (len(pair.made), pair.raised()) == (1, {})
    np.testing.assert_array_equal(pair.vector.observations["observation"][0], Scripted().reset(seed=5)[0])


def unlicensed() -> Fragile:
    environment = Fragile()
    environment.in_reset = OSError("no licence")
    return environment


def test_one_that_raises_in_two_resets_ends_the_run() -> None:
    """After a step that raised there are two attempts, as after any other; the error is the cause."""
    pair = Pair(make=unlicensed)
    pair.environments[0].in_step = ValueError("gone")
    pair.vector.step(NOTHING)
    pair.reset(0)
    assert pair.raised() == {0: ("reset", "OSError('no licence')")}
    with pytest.raises(EnvironmentFailed, match="environment 0 failed in reset: OSError: no licence") as caught:
        pair.reset(0)
    assert isinstance(caught.value.__cause__, OSError)


def test_one_that_recovers_may_raise_again() -> None:
    """Two resets in a row are too many, not two at all."""
    healthy = iter([False, True, False, True])
    pair = Pair(make=lambda: Fragile() if next(healthy) else unlicensed())
    for _ in range(2):
        pair.environments[0].in_step = ValueError("gone")
        pair.vector.step(NOTHING)
        pair.reset(0)
        assert pair.raised()[0][0] == "reset"
        pair.reset(0)
        assert pair.raised() == {}
        pair.environments[0] = pair.made[-1]


def test_an_environment_that_cannot_be_made_counts_as_one_that_cannot_be_reset() -> None:
    """What is gone for a moment only, such as a port, is there at the next attempt."""
    attempts = iter([PluginError("environment X cannot be made: OSError: port 80 is in use"), Fragile(), None])

    def make() -> Any:
        attempt = next(attempts)
        if isinstance(attempt, Exception):
            raise attempt
        return attempt

    pair = Pair(make=make)
    pair.environments[0].in_step = ValueError("gone")
    pair.vector.step(NOTHING)
    pair.reset(0)
    assert pair.raised()[0][0] == "reset"
    pair.reset(0)
    assert pair.raised() == {}


def test_another_kind_of_environment_is_no_replacement() -> None:
    """Its arrays would not fit."""
    pair = Pair(make=lambda: Fragile(action=Discrete(9)))
    pair.environments[0].in_step = ValueError("gone")
    pair.vector.step(NOTHING)
    with pytest.raises(RunError, match="environment 0 was made anew with other spaces"):
        pair.reset(0)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ((np.zeros(3, np.float32), "much", False, False, {}), "environment 0 gave the reward 'much'"),
        ((np.zeros(2, np.float32), 0.0, False, False, {}), "environment 0: observation"),
        ((np.zeros(3, np.float32), 0.0, True, False, None), "environment 0 gave info = None"),
        ((np.zeros(3, np.float32), 0.0, True, {}), "environment 0 failed in step: ValueError: not enough values"),
        (7, "environment 0 failed in step: TypeError: cannot unpack"),
        (RunError("environment 0 may not do this"), "^environment 0 may not do this$"),
        (FrameworkError("a wrong task"), "environment 0: a wrong task"),
    ],
)
def test_what_breaks_the_contract_is_an_error_as_ever(result: Any, message: str) -> None:
    """Only what an environment raises itself is forgiven, not what it gives, nor what is a mistake in words."""

    class Wrong(Fragile):
        def step(self, action: Any) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

    pair = Pair(Wrong())
    with pytest.raises(RunError, match=message):
        pair.vector.step(NOTHING)


@pytest.mark.parametrize("call", ["step", "reset"])
def test_without_a_way_to_make_another_it_is_an_error(call: str) -> None:
    """And nothing is noted."""
    environment = Fragile()
    vector = SteppedVector([environment])
    vector.reset(*all_of(1))
    environment.in_step = environment.in_reset = KeyError("wheel")
    with pytest.raises(EnvironmentFailed, match=f"environment 0 failed in {call}: KeyError: 'wheel'"):
        vector.step(NOTHING[:1]) if call == "step" else vector.reset(*all_of(1))
    assert not vector.restarts
    assert not vector.failed


def masked(environment: Scripted, result: tuple) -> tuple:
    """No action is legal once an episode has ended, and in the midst of it only the first."""
    over = len(result) == 5 and (result[2] or result[3])
    return (*result[:-1], {"action_mask": np.array([not over, False])})


def test_masks_of_those_that_raise_are_not_looked_at() -> None:
    """Neither whether there are any, at the very first reset, nor whether one of them is legal."""
    environments = [Fragile(change=masked), Fragile(change=masked)]
    environments[0].in_reset = OSError("no licence")
    vector = SteppedVector(environments, lambda: Fragile(change=masked))
    vector.reset(*all_of(2))
    vector.reset(np.array([0]), [5], [None])
    assert vector.action_mask.tolist() == [[True, False]] * 2
    while not (vector.terminated | vector.truncated)[1]:
        vector.step(NOTHING)
        ended = np.flatnonzero((vector.terminated | vector.truncated)[:1])
        vector.reset(ended, [5] * len(ended), [None] * len(ended))
    environments[1].in_reset = OSError("no licence")
    vector.reset(np.array([1]), [6], [None])
    assert list(vector.failed) == [1]
    assert vector.action_mask[1].tolist() == [False, False]
