import numpy as np
import pytest
from environments import Made, MadeVector, Scripted
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from framework.errors import FrameworkError, PipelineError, PluginError
from framework.runtime.rollout.make_vector import check_restart, make_vector
from framework.runtime.rollout.native_vector import MaskedVector
from framework.runtime.rollout.stepped_vector import SteppedVector


def test_the_vector_version_is_used_only_where_it_is_asked_for() -> None:
    """By default environments are stepped singly, because only that can be replayed exactly."""
    component = MadeVector(Scripted, native=False)
    vector = make_vector(component, 3)
    assert isinstance(vector, SteppedVector)
    assert vector.count == len(component.environments) == 3
    assert vector.replayable
    assert not vector.self_resetting
    assert isinstance(make_vector(Made(Scripted), 2), SteppedVector)


def test_the_vector_version_is_used_where_it_is_asked_for() -> None:
    """It is asked for as many environments as there are to be, and no single one is made."""
    counts = []

    def native(count: int) -> SyncVectorEnv:
        counts.append(count)
        return SyncVectorEnv([Scripted] * count, autoreset_mode=AutoresetMode.DISABLED)

    component = MadeVector(Scripted, vector=native)
    vector = make_vector(component, 4)
    assert isinstance(vector, MaskedVector)
    assert (vector.count, counts, component.environments) == (4, [4], [])


def test_a_component_need_not_say_that_it_has_no_vector_version() -> None:
    """One without the word ``native`` is stepped singly."""

    class Plain:
        def make(self) -> Scripted:
            return Scripted()

    assert isinstance(make_vector(Plain(), 2), SteppedVector)


def test_environments_are_looked_at_as_they_are_made() -> None:
    """What is no environment is named by its component, also where it is not the first."""
    environments = iter([Scripted(), None])
    with pytest.raises(PluginError, match="environment Made cannot be used: make\\(\\) gave None"):
        make_vector(Made(lambda: next(environments)), 2)


def test_a_vector_version_that_is_missing_is_refused() -> None:
    """Stepping singly instead would be another run than the one that was asked for."""
    with pytest.raises(FrameworkError, match="leave out native = true"):
        make_vector(Made(Scripted, native=True), 2)


def test_environments_are_made_anew_where_that_is_asked_for() -> None:
    """By the component that made them."""
    component = Made(lambda: Scripted(change=raise_in_step))
    vector = make_vector(component, 2, restart=True)
    assert vector.restarts
    vector.reset(np.arange(2), [0, 1], [None] * 2)
    vector.step(np.zeros(2, np.int64))
    assert list(vector.failed) == [0, 1]
    vector.reset(np.array([1]), [5], [None])
    assert len(component.environments) == 3
    assert not make_vector(component, 1).restarts


def raise_in_step(environment: Scripted, result: tuple) -> tuple:
    if len(result) == 5:
        raise OSError("gone")
    return result


def test_a_vector_version_cannot_be_restarted() -> None:
    """It is one object: the option that asks for it is named, and nothing is made."""
    component = MadeVector(Scripted, vector=lambda count: pytest.fail("made"))
    for refused in (lambda: make_vector(component, 2, restart=True), lambda: check_restart(component)):
        with pytest.raises(PipelineError, match="set native = false") as caught:
            refused()
        assert [problem.path for problem in caught.value.problems] == ["runtime.on_environment_error"]
    check_restart(MadeVector(Scripted, native=False))
