import pytest

from framework.testing import conformance, subject
from framework.testing.callback import told_run
from framework_callbacks.early_stopping import evaluations_since_best

test_conformance = conformance("callback", "early_stopping", {"target": 2.0, "patience": 3})


@pytest.mark.parametrize(
    ("returns", "min_improvement", "since"),
    [
        ([1.0], 0.0, 0),
        ([1.0, 2.0, 2.0, 1.5], 0.0, 2),
        ([1.0, 1.4, 1.8], 0.5, 0),  # 1.8 is better than 1.0 by enough, whatever was between
        ([1.0, 1.4, 1.5], 0.5, 2),
        ([3.0, -1.0], 0.0, 1),
        ([], 0.0, 0),
    ],
)
def test_evaluations_since_the_best_are_counted(returns: list[float], min_improvement: float, since: int) -> None:
    """An evaluation counts as better where it beats the best before by more than the least improvement."""
    assert evaluations_since_best(returns, min_improvement) == since


def test_stops_at_the_target() -> None:
    """The first evaluation that reaches it, told by its return."""
    with told_run(subject("callback", "early_stopping", {"target": 2.5})) as run, run.going_on() as lifecycle:
        run.play(lifecycle, range(1, 2))
        assert run.control.reason == ""
        run.play(lifecycle, range(2, 3))
        assert run.control.reason == "an evaluation had a mean return of 2.50, and 2.5 is the target"


def test_patience_outlives_a_resumption() -> None:
    """Evaluations before the run was resumed count: the last three have not beaten the first by 10."""
    stopping = subject("callback", "early_stopping", {"patience": 3, "min_improvement": 10.0})
    with told_run(stopping) as run:
        with run.going_on() as lifecycle:
            run.play(lifecycle, range(1, 4))
            assert run.control.reason == ""
        with run.going_on() as lifecycle:
            run.play(lifecycle, range(4, 5))
            assert run.control.reason == "the last 3 evaluations had no better mean return than 4.50"


def test_without_a_rule_it_is_refused() -> None:
    """A target, a patience, or both."""
    with pytest.raises(Exception, match="give a target, a patience, or both"):
        subject("callback", "early_stopping", {})
