import json
import math

import numpy as np
import pytest
from synthetic_runs import write_run

from framework.report.comparison import bars, markdown, markdown_table, shown, tables, text, values
from framework.studies.comparison import Estimate, compare
from framework.studies.groups import Group


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Two groups of runs; of the second only some reach the threshold."""
    folder = tmp_path_factory.mktemp("runs")

    def group(name, scores):
        runs = (
            write_run(folder / name / str(seed), seed, np.linspace(0, score, 5), score=score)
            for seed, score in enumerate(scores, 1)
        )
        return Group(name, tuple(runs))

    groups = [group("base", [10.0, 20.0, 30.0]), group("a=1 | b", [1.0, 2.0, 25.0])]
    return compare(groups, threshold=15.0, resamples=200)


def cells(part):
    return {row[0]: list(row[1:]) for row in part.rows}


def test_parts_tell_what_was_compared(comparison):
    """Each group has its row; differences are those from the first."""
    scores, differences, curves, profile, training = tables(comparison)
    assert cells(scores)["base"] == ["3", "20 [10, 30]", "20 [10, 30]", "1, 2, 3"]
    assert differences.title == "Against base"
    assert cells(differences) == {"a=1 | b": ["-10.67 [-18, -5]", "22% [0%, 67%]", "0 of 3"]}
    assert cells(training)["base"][2:] == ["400 (2 of 3)", "500", "50", "0:10"]
    assert cells(training)["a=1 | b"][2] == "never (1 of 3)"
    assert profile.header[1:] == ["> 1", "> 8.25", "> 15.5", "> 22.75", "> 30"]
    assert cells(profile)["base"] == ["100%", "100%", "67%", "33%", "0%"]
    assert profile.bars[0][0] == "█"
    assert cells(curves)["base"][-1] == "20"


def test_text_has_all_parts_and_notes(comparison):
    """Columns are aligned; nothing is wider than its cells."""
    lines = text(comparison).splitlines()
    first = lines.index("Scores")
    header, base, other = lines[first + 1 : first + 4]
    assert len(base) == len(other) == len(header)
    assert lines[-1] == comparison.notes[-1]


def test_markdown_has_the_same_tables(comparison):
    """With bars in the names of groups escaped, so that columns stay columns."""
    page = markdown(comparison, "study")
    assert page.startswith("# study, compared\n\n## Scores\n\n|")
    assert "| a=1 \\| b |" in page
    assert page.endswith(f"- {comparison.notes[-1]}\n")


def test_markdown_table_is_aligned():
    """The first column to the left, the others to the right."""
    assert markdown_table(["", "n"], [["long name", "1"], ["x", "1,000"]]).splitlines() == [
        "|           |     n |",
        "|-----------|------:|",
        "| long name |     1 |",
        "| x         | 1,000 |",
    ]


def test_values_are_json(comparison):
    """All numbers, and nothing that JSON lacks: infinity is None."""
    plain = json.loads(json.dumps(values(comparison), allow_nan=False))
    base, other = plain["groups"]
    assert base["mean"] == {"value": 20.0, "low": 10.0, "high": 30.0}
    assert [run["score"] for run in other["runs"]] == [1.0, 2.0, 25.0]
    assert (base["steps_to_threshold"], other["steps_to_threshold"], other["reached"]) == (400.0, None, 1)
    assert base["curve"]["steps"] == [100.0, 200.0, 300.0, 400.0, 500.0]
    assert plain["differences"][0]["difference"]["value"] == pytest.approx(28 / 3 - 20)
    assert plain["differences"][0]["probability_of_improvement"]["value"] == pytest.approx(2 / 9)
    assert plain["differences"][0]["against"] == "base"


@pytest.mark.parametrize(
    ("estimate", "expected"),
    [(Estimate(1.5, 1, 2), "1.5 [1, 2]"), (Estimate(1234.5678), "1,235"), (None, "-")],
)
def test_estimates_are_shown_with_their_interval(estimate, expected):
    """Where they have one."""
    assert shown(estimate) == expected


def test_bars_rise_with_values():
    """From low to high; what is outside is cut."""
    assert bars([0, 1, 2, 3, 4, 5, 6, 7], 0, 7) == "▁▂▃▄▅▆▇█"
    assert bars([-math.inf, 9], 0, 7) == "▁█"
    assert bars([3, 3], 3, 3) == "▁▁"


def test_one_group_is_a_report_too(tmp_path):
    """Without differences, and without a profile of one score."""
    run = write_run(tmp_path / "one", 1, [3.0], score=4.0)
    alone = compare([Group("one", (run,))])
    assert [part.title for part in tables(alone)] == [
        "Scores",
        "IQM of return by steps",
        "Training",
    ]
    assert cells(tables(alone)[0])["one"] == ["1", "4", "4", "1"]
    assert "Fewer than 3 runs" in text(alone)
