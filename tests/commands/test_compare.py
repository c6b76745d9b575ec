"""`framework compare`: of a pipeline that is trained, and of runs that exist."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import time

import click
import pytest
import runs
from markup import check_page
from synthetic_runs import write_run

from framework.__main__ import main
from framework.commands.compare import Seeds
from framework.studies import comparison
from framework.studies.jobs import Jobs

SMALL = ("runtime.samplers=0", "run.total_steps=256")


@pytest.fixture
def compare(capsys, monkeypatch):
    """Run ``framework compare``, with quick intervals; returns exit code, output and errors."""
    monkeypatch.setattr(comparison, "compare", functools.partial(comparison.compare, resamples=100))

    def compare(*arguments):
        code = main(["compare", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return compare


@pytest.fixture
def untrained(monkeypatch, tmp_path):
    """Runs are written instead of trained, in the working directory; the overrides of each."""
    trained = []

    def run(jobs, job):
        if (kept := job.kept()) is None:
            trained.append(job.overrides)
            seed = int(job.overrides[-1].removeprefix("run.seed="))
            gain = 10 * len(job.overrides)
            kept = write_run(job.folder / "run", seed, [1.0, seed + gain], score=float(seed + gain))
        return kept

    monkeypatch.setattr(Jobs, "run", run)
    monkeypatch.chdir(tmp_path)
    runs.write(tmp_path)
    return trained


@pytest.fixture
def recorded(tmp_path):
    """Three seeds at each of two learning rates."""
    return [
        write_run(tmp_path / f"{rate}-{seed}", seed, [1.0, seed * rate], score=seed * rate, algorithm={"rate": rate})
        for rate in (1.0, 2.0)
        for seed in (1, 2, 3)
    ]


def test_pipeline_is_trained_once_with_every_seed_and_variant(compare, untrained):
    """And never again: the second time all is there, and only what is new is trained."""
    arguments = ["pipeline.toml", *SMALL, "--against", "algorithm.epochs=1"]
    code, output, _ = compare(*arguments, "--seeds", 3)
    assert code == 0
    assert "Against pipeline" in output
    assert "algorithm.epochs=1" in output
    assert sorted(untrained) == sorted(
        (*SMALL, *changes, f"run.seed={seed}") for seed in (1, 2, 3) for changes in ((), ("algorithm.epochs=1",))
    )
    compare(*arguments, "--seeds", "2,9")
    assert len(untrained) == 8
    code, output, _ = compare("studies/pipeline", "--json", "-")
    assert (code, len(untrained)) == (0, 8)
    groups = json.loads(output)["groups"]
    assert {group["name"]: [run["seed"] for run in group["runs"]] for group in groups} == {
        "pipeline": [1, 2, 3, 9],
        "algorithm.epochs=1": [1, 2, 3, 9],
    }


def test_files_have_the_same_numbers(compare, recorded, tmp_path):
    """JSON, Markdown and the page; their folder is made where it is missing."""
    files = {name: tmp_path / "new" / f"out.{name}" for name in ("json", "markdown", "html")}
    options = [part for name, file in files.items() for part in (f"--{name}", file)]
    code, output, errors = compare(*(run.directory for run in recorded), *options, "--threshold", 3)
    assert (code, errors) == (0, "")
    assert "4 [2, 6]" in output
    assert json.loads(files["json"].read_text())["groups"][1]["mean"] == {"value": 4.0, "low": 2.0, "high": 6.0}
    assert "| algorithm.rate=2.0 |" in files["markdown"].read_text()
    page = check_page(files["html"].read_text())
    assert "4 [2, 6]" in page.text
    assert [text for _, text in page.all("h1")] == ["pole, compared"]


def test_runs_that_are_not_whole_are_told(compare, recorded, tmp_path):
    """The others are compared."""
    killed = write_run(tmp_path / "killed", 4, [1.0, 2.0], score=1.0, status="killed", algorithm={"rate": 1.0})
    code, output, _ = compare(killed.directory, *(run.directory for run in recorded))
    assert code == 0
    assert "killed is left out: it is killed at 200 of 200 steps" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.toml"], "nowhere.toml is neither a pipeline file nor a run directory"),
        (["pipeline.toml", "--seeds", "0"], "'0' names no seed, or one of them twice"),
        (["pipeline.toml", "--seeds", "3-5"], "'3-5' is neither a number of seeds, such as 5, nor seeds"),
        (
            ["pipeline.toml", "evaluation.episodes=0"],
            "has no evaluations: set evaluation.episodes=20, or --metric return",
        ),
        ([".", "--seeds", "3"], "are for a pipeline file, not for runs"),
        (["study", "study"], "study is a study, which is compared alone"),
    ],
)
def test_usage_is_told(compare, untrained, tmp_path, arguments, message):
    """Before anything is made."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study/study.json").write_text("{}")
    code, _, errors = compare(*arguments)
    assert (code, untrained) == (2, [])
    assert message in errors
    assert not (tmp_path / "studies").exists()


def test_folder_that_is_no_run_is_told(compare, tmp_path):
    """With the file that is missing."""
    code, _, errors = compare(tmp_path)
    assert code == 1
    assert "is no run directory: pipeline.toml cannot be read" in errors


def test_interruption_says_how_to_go_on(compare, untrained, monkeypatch):
    """With the exit code of an interrupted run."""

    def interrupted(jobs, job):
        raise KeyboardInterrupt

    monkeypatch.setattr("framework.report.training.train", interrupted)
    code, output, errors = compare("pipeline.toml")
    assert (code, output, errors) == (130, "", "interrupted; the same command goes on\n")


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (1, 2, 3)), ("1,2,7", (1, 2, 7)), ("4,", (4,)), ("0,5", (0, 5)), ("1", (1,))]
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    """A comma makes it a list."""
    assert Seeds().convert(text, None, None) == seeds


@pytest.mark.parametrize("text", ["", "0", "1,1", "-1", "a", "1,,2", "1.5"])
def test_other_seeds_are_refused(text):
    """None, one of them twice, and what is no number."""
    with pytest.raises(click.BadParameter):
        Seeds().convert(text, None, None)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_study_goes_on_where_it_was_stopped(compare, tmp_path):
    """After Ctrl-C and after a kill: each run is one run directory, is whole, and was resumed where it was cut off."""
    options = ("runtime.samplers=0", "run.total_steps=8192", "--seeds", "2", "--jobs", "2", "--folder", tmp_path / "s")
    command = [*runs.FRAMEWORK, "compare", runs.write(tmp_path), *options]
    for number in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            steps = _updates(tmp_path)
            while _updates(tmp_path) < steps + 4:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(number)
        assert process.returncode == (130 if number == signal.SIGINT else -number)
    code, output, _ = compare(*command[len(runs.FRAMEWORK) + 1 :])
    assert (code, output.count("Scores")) == (0, 1)
    directories = [path.parent for path in tmp_path.glob("s/*/*/*/manifest.json")]
    assert len(directories) == 2
    for directory in directories:
        assert [line["update"] for line in runs.lines(directory, "metrics.jsonl")][:-1] == list(range(1, 65))
        assert [event["status"] for event in runs.events(directory, "finished")][-1] == "done"
    assert any(runs.events(directory, "resumed") for directory in directories)


def _updates(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("s/*/*/*/metrics.jsonl"))
