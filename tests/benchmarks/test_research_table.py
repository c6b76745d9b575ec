"""The table of the research environment: from rows and scores to tables, and the script as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from runs import run
from synthetic_runs import write_run

import framework
from framework.catalog import find_function
from framework.errors import FrameworkError
from framework.pipeline.document import differences
from framework.studies.jobs import Jobs
from measure import research_scores
from measure.kept_runs import curve, job, kept_of_table
from measure.research_rows import ALWAYS, FACTBOOK, held_out_cells, read_rows, transfer_cells
from measure.results import BENCHMARKS

ROWS = BENCHMARKS / "pipelines/research-rows.toml"
PIPELINE = """\
[run]
name = "small"
total_steps = 10_000
[environment]
use = "research"
observation_mode = "state"
task_complexity = 0.0
[encoder]
use = "mlp"
hidden = [16]
[algorithm]
use = "ppo"
[curriculum]
use = "threshold"
[sampling]
environments = 4
rollout_length = 16
[runtime]
samplers = 0
"""
SMALL = """\
full = "full"
[[row]]
name = "random"
policy = "framework_research.policies.experts:random_legal"
pipeline = "small.toml"
[[row]]
name = "full"
pipeline = "small.toml"
[[row]]
name = "expert"
policy = "framework_research.policies.experts:expert"
pipeline = "small.toml"
overrides = ["environment.gamma=0.98"]
[[ablation]]
name = "without curriculum"
overrides = ["~curriculum"]
[[step]]
name = "first"
pipeline = "small.toml"
overrides = ["~curriculum", "algorithm.epochs=1"]
[[step]]
name = "then"
overrides = ["algorithm.epochs=1"]
[[step]]
name = "second"
row = "without curriculum"
"""


def cell(successes: list[list[int]]) -> dict[str, np.ndarray]:
    share = np.array(successes, float)
    return {"success": share, "return": share - 0.1, "length": 10 - share}


def test_rows_are_those_of_the_file() -> None:
    """Each once; ablations change the pipeline that is named full, and steps lead to it from the baseline."""
    rows = read_rows(ROWS)
    assert len({row.name for row in rows.all}) == len(rows.all) == len({row.folder for row in rows.all})
    (full,) = (row for row in rows.table if row.name == "full pipeline")
    (baseline,) = (row for row in rows.table if row.name == "baseline PPO")
    assert full.policy is None
    first, *ablation = rows.ablation
    assert first == full
    assert all(row.pipeline == full.pipeline and row.overrides for row in ablation)
    first, second, *later = rows.steps.values()
    assert first == baseline
    assert second.pipeline == baseline.pipeline
    assert all(row.pipeline == full.pipeline for row in later)
    assert later[-1] == full


def test_steps_add_one_thing_each() -> None:
    """From the baseline on: a section of the pipeline, or the algorithm's head; self-imitation with its options."""
    pipelines = [framework.load(row.pipeline, row.overrides).to_plain() for row in read_rows(ROWS).steps.values()]
    added = [
        {key.split(".")[0] for key in differences(before, after)} - {"run"} for before, after in pairwise(pipelines)
    ]
    assert added[0] == {"curriculum"}
    assert added[1] >= {"encoder"}
    assert added[2] == {"algorithm"}
    assert added[3] == {"bonus"}
    assert added[4] == {"replay"}


def test_rows_are_there_to_be_measured() -> None:
    """Each pipeline loads with its overrides, also in the settings it is measured in; each policy is a function."""
    for row in read_rows(ROWS).all:
        assert row.policy is None or callable(find_function(row.policy))
        settings = [cell for name, cell in transfer_cells(0.4).items() if not name.startswith(FACTBOOK)]
        for cell in (*settings, *held_out_cells([0.0, 0.6]).values()):
            framework.load(row.pipeline, [*row.overrides, *cell])


def test_settings_differ_from_the_source_in_one_thing_each() -> None:
    """Names, pairs, level, or corpus; rewards are sparse everywhere, and no pipeline's own tasks are played."""
    source, *targets = transfer_cells(0.4).values()
    assert all(set(ALWAYS) < set(cell) for cell in (source, *targets, *held_out_cells([0.4]).values()))
    assert source == [*ALWAYS, "environment.task_complexity=0.4"]
    names, pairs, level, corpus = ([override for override in cell if override not in source] for cell in targets)
    assert names == ['environment.split="test"', 'environment.bigrams="train"']
    assert pairs == ['environment.bigrams="held out"']
    assert level == ["environment.task_complexity=0.6"]
    assert corpus == ['environment.corpus="factbook"']
    assert held_out_cells([0.0])["test 0"][-1] == "environment.task_complexity=0.0"
    assert [name for name in transfer_cells(0.9) if "level" in name] == []  # there is no 1.1


def test_columns_are_means_of_all_seeds_and_episodes() -> None:
    """With an interval around each; what is not measured has none."""
    columns = research_scores.columns({"test 0.4": cell([[1, 1, 0, 0], [1, 1, 1, 1]])}, 0.4)
    assert columns["completed, %"].estimate == 75.0
    assert columns["completed, %"].low < 75.0 < columns["completed, %"].high
    assert columns["reward × 100"].estimate == pytest.approx(65.0)
    assert columns["steps"].estimate == 9.25
    assert columns["efficiency"] is None


