import json

import pytest
from written_runs import evaluation, update, write

from framework.errors import RunError
from framework.report.thinned_run import LINES, ThinnedRun
from framework.studies.recorded_run import RecordedRun


def test_short_runs_are_read_whole(tmp_path):
    """As `RecordedRun` reads them."""
    lines = [update(1), update(2), evaluation(2), update(3)]
    folder = write(tmp_path / "run", lines)
    assert ThinnedRun(folder).metrics == RecordedRun(folder).metrics == lines


def test_of_long_runs_every_nth_update_is_read(tmp_path):
    """With the first, the last, and all evaluations where they are few; in order."""
    count = 3 * LINES - 5
    lines = [{"update": n, "steps": n} for n in range(1, count + 1)]
    lines.insert(4, evaluation(4))
    lines.append(evaluation(count))
    run = ThinnedRun(write(tmp_path / "run", lines))
    updates = [line["update"] for line in run.metrics if "evaluation/return" not in line]
    assert updates == [*range(1, count, 3), count]
    assert run.evaluations == [evaluation(4), evaluation(count)]
    assert [line["update"] for line in run.metrics] == sorted(line["update"] for line in run.metrics)
    assert run.steps == 100 * count


def test_evaluations_are_thinned_out_for_themselves(tmp_path):
    """One after each update makes no more of them."""
    lines = [line for n in range(1, 2 * LINES + 1) for line in ({"update": n, "steps": n}, {"evaluation/return": n})]
    run = ThinnedRun(write(tmp_path / "run", lines))
    assert len(run.evaluations) == LINES + 1
    assert len(run.metrics) == 2 * LINES + 2


def test_half_a_line_at_the_end_is_not_there_yet(tmp_path):
    """A run that goes on may be in the midst of writing one."""
    folder = write(tmp_path / "run", [update(1)])
    for unfinished in ('{"update": 2, "st', '{"evaluation/return": 1'):
        (folder / "metrics.jsonl").write_text(json.dumps(update(1)) + "\n" + unfinished)
        assert ThinnedRun(folder).metrics == [update(1)]


def test_runs_without_metrics_have_none(tmp_path):
    """Whether the file is empty or not there."""
    folder = write(tmp_path / "run")
    assert ThinnedRun(folder).metrics == []
    (folder / "metrics.jsonl").unlink()
    assert ThinnedRun(folder).metrics == []


def test_broken_lines_are_named(tmp_path):
    """With file and line."""
    folder = write(tmp_path / "run", [update(1)])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("[" * 100_000 + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: not a line of a run's record"):
        _ = ThinnedRun(folder).metrics
