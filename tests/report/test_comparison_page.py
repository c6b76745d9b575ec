import numpy as np
import pytest
from markup import HOSTILE, check_page
from synthetic_runs import write_run

from framework.report.comparison_page import comparison_page
from framework.studies.comparison import compare
from framework.studies.groups import Group


def page(folder, groups, title="pole"):
    """The page of groups of runs, by the scores of each."""
    made = []
    for number, (name, scores) in enumerate(groups):
        runs = (
            write_run(folder / f"{number}-{seed}", seed, np.linspace(0, score, 5), score=score)
            for seed, score in enumerate(scores, 1)
        )
        made.append(Group(name, tuple(runs)))
    return check_page(comparison_page(compare(made, resamples=100), title))


def test_page_has_charts_tables_and_notes(tmp_path):
    """Every chart is described in words, every table has a caption, and every run is listed."""
    read = page(tmp_path, [("base", [10.0, 20.0, 30.0]), ("other", [1.0, 2.0, 25.0])])
    assert [text for _, text in read.all("h1")] == ["pole, compared"]
    assert [text for _, text in read.all("h2")] == [
        "Notes",
        "Scores",
        "Against base",
        "IQM of return by steps",
        "Performance profile",
        "Training",
        "Runs",
    ]
    charts = [text for attributes, text in read.all("svg") if attributes.get("role") == "img"]
    assert len(charts) == 6
    assert any("base: 20 [10, 30]" in words for words in charts)
    assert any("other: from 0 at 100 to 9.333 at 500 environment steps" in words for words in charts)
    assert any("other: 22.22% [0%, 66.67%]" in words for words in charts)
    assert len(read.all("caption")) == len(read.all("table")) == 6
    assert [text for _, text in read.all("code")] == [f"{tmp_path}/{n}-{seed}" for n in (0, 1) for seed in (1, 2, 3)]
    assert "Intervals of 3 runs are too narrow" in read.text


def test_page_of_few_runs_has_no_intervals(tmp_path):
    """Curves alone; one group is compared with nothing."""
    read = page(tmp_path, [("alone", [3.0])])
    assert "Against" not in read.text
    assert [attributes for attributes, _ in read.all("path") if attributes.get("class") in {"band", "bar"}] == []
    assert "Fewer than 3 runs" in read.text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_do_not_become_markup(tmp_path, name):
    """Those of groups and of the study."""
    page(tmp_path, [(name, [1.0, 2.0, 3.0]), (f"{name} 2", [2.0, 3.0, 4.0])], title=name)
