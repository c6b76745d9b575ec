import pytest
from curricula import episode
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import RunError
from framework_curricula.success import decayed, successes


def test_the_environment_says_it_or_the_return_does() -> None:
    """A return that is stated in the pipeline stands above what the environment says."""
    episodes = [episode(1, True, **{"return": 3.0}), episode(2, False, **{"return": 5.0})]
    assert list(successes(episodes, None)) == [(1, 1.0), (2, 0.0)]
    assert list(successes(episodes, 5.0)) == [(1, 0.0), (2, 1.0)]
    assert list(successes([episode(1)], 0.5)) == [(1, 1.0)]


def test_an_unknown_outcome_is_an_error() -> None:
    """It is no failure and no success, and the message says what to do about it."""
    with pytest.raises(RunError, match=r"info\['success'\] .* or set curriculum.success_return"):
        list(successes([episode(1, True), episode(1)], None))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.floats(0, 1), st.lists(st.integers(0, 1), min_size=1, max_size=8), st.floats(0.01, 1))
def test_equal_results_average_as_one_after_the_other(start: float, results: list[int], smoothing: float) -> None:
    """The average after k results is that of k single steps with their mean."""
    mean = sum(results) / len(results)
    expected = start
    for _ in results:
        expected = (1 - smoothing) * expected + smoothing * mean
    assert decayed(start, results, smoothing) == pytest.approx(expected)
