"""`framework eval`: of runs, of functions, with overrides."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from runs import run, write
from screen import terminal

from framework.__main__ import main

SMALL = {"run__total_steps": 128, "runtime__samplers": 0, "evaluation__episodes": 3}
POLICIES = """
def right(observation, action_mask, generator):
    return 1

def lean(observation, action_mask, generator):
    return int(observation[2] > 0)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two seeds of one pipeline, and one of another."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline = write(folder)
    (folder / "policies.py").write_text(POLICIES)
    variants = [{"run__seed": 1}, {"run__seed": 2}, {"run__seed": 3, "algorithm__epochs": 1}]
    return [run(pipeline, folder / "runs", **SMALL, **options) for options in variants]


@pytest.fixture
def evaluate(capsys):
    """Run ``framework eval``; returns exit code, output and errors."""

    def evaluate(*arguments):
        code = main(["eval", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return evaluate


def summary_of(evaluate, *arguments):
    code, output, errors = evaluate(*arguments, "--json")
    assert (code, errors) == (0, "")
    return json.loads(output)


def test_a_run_is_evaluated_as_it_was_while_training(evaluate, runs):
    """By default: the same episodes, as many; the means are those of its last evaluation."""
    lines = [json.loads(line) for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    last = {name.removeprefix("evaluation/"): value for name, value in lines[-1].items()}
    summary = summary_of(evaluate, runs[0], "--checkpoint", "last")
    for name in ("return", "return_std", "return_min", "return_max", "length", "episodes"):
        assert summary[name] == last[name]
    assert summary["runs"] == 1
    low, high = summary["intervals"]["return"]
    assert summary["return_min"] <= low <= summary["return"] <= high <= summary["return_max"]


def test_the_result_in_words(evaluate, runs):
    """A line for each score, with its interval."""
    code, output, _ = evaluate(runs[0], "--episodes", 8)
    head, *lines = output.splitlines()
    assert (code, head) == (0, "8 episodes, means with 95% intervals")
    assert [line.split("  ")[0] for line in lines] == ["return", "return IQM", "length"]
    assert all("[" in line for line in lines)


def test_what_evaluation_reads_can_be_overridden(evaluate, runs):
    """The environment's options and the evaluation's."""
    summary = summary_of(evaluate, runs[0], "environment.max_episode_steps=5", "evaluation.episodes=4")
    assert (summary["length"], summary["return_max"], summary["episodes"]) == (5.0, 5.0, 4)
    assert summary["intervals"]["length"] == [5.0, 5.0]


@pytest.mark.parametrize("override", ["algorithm.learning_rate=1.0", "run.seed=4", "encoder.hidden=[8]", "bonus=[]"])
def test_what_was_trained_cannot_be_changed(evaluate, runs, override):
    """It is said, and what can."""
    code, _, errors = evaluate(runs[0], override)
    key = override.partition("=")[0]
    assert code == 2
    assert errors.startswith(f"override: {key}: an evaluation changes nothing of what was trained: only [environment]")


def test_a_policy_stays_with_its_spaces(evaluate, runs):
    """An environment that it was not trained for is refused, and both spaces are shown."""
    code, _, errors = evaluate(runs[0], 'environment.id="Acrobot-v1"')
    assert code == 1
    assert "cannot act here: it was trained with the observation space Box" in errors
    assert "(6,)" in errors


def test_several_runs_are_one_result(evaluate, runs):
    """Episodes of all of them, each with its own policy and seed."""
    joint = summary_of(evaluate, *runs[:2], "--episodes", 5)
    single = [summary_of(evaluate, path, "--episodes", 5) for path in runs[:2]]
    assert (joint["runs"], joint["episodes"]) == (2, 10)
    assert joint["return"] == pytest.approx(np.mean([summary["return"] for summary in single]))
    assert "2 runs of 5 episodes" in evaluate(*runs[:2], "--episodes", 5)[1]


def test_runs_must_be_of_one_pipeline(evaluate, runs):
    """Those of others are refused, and so is the same seed twice."""
    code, _, errors = evaluate(*runs[1:])
    assert (code, "are no runs of one pipeline: algorithm.epochs differ" in errors) == (1, True)
    code, _, errors = evaluate(runs[0], runs[0])
    assert (code, "are runs with the same seed" in errors) == (1, True)


def test_overrides_may_be_long(evaluate, runs):
    """Longer than the name of any file."""
    assert summary_of(evaluate, runs[0], f"evaluation.episodes={' ' * 300}1")["episodes"] == 1


def test_functions_are_evaluated_beside_runs(evaluate, runs):
    """Found beside the pipeline file, from the run or from the file; the better one is better."""
    pipeline = runs[0].parents[1] / "pipeline.toml"
    rightward = summary_of(evaluate, runs[0], "--policy", "policies:right", "--episodes", 10)
    lean = summary_of(evaluate, pipeline, "--policy", "policies:lean", "--episodes", 10)
    assert rightward["return_max"] < 12
    assert lean["return"] > 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "policies:left"], "policies has no left"),
        (["--policy", "elsewhere:left"], "no module 'elsewhere' that can be imported"),
        (["--policy", "policies"], "must be written module:function"),
        (["--policy", "policies:__name__"], "is no function"),
        ([], "has no trained policy: name a run directory"),
    ],
)
def test_a_policy_that_is_not_there_is_an_error(evaluate, runs, arguments, message):
    """What is missing is said."""
    code, _, errors = evaluate(runs[0].parents[1] / "pipeline.toml", *arguments)
    assert code in (1, 2)
    assert message in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run.seed=1"], "name a run directory"),
        (["nowhere"], "there is no run directory or pipeline file nowhere"),
        ([".", ".", "--video", "v.gif"], "--video is for one run"),
        ([".", ".", "--policy", "a:b"], "--policy is for one run"),
    ],
)
def test_wrong_usage_is_an_error(evaluate, arguments, message):
    """Exit code 2."""
    code, _, errors = evaluate(*arguments)
    assert (code, message in errors) == (2, True)


def test_progress_is_shown_in_a_terminal_alone(runs, monkeypatch, capsys):
    """On standard error, of which nothing is left; the result is on standard output."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    with terminal(80) as opened, os.fdopen(os.dup(opened.descriptor), "w") as errors:
        monkeypatch.setattr("sys.stderr", errors)
        assert main(["eval", *map(str, runs[:2])]) == 0
        errors.write("end\n")
        errors.flush()
        opened.wait_for("end")
    shown = [line for lines in opened.screen.history for line in lines]
    assert any(re.fullmatch(r"run 1 of 2: \d of 3 episodes finished, step \d+", line) for line in shown)
    assert any(line.startswith("run 2 of 2: ") for line in shown)
    assert opened.screen.lines == ["end"]
    assert capsys.readouterr().out.startswith("2 runs of 3 episodes")


def test_video_is_told_and_needs_no_desktop(evaluate, runs, tmp_path, monkeypatch):
    """Where it was written is said beside the result. SDL looks for no desktop where there is none."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    video = tmp_path / "episodes.gif"
    code, output, errors = evaluate(
        runs[0], "environment.max_episode_steps=3", "--episodes", 1, "--video", video, "--json"
    )
    assert (code, errors) == (0, f"wrote {video}\n")
    assert json.loads(output)["episodes"] == 1
    assert video.stat().st_size > 0
    assert os.environ["SDL_VIDEODRIVER"] == "dummy"
