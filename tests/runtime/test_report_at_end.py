"""Every run ends with its page, however it ends; one that cannot be written harms no run."""

import pytest
import runs
from markup import check_page

import framework
from framework.errors import FrameworkError
from framework.runtime.evaluate.evaluate_run import check_seeds_of_one_pipeline
from framework.runtime.session import Session

SMALL = {"run__total_steps": 256, "runtime__samplers": 0, "evaluation__episodes": 0, "run__report": True}


def page(directory):
    return check_page((directory / "report.html").read_text(encoding="utf-8")).text


def statuses(directory):
    return [event["event"] for event in runs.lines(directory, "events.jsonl")]


def test_a_run_that_is_done(tmp_path):
    """Has a page that says so; `finished` is the last event all the same."""
    directory = runs.run(runs.write(tmp_path), tmp_path / "runs", **SMALL)
    assert "All steps are done." in page(directory)
    assert statuses(directory) == ["finished"]


def test_a_run_that_is_interrupted(tmp_path):
    """Has a page that says how to go on."""
    session = runs.session(runs.write(tmp_path), tmp_path / "runs", **SMALL)
    updates = session.updates()
    next(updates)
    updates.close()
    assert "It was interrupted" in page(session.directory)


def test_a_run_that_fails(tmp_path):
    """Has a page that says why."""

    session = runs.session(runs.write(tmp_path), tmp_path / "runs", **SMALL)
    updates = session.updates()
    next(updates)
    with pytest.raises(ValueError, match="the simulator is gone"):
        updates.throw(ValueError("the simulator is gone"))
    assert "ValueError: the simulator is gone" in page(session.directory)


def test_a_page_that_cannot_be_written_is_an_event(tmp_path):
    """And the run is done."""

    def occupy(session, update):
        (session.directory / "report.html").mkdir(exist_ok=True)

    directory = runs.run(runs.write(tmp_path), tmp_path / "runs", occupy, **SMALL)
    assert statuses(directory) == ["report_failed", "finished"]
    [event] = runs.events(directory, "report_failed")
    assert "Is a directory" in event["reason"]
    assert runs.events(directory, "finished")[0]["status"] == "done"


def test_no_page_is_written_where_none_is_wanted(tmp_path):
    """`run.report = false`; what is learned is the same, and both are seeds of one pipeline."""
    pipeline = runs.write(tmp_path)
    with_page = runs.run(pipeline, tmp_path / "with", **SMALL)
    without = runs.run(pipeline, tmp_path / "without", **SMALL | {"run__report": False})
    assert not (without / "report.html").exists()
    runs.assert_equal_runs(with_page, without)
    other_seed = runs.run(pipeline, tmp_path / "other", **SMALL | {"run__report": False, "run__seed": 4})
    check_seeds_of_one_pipeline([with_page, other_seed])


def test_a_run_that_cannot_be_resumed(tmp_path):
    """Has a page that says why, too."""
    directory = runs.run(runs.write(tmp_path), tmp_path / "runs", **SMALL)
    (directory / "report.html").unlink()
    changed = framework.load_run(directory, {"environment.id": "Missing-v0", "run.total_steps": 512})
    with pytest.raises(FrameworkError):
        Session(changed, resume=directory)
    assert "It failed" in page(directory)
    assert statuses(directory)[-2:] == ["failed", "finished"]
