import pytest
from markup import HOSTILE, Page, check_page
from written_runs import PIPELINE, update, write

from framework.report.html import page
from framework.report.run_curves import groups_of
from framework.report.run_pipeline import differing, flat, mixed, pipeline_of
from framework.studies.recorded_run import RecordedRun


def run(tmp_path, name="run", pipeline=PIPELINE):
    return RecordedRun(write(tmp_path / name, [update(1)], pipeline=pipeline))


def rows(markup):
    """The rows of its tables, without their heads: the texts of all cells."""
    return [text for _, text in Page(f"<div>{markup}</div>").all("tr")][1:]


def test_what_differs_from_defaults_is_listed_and_marked(tmp_path):
    """With the default; options at their default stand in the whole file alone."""
    told = pipeline_of(run(tmp_path))
    assert "algorithm.learning_rate0.0010.00025" in rows(told)
    assert "run.total_steps1000none" in rows(told)
    assert not [row for row in rows(told) if row.startswith(("algorithm.epochs", "sampling.shard", "encoder.use"))]
    read = Page(f"<div>{told}</div>")
    marked = [text for _, text in read.all("mark")]
    assert "learning_rate = 0.001  # default 0.00025" in marked
    assert not [text for text in marked if text.startswith("epochs")]
    [(_, whole)] = read.all("pre")
    assert "[algorithm]\n" in whole
    assert "epochs = 4\n" in whole
    assert "All 12 options" in read.text


def test_unknown_defaults_are_said(tmp_path):
    """Of a component in a file, whose options are shown without a word on their defaults; it is not imported."""
    pipeline = PIPELINE.replace('use = "mlp"', 'use = "mine:Encoder"')
    told = pipeline_of(run(tmp_path, pipeline=pipeline))
    assert "Of encoder the defaults are not known here." in told
    assert "encoder.hidden" not in "".join(rows(told))


def test_groups_differ_in_options(tmp_path):
    """A column each; the name says so already."""
    fast = PIPELINE.replace('"pole"', '"fast"').replace("0.001", "0.01").replace("epochs = 4\n", "")
    groups = groups_of([run(tmp_path, "a"), run(tmp_path, "b", fast)])
    assert rows(differing(groups)) == ["algorithm.learning_rate0.0010.01", "algorithm.epochs4-"]
    assert differing(groups[:1]) == ""


def test_runs_of_one_name_that_are_no_seeds_are_marked(tmp_path):
    """Where they were trained may differ, and the seed; what they learn from may not."""
    seeds = [
        run(tmp_path, str(seed), PIPELINE.replace("seed = 3", f"seed = {seed}\nreport = false")) for seed in (1, 2)
    ]
    assert mixed(groups_of([run(tmp_path, "a"), *seeds])) == ""
    mixed_in = run(tmp_path, "b", PIPELINE.replace("0.001", "0.01"))
    assert "but differ in algorithm.learning_rate." in mixed(groups_of([*seeds, mixed_in]))


def test_options_by_dotted_key():
    """Tables in arrays by their number."""
    values = {"requires": ["x"], "run": {"seed": 1}, "bonus": [{"use": "rnd"}, {"use": "icm", "kw": {"a": 1}}]}
    assert flat(values) == {
        "requires": ["x"],
        "run.seed": 1,
        "bonus.0.use": "rnd",
        "bonus.1.use": "icm",
        "bonus.1.kw": {"a": 1},
    }


@pytest.mark.parametrize("name", HOSTILE[:-1])
def test_values_are_text(tmp_path, name):
    """Whatever stands in the file, also what no option can be."""
    text = name.replace("\\", "\\\\").replace('"', '\\"')
    pipeline = f'{PIPELINE}\n["{text}"]\n"{text}" = "{text}"\n[[bonus]]\nuse = "{text}"\nday = 2026-01-01\n'
    read = run(tmp_path, pipeline=pipeline)
    namesake = run(tmp_path, "other", pipeline.replace("pole", "b").replace("0.001", "0.1"))
    groups = groups_of([read, namesake])
    check_page(page("p", pipeline_of(read), differing(groups), mixed(groups)))