def test_transfer_is_what_is_left_of_the_gain_over_chance() -> None:
    """Of each target, from 0 to 1; their mean; nothing where nothing was gained."""
    chance = {name: cell([[0, 0, 0, 0, 1]] * 2) for name in ("source 0.4", "new names 0.4", "new pairs 0.4")}
    trained = {
        "source 0.4": cell([[1, 1, 1, 1, 1]] * 2),  # gains 0.8
        "new names 0.4": cell([[0, 0, 1, 1, 1]] * 2),  # gains 0.4: a half
        "new pairs 0.4": cell([[0, 0, 0, 0, 0]] * 2),  # loses: nothing
    }
    interval = research_scores.transfer(trained, chance, 0.4)
    assert interval.estimate == pytest.approx(0.25)
    assert 0 <= interval.low < 0.25 < interval.high <= 1
    assert research_scores.transfer(chance, chance, 0.4) is None
    assert research_scores.targets(trained, 0.4) == ["new names", "new pairs"]


def test_completion_by_level_is_of_all_seeds() -> None:
    """Their mean at each level in order that all rows play, and the interquartile mean of all levels and seeds."""
    common = {"test 0.1": cell([[1, 1], [1, 1]]), "test 0": cell([[1, 1], [1, 0]]), "test 1": cell([[0, 0], [0, 0]])}
    extended = common | {"test 0.5": cell([[1, 1], [1, 1]])}
    header, _, first, second = research_scores.level_table({"one": extended, "other": common}).splitlines()
    assert first.split("|")[2:] == second.split("|")[2:]
    assert [title.strip() for title in header.split("|")[2:6]] == ["0", "0.1", "1", "IQM"]
    assert [value.strip() for value in first.split("|")[1:5]] == ["one", "75.0", "100.0", "0.0"]
    assert first.split("|")[5].strip().startswith("62.5 [")  # of 0 0 50 100 100 100 the middle four


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of rows that are trained for one update."""
    (tmp_path / "small.toml").write_text(PIPELINE)
    (tmp_path / "rows.toml").write_text(SMALL)
    return tmp_path / "rows.toml"


def test_a_run_that_is_kept_is_taken_or_refused(rows: Path, tmp_path: Path) -> None:
    """A whole one of this pipeline is not trained again; one of another pipeline is told by what they differ in."""
    (full,) = (row for row in read_rows(rows).table if row.policy is None)
    existing = run(full.pipeline, tmp_path / "kept/full/seed-7", run__seed=7, run__total_steps=64)
    with Jobs(1) as jobs:
        kept = jobs.run(job(tmp_path / "kept", full, 7, ["run.total_steps=64"]))
        with pytest.raises(FrameworkError, match=r"is a run of another pipeline: run\.total_steps differ"):
            jobs.run(job(tmp_path / "kept", full, 7))
    assert kept.directory == existing
    assert curve(kept, "evaluation/episodes") == [[64, 20.0]]
    assert curve(kept, "curriculum/other") == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_script_trains_evaluates_and_writes(rows: Path, tmp_path: Path) -> None:
    """Once: the second time all is there. Then tables, both pictures, and the mean of each score."""
    pytest.importorskip("matplotlib")

    def script() -> str:
        command = [sys.executable, BENCHMARKS / "research_table.py", "--quick", "--rows", rows, "--runs", "kept"]
        process = subprocess.run([*command, "--jobs", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr
        return process.stderr

    log = script()
    assert log.count("trained by process") == 4
    assert log.count("evaluated in") == 6
    second_log = script()
    assert "trained by process" not in second_log
    assert "evaluated in" not in second_log
    for picture in ("table", "ablation", "steps"):
        assert (tmp_path / f"kept/research-{picture}.png").stat().st_size > 10_000
    result = json.loads((tmp_path / "kept/research-table.json").read_text())
    success = {run["row"]: run["scores"]["test 0.4"]["success"] for run in result["measurements"]}
    assert success["random"] == 0 < success["expert"]
    parts = {
        "level 0.4": ("random", "full", "expert"),
        "all levels": ("random", "full", "expert"),
        "ablation": ("full", "without curriculum"),
        "ablation, all levels": ("full", "without curriculum"),
        "steps": ("first", "then", "second"),
        "steps, all levels": ("first", "then", "second"),
    }
    for part, names in parts.items():
        assert [line.split("|")[1].strip() for line in result["parts"][part][2:]] == list(names)
    assert result["parts"].keys() - parts == {"notes", "training"}


def test_training_is_told_by_row() -> None:
    """Steps, sampler processes, and minutes of all seeds, of what was trained."""
    rows = [{"row": "one", "steps": 2048, "samplers": 0, "minutes": minutes} for minutes in (0.25, 1.5)]
    header, _, *lines = research_scores.training_table([{"row": "expert"}, *rows]).splitlines()
    assert "minutes" in header
    assert [[value.strip() for value in line.split("|")[1:5]] for line in lines] == [["one", "2,048", "0", "0.2, 1.5"]]


def test_runs_of_a_row_are_all_there_or_none(tmp_path: Path) -> None:
    """One of each seed, in their order; where one is missing the script says who trains it."""
    runs = [tmp_path / "a-row" / f"seed-{seed}" / "run" for seed in (2, 1)]
    for directory in runs:
        write_run(directory, 1, [0.0])
    assert kept_of_table(tmp_path, "a-row", [2, 1]) == runs
    with pytest.raises(SystemExit, match=r"a-row has no run of each seed: research_table\.py trains them"):
        kept_of_table(tmp_path, "a-row", [1, 2, 3])
