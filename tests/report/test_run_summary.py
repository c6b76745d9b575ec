import pytest
from markup import Page
from written_runs import FINISHED, PIPELINE, evaluation, update, write

from framework.report.run_curves import groups_of
from framework.report.run_summary import head, headline, overview
from framework.studies.recorded_run import RecordedRun

FAILED = {"time": "t", "event": "failed", "reason": "ValueError: the simulator is gone"}


def run(tmp_path, metrics=(), name="run", **options):
    return RecordedRun(write(tmp_path / name, metrics, **options))


def tiles(markup):
    """Name and value of each headline figure."""
    read = Page(f"<div>{markup}</div>")
    names, values = ([text for _, text in read.all(tag)] for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("done", "All steps are done."),
        ("stopped", "asked to stop"),
        ("interrupted", "can be resumed: framework run --resume"),
        ("killed", "without a word"),
        ("failed", "can be resumed once the cause is mended"),
        ("running", "It goes on"),
    ],
)
def test_the_status_says_what_follows(tmp_path, status, words):
    """And why it failed, where it did."""
    told = head(run(tmp_path, [update(1)], events=[FAILED]), status)
    assert status in told
    assert words in told
    assert ("the simulator is gone" in told) == (status == "failed")


def test_a_run_without_updates(tmp_path):
    """Says so, and has no figures."""
    fresh = run(tmp_path)
    assert "It has recorded no update yet." in head(fresh, "running")
    assert headline(fresh) == ""


def test_headline_figures(tmp_path):
    """The last of each; the best evaluation where it was better than the last; rates over all the time."""
    lines = [update(1), evaluation(1, 9.0), update(2, success=0.25), evaluation(2, 5.0), update(3, episodes=1234)]
    figures = tiles(headline(run(tmp_path, lines)))
    assert figures == {
        "last evaluation": "5 [4.02, 5.98]",
        "best evaluation, at 100 steps": "9 [8.02, 9.98]",
        "return, last 100 episodes": "3",
        "success, last 100 episodes": "25.0%",
        "of 1,000 environment steps": "300",
        "updates": "3",
        "episodes": "1,234",
        "time": "0:03",
        "environment steps per second": "100",
    }
    assert "best evaluation" not in headline(run(tmp_path, [evaluation(1)] * 2, "equal"))


def test_several_runs_are_rows(tmp_path):
    """With what each has reached, a dash where there is nothing, and below why runs have failed."""
    runs = [
        run(tmp_path, [update(1), evaluation(1, 9.0), evaluation(1, 5.0)], "a"),
        run(tmp_path, [], "b", events=[FAILED], pipeline=PIPELINE.replace("seed = 3", "seed = 4")),
    ]
    told = overview(groups_of(runs), dict(zip(runs, ["done", "failed"], strict=True)))
    read = Page(f"<div>{told}</div>")
    assert [text for _, text in read.all("tr")][1:] == ["adone31000:01159", "bfailed4-----"]
    assert [text for _, text in read.all("p")] == ["b: ValueError: the simulator is gone"]


def test_strange_figures_are_left_out(tmp_path):
    """What is no finite number is not there."""
    lines = [{"update": "x", "steps": float("inf"), "return": None, "time/seconds": 0.0, "evaluation/return": "x"}]
    assert headline(run(tmp_path, lines)) == ""
    assert FINISHED["status"] == "done"
