import fcntl
import json

import numpy as np
import pytest

from framework.errors import RunError
from framework.studies.recorded_run import RecordedRun, runs, runs_at, runs_in

PIPELINE = '[run]\nname = "pole"\nseed = 3\n'


def write(folder, metrics=(), events=(), pipeline=PIPELINE):
    folder.mkdir(parents=True)
    (folder / "pipeline.toml").write_text(pipeline)
    (folder / "manifest.json").write_text('{"seed": 3}')
    for name, lines in (("metrics", metrics), ("events", events)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def test_reads_what_a_run_has_written(tmp_path):
    """Name, seed, columns of numbers, steps, evaluations apart from updates."""
    lines = [
        {"update": 1, "steps": 10, "note": "text"},
        {"update": 2, "steps": 20, "return": 1.5, "whole": True},
        {"update": 2, "steps": 20, "evaluation/return": 2.0},
    ]
    run = RecordedRun(write(tmp_path / "run", lines))
    assert (run.name, run.seed, run.steps) == ("pole", 3, 20)
    assert run.columns == ["update", "steps", "return", "evaluation/return"]
    assert run.evaluations == [lines[2]]
    assert run.manifest == {"seed": 3}


@pytest.mark.parametrize(("axis", "x"), [("steps", [10, 30]), ("updates", [1, 3]), ("time", [0.5, 1.5])])
def test_series_follows_an_axis(tmp_path, axis, x):
    """A column where it stands, by steps, updates or seconds."""
    lines = [
        {"update": n, "steps": 10 * n, "time/seconds": n / 2, **({"return": 1.0} if n != 2 else {})} for n in (1, 2, 3)
    ]
    series = RecordedRun(write(tmp_path / "run", lines)).series("return", axis)
    np.testing.assert_array_equal(series.x, x)
    np.testing.assert_array_equal(series.y, [1, 1])


def test_unknown_column_has_a_suggestion(tmp_path):
    """The error names the run, the column, and the nearest one."""
    run = RecordedRun(write(tmp_path / "run", [{"update": 1, "steps": 1, "return": 0.0}]))
    with pytest.raises(RunError, match=r"run has no 'retrun' by steps in its metrics; did you mean return\?"):
        run.series("retrun")


def test_half_a_line_at_the_end_is_not_there_yet(tmp_path):
    """A run that goes on may be in the midst of writing one."""
    folder = write(tmp_path / "run", [{"update": 1, "steps": 5}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"update": 2, "st')
    assert RecordedRun(folder).steps == 5


def test_broken_line_is_named(tmp_path):
    """Anything else that is no JSON object is an error with file and line."""
    folder = write(tmp_path / "run", [{"update": 1, "steps": 5}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(RunError, match=r"metrics.jsonl:2: not a line of a run's record"):
        _ = RecordedRun(folder).metrics


@pytest.mark.parametrize("status", ["done", "stopped", "interrupted", "failed"])
def test_status_is_how_the_run_has_finished(tmp_path, status):
    """The last event tells."""
    events = [{"time": "t", "event": "resumed"}, {"time": "t", "event": "finished", "status": status}]
    assert RecordedRun(write(tmp_path / "run", events=events)).status == status


def test_run_without_an_end_was_killed_or_is_running(tmp_path):
    """A process that has the lock is running it."""
    folder = write(tmp_path / "run", events=[{"time": "t", "event": "sampler_joined"}])
    run = RecordedRun(folder)
    assert run.status == "killed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run.status == "running"
    assert run.status == "killed"


@pytest.mark.parametrize("pipeline", ["[run", "[run]\nseed = 1\n", "run = 3\n"])
def test_other_folders_are_refused(tmp_path, pipeline):
    """What is no run directory is said, with the file that is missing or wrong."""
    with pytest.raises(RunError, match=r"is no run directory: pipeline\.toml cannot be read"):
        RecordedRun(tmp_path)
    with pytest.raises(RunError, match=r"is no run directory: pipeline\.toml is not a pipeline"):
        RecordedRun(write(tmp_path / "run", pipeline=pipeline))


def test_runs_in_a_folder_are_sorted_by_age(tmp_path):
    """Other folders are left out; without the folder there are none."""
    for name in ("b", "a"):
        write(tmp_path / name)
    (tmp_path / "notes").mkdir()
    write(tmp_path / "broken", pipeline="[run")
    assert [run.directory.name for run in runs_in(tmp_path)] == ["b", "a"]
    assert runs_in(tmp_path / "nowhere") == []


def test_last_numbers_and_best_evaluation(tmp_path):
    """Without parsing lines that cannot have them, so a line that is damaged elsewhere does not matter."""
    lines = [
        {"update": 1, "steps": 10, "return": 1.0},
        {"update": 1, "steps": 10, "evaluation/return": 5.0},
        {"update": 2, "steps": 20, "return": 3.0},
        {"update": 2, "steps": 20, "evaluation/return": 4.0},
        {"update": 3, "steps": 30, "note": "return"},
    ]
    run = RecordedRun(write(tmp_path / "run", lines, pipeline=f"{PIPELINE}total_steps = 40\n"))
    assert (run.last("return"), run.last("lag"), run.best, run.steps, run.total_steps) == (3.0, None, 5.0, 30, 40)
    with pytest.raises(RunError, match=r"pipeline.toml does not say run.total_steps"):
        _ = RecordedRun(write(tmp_path / "other")).total_steps
    assert repr(run) == f"<RecordedRun {tmp_path / 'run'}>"
    assert RecordedRun(write(tmp_path / "new")).best is None


def test_evaluations_follow_the_time_of_their_update(tmp_path):
    """Their lines do not tell it."""
    lines = [
        {"update": 1, "steps": 10, "evaluation/return": 1.0},
        {"update": 1, "steps": 10, "time/seconds": 2.0},
        {"update": 1, "steps": 10, "evaluation/return": 5.0},
    ]
    run = RecordedRun(write(tmp_path / "run", lines))
    np.testing.assert_array_equal(run.series("evaluation/return", "time"), [[2.0], [5.0]])


def test_started_is_what_the_manifest_says(tmp_path):
    """None where it says nothing, or nonsense."""
    run = RecordedRun(write(tmp_path / "run"))
    assert run.started is None
    for text, year in (("2026-01-02T03:04:05+00:00", 2026), ("yesterday", None)):
        (tmp_path / "run" / "manifest.json").write_text(json.dumps({"started": text}))
        started = RecordedRun(tmp_path / "run").started
        assert (started.year if started else None) == year


def test_runs_lie_anywhere_below_a_folder(tmp_path):
    """But not inside one another; a run directory stands for itself."""
    write(tmp_path / "study" / "seed-1" / "run")
    write(tmp_path / "study" / "seed-1" / "run" / "inner")
    assert [run.directory.name for run in runs_at(tmp_path)] == ["run"]
    assert [run.directory.name for run in runs_at(tmp_path / "study" / "seed-1" / "run")] == ["run"]
    assert [run.directory.name for run in runs(tmp_path)] == ["run"]
    (tmp_path / "empty").mkdir()
    assert runs(tmp_path / "empty") == []
    (tmp_path / "study" / "again").symlink_to(tmp_path / "study")
    (tmp_path / "empty" / "elsewhere").symlink_to(tmp_path / "study" / "seed-1" / "run")
    assert len(runs(tmp_path / "study")) == len(runs(tmp_path / "empty")) == 1
    (tmp_path / "empty" / "elsewhere").unlink()
    with pytest.raises(RunError, match="empty is no run directory, and has none in it"):
        runs_at(tmp_path / "empty")
    for look in (runs, runs_at):
        with pytest.raises(RunError, match=r"there is no .*nowhere"):
            look(tmp_path / "nowhere")
