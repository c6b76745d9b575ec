import numpy as np
import pytest
from written_runs import PIPELINE, evaluation, update, write

from framework.report.run_curves import POINTS, columns, groups_of, interval, thinned
from framework.report.thinned_run import ThinnedRun
from framework.studies.recorded_run import Series


def group(tmp_path, *runs):
    """One group of runs that have these metrics."""
    directories = [write(tmp_path / f"run-{index}", lines) for index, lines in enumerate(runs)]
    [made] = groups_of([ThinnedRun(directory) for directory in directories])
    return made


def test_stretches_have_mean_and_range():
    """Of about equally many values each, none left out."""
    generator = np.random.default_rng(0)
    for count in (1, 5, 7, 1000, 1003):
        x, y = np.arange(count, dtype=float), generator.normal(size=count)
        thin = thinned(Series(x, y), 7)
        assert len(thin.x) == min(count, 7)
        starts = np.linspace(0, count, len(thin.x), endpoint=False).astype(int)
        for part, start, end in zip(range(len(starts)), starts, [*starts[1:], count], strict=True):
            piece = y[start:end]
            assert thin.mean[part] == pytest.approx(piece.mean())
            assert thin.x[part] == pytest.approx(x[start:end].mean())
            assert (thin.low[part], thin.high[part]) == (piece.min(), piece.max())


def test_columns_are_finite_numbers():
    """Anything else in a line is left out: words, flags, NaN, numbers beyond measure, lines without steps."""
    lines = [
        {"steps": 1, "a": 1, "b": "text", "c": True, "d": float("nan"), "e": 10**400, "f": None},
        {"steps": 2, "a": 2.5, "d": 1.0, "g": [1]},
        {"a": 3},
        {"steps": "3", "a": 4},
    ]
    read = columns(lines)
    assert {name: (list(x), list(y)) for name, (x, y) in read.items()} == {
        "steps": ([1, 2], [1, 2]),
        "a": ([1, 2], [1, 2.5]),
        "d": ([2], [1.0]),
    }


def test_a_run_is_a_line_and_a_long_one_has_its_range(tmp_path):
    """The range of each stretch is a band."""
    short = group(tmp_path / "short", [update(n) for n in range(1, 6)]).curve("return")
    assert (list(short.x), list(short.y), short.low) == ([100, 200, 300, 400, 500], [1, 2, 3, 4, 5], None)
    long = group(tmp_path / "long", [update(n) for n in range(1, 2 * POINTS + 1)]).curve("return")
    assert len(long.x) == POINTS
    assert (long.low < long.y).all()
    assert (long.y < long.high).all()


def test_seeds_are_mean_and_range(tmp_path):
    """Of the runs that have the column; its label tells how many there are."""
    lines = [[update(n, **{"return": float(value)}) for n in (1, 2)] for value in (1, 2, 6)]
    seeds = group(tmp_path, *lines, [{"update": 1, "steps": 100}])
    curve = seeds.curve("return")
    assert (list(curve.y), list(curve.low), list(curve.high)) == ([3, 3], [1, 1], [6, 6])
    assert seeds.label == curve.label == "pole, 4 seeds"
    assert seeds.curve("nothing") is None


def test_shares_are_parts_of_a_whole(tmp_path):
    """Of the sum of columns; of none at all nothing."""
    one = group(tmp_path, [update(1), update(2, time__waiting=0.75, time__updating=0.25)])
    wholes = ("time/waiting", "time/updating")
    assert list(one.share("time/waiting", wholes).y) == [0.25, 0.75]
    assert list(one.share("time/acting", ("time/total",)).y) == [0.25, 0.25]
    assert one.share("time/unknown", wholes) is None
    nothing = group(tmp_path / "zero", [update(1, time__waiting=0.0, time__updating=0.0)])
    assert list(nothing.share("time/waiting", wholes).y) == [0]


def test_throughput_is_steps_by_time(tmp_path):
    """Between two updates, with what lies between them; a clock that stands still says nothing."""
    seconds = [1.0, 2.0, 4.0, 4.0]
    one = group(tmp_path, [update(n, time__seconds=second) for n, second in enumerate(seconds, 1)])
    curve = one.throughput()
    assert list(curve.x) == [200, 300, 400]
    assert list(curve.y[:2]) == [100, 50]
    assert np.isnan(curve.y[2])
    assert group(tmp_path / "one", [update(1)]).throughput() is None


def test_evaluations_are_points_with_intervals(tmp_path):
    """Of one run those over its episodes, of several their range; without a spread there are no bars."""
    one = group(tmp_path / "one", [update(1), evaluation(1, 5.0), evaluation(2, 7.0)]).evaluation("return")
    assert one.points
    assert list(one.y) == [5, 7]
    half = 1.96 * 2.0 / 4
    assert one.low == pytest.approx([5 - half, 7 - half])
    assert one.high == pytest.approx([5 + half, 7 + half])
    several = group(tmp_path / "two", [evaluation(1, 5.0)], [evaluation(1, 9.0)]).evaluation("return")
    assert (list(several.y), list(several.low), list(several.high)) == ([7], [5], [9])
    assert group(tmp_path / "three", [evaluation(1)]).evaluation("length").low is None


def test_many_evaluations_are_a_line(tmp_path):
    """With its intervals as a band, thinned out as the line is."""
    for count, points in ((100, 100), (700, POINTS)):
        lines = [evaluation(n, float(n % 2)) for n in range(1, count + 1)]
        curve = group(tmp_path / str(count), lines).evaluation("return")
        assert not curve.points
        assert len(curve.x) == len(curve.low) == points
        assert curve.high - curve.low == pytest.approx(np.full(points, 2 * 1.96 * 2.0 / 4))


def test_intervals_stay_within_what_was_seen():
    """A mean return is between the lowest and the highest."""
    line = evaluation(1, 5.0, return_max=5.5, return_min=4.8)
    assert interval(line, "return") == (4.8, 5.5)
    assert interval(evaluation(1, episodes=1), "return") is None
    assert interval(evaluation(1, return_std="x"), "return") is None
    assert interval(evaluation(1, cost=2.0), "cost") is None


def test_intervals_of_success_are_those_of_wilson():
    """8 of 10: 0.490 to 0.943, as in the literature; none of 10: up to 0.278, and never beyond 0 and 1."""
    assert interval(evaluation(1, success=0.8, episodes=10), "success") == pytest.approx((0.490, 0.943), abs=5e-4)
    low, high = interval(evaluation(1, success=0.0, episodes=10), "success")
    assert low == pytest.approx(0)
    assert high == pytest.approx(0.2775, abs=5e-4)
    assert interval(evaluation(1, success=1.0, episodes=10), "success")[1] == pytest.approx(1)


def test_runs_are_grouped_by_name(tmp_path):
    """In order of appearance, each with a colour of its own."""
    names = ["a", "b", "a"]
    folders = [
        write(tmp_path / str(index), [update(1)], pipeline=PIPELINE.replace("pole", name))
        for index, name in enumerate(names)
    ]
    groups = groups_of([ThinnedRun(folder) for folder in folders])
    assert [(made.name, len(made.runs), made.color) for made in groups] == [("a", 2, 0), ("b", 1, 1)]
    assert [made.curve("return").color for made in groups] == [0, 1]
