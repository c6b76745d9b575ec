import numpy as np

from framework.report.evaluation import describe, summarize
from framework.runtime.evaluate.evaluate import Evaluation


def evaluation(returns: list[float], successes: list[int], **metrics: list[float]) -> Evaluation:
    count = len(returns)
    measured = {name: np.array(values) for name, values in metrics.items()}
    return Evaluation(np.array(returns), np.full(count, 7), np.array(successes, np.int8), measured)


def test_all_runs_and_episodes_count() -> None:
    """Means over all of them, the interquartile mean too; extremes are those of single episodes."""
    summary = summarize(
        [
            evaluation([0.0, 2.0, 4.0, 100.0], [0, 1, 1, 1], skill=[0.0, 0.0, 0.0, 1.0]),
            evaluation([-90.0, 4.0, 2.0, 6.0], [1, 1, 1, 1], skill=[1.0, 1.0, 1.0, 1.0]),
        ]
    )
    assert summary["return"] == 3.5
    assert summary["return_iqm"] == 3.0
    assert (summary["return_min"], summary["return_max"]) == (-90.0, 100.0)
    assert (summary["success"], summary["metrics/skill"]) == (0.875, 0.625)
    assert (summary["runs"], summary["episodes"]) == (2, 8)
    assert summary["intervals"].keys() == {"return", "return_iqm", "length", "success", "metrics/skill"}
    assert all(low <= summary[name] <= high for name, (low, high) in summary["intervals"].items())
    assert summary["intervals"]["metrics/skill"] == [0.0, 1.0]


def test_success_and_metrics_are_shown_where_all_tell_them() -> None:
    """Not where one run lacks them."""
    reporting, silent = evaluation([1.0, 2.0], [1, 0], skill=[0.5, 0.5]), evaluation([1.0, 2.0], [-1, -1])
    assert describe(summarize([reporting])).splitlines() == [
        "2 episodes, means with 95% intervals",
        "return      1.500  [1.000, 2.000]  (min 1.00, max 2.00)",
        "return IQM  1.500  [1.000, 2.000]",
        "success     50.0%  [0.0%, 100.0%]",
        "skill       0.500  [0.500, 0.500]",
        "length      7.0    [7.0, 7.0]",
    ]
    assert len(describe(summarize([reporting, silent])).splitlines()) == 4
