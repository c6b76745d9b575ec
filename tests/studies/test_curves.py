import numpy as np
import pytest
from recorded import learned, write_run

from framework.studies.curves import UnknownMetric, by_pipeline, count, drawing_of
from framework.studies.recorded_run import RecordedRun, runs_in


def test_seeds_of_one_pipeline_are_one_curve(tmp_path):
    """Their mean and range; where a run happens is no difference."""
    for seed, returns in ((1, (0, 10)), (2, (10, 30))):
        write_run(tmp_path / f"run-{seed}", seed=seed, metrics=learned(*returns))
    drawing = drawing_of(runs_in(tmp_path), ["return"])
    [panel] = drawing.panels
    [curve] = panel.curves
    assert (drawing.x_label, panel.title, curve.label, curve.points) == (
        "environment steps",
        "return",
        "pole (2 seeds)",
        False,
    )
    np.testing.assert_array_equal(curve.band.x, [100, 200])
    np.testing.assert_array_equal(curve.band.mean, [5, 20])
    np.testing.assert_array_equal(curve.band.high, [10, 30])


def test_pipelines_of_one_name_are_told_apart(tmp_path):
    """By the options in which they differ, whatever their order; other names stand for themselves."""
    for number, rate in enumerate((0.001, 0.01, 0.001)):
        write_run(tmp_path / f"run-{number}", seed=number, learning_rate=rate, metrics=learned(1))
    write_run(tmp_path / "cart", name="cart", metrics=learned(1))
    groups = by_pipeline(runs_in(tmp_path))
    assert {name: len(runs) for name, runs in groups.items()} == {
        "pole algorithm.learning_rate=0.001": 2,
        "pole algorithm.learning_rate=0.01": 1,
        "cart": 1,
    }


def test_runs_with_the_same_seed_are_no_seeds(tmp_path):
    """They are counted as runs."""
    for number in (1, 2):
        write_run(tmp_path / f"run-{number}", seed=1, metrics=learned(1))
    assert (count(runs_in(tmp_path)), count(runs_in(tmp_path)[:1])) == ("2 runs", "1 seed")


def test_evaluations_are_points_in_the_panel_of_their_namesake(tmp_path):
    """Also by time, which their lines do not tell."""
    write_run(tmp_path / "run", metrics=learned(1, 2, evaluated=5, seconds=100.0))
    drawing = drawing_of(runs_in(tmp_path), ["return", "evaluation/return", "update"], "time")
    assert [panel.title for panel in drawing.panels] == ["return", "update"]
    line, points = drawing.panels[0].curves
    assert (line.points, points.points, points.label) == (False, True, "pole (1 seed), evaluated")
    assert drawing.x_label == "minutes"
    np.testing.assert_allclose(line.band.x, [100 / 60, 200 / 60])
    np.testing.assert_allclose((points.band.x, points.band.mean), [[200 / 60], [5]])


def test_what_is_no_finite_number_is_not_drawn(tmp_path):
    """A run that has nothing else is left out."""
    write_run(tmp_path / "a", seed=1, metrics=learned(1, float("nan"), 3))
    empty = write_run(tmp_path / "b", seed=2, metrics=learned(float("inf")))
    told = []
    [curve] = drawing_of(runs_in(tmp_path), ["return"], tell=told.append).panels[0].curves
    np.testing.assert_array_equal((curve.band.x, curve.band.mean), [[100, 300], [1, 3]])
    assert told == [f"{empty} has not recorded 'return': it is left out"]
    with pytest.raises(UnknownMetric, match="no run has recorded a finite number as 'return'"):
        drawing_of([RecordedRun(empty)], ["return"])


def test_runs_that_cut_the_others_short_are_told(tmp_path):
    """A curve goes as far as all of its runs do: one that was interrupted early hides most of it."""
    write_run(tmp_path / "a", seed=1, metrics=learned(*range(10)))
    short = write_run(tmp_path / "b", seed=2, metrics=learned(*range(4)))
    told = []
    drawing = drawing_of(runs_in(tmp_path), ["return"], tell=told.append)
    assert len(drawing.panels[0].curves[0].band.x) == 4
    assert told == [f"pole (2 seeds) is drawn as far as all of them go: {short} ends early, leave it out for more"]


@pytest.mark.parametrize(
    ("seconds", "label"), [(2.0, "seconds"), (179.0, "seconds"), (181.0, "minutes"), (1e5, "hours")]
)
def test_time_has_a_unit_that_fits(tmp_path, seconds, label):
    """Of which there are three at least."""
    write_run(tmp_path / "run", metrics=learned(1, seconds=seconds))
    assert drawing_of(runs_in(tmp_path), ["return"], "time").x_label == label


def test_runs_without_a_metric_are_left_out_and_told(tmp_path):
    """Where no run has it, it is an error, with the name that was meant."""
    write_run(tmp_path / "a", seed=1, metrics=learned(1))
    empty = write_run(tmp_path / "b", seed=2)
    told = []
    drawing = drawing_of(runs_in(tmp_path), ["return"], tell=told.append)
    assert drawing.panels[0].curves[0].label == "pole (1 seed)"
    assert told == [f"{empty} has not recorded 'return': it is left out"]
    with pytest.raises(UnknownMetric, match=r"no run has recorded the metric 'retrun'; did you mean return\?"):
        drawing_of(runs_in(tmp_path), ["retrun"])
    with pytest.raises(UnknownMetric, match=r"'xyz'; --list shows those that they have"):
        drawing_of(runs_in(tmp_path), ["xyz"])
