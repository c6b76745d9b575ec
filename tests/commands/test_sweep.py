import signal
import subprocess
import sys
import time

import pytest
import runs
from fake_trainer import FakeTrainer, trial_number

from framework.__main__ import main
from framework.studies import jobs, sweep
from framework.studies.ledger import Ledger
from framework.studies.space import read_space

SPACE = """
"algorithm.epochs" = { low = 1, high = 4 }
"algorithm.learning_rate" = { low = 1e-4, high = 1e-2, log = true }
"encoder.hidden" = { choices = [[8], [16, 16]] }
"""


class FakeJobs(FakeTrainer):
    """As a context manager, too."""

    def __init__(self, scores, **options):
        super().__init__(scores, **options)
        self.left = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.left = True


def curve(job):
    """Trial 1 fails; of the others the later ones are better."""
    number = trial_number(job)
    return None if number == 1 else {600: float(number), 1000: float(number)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a pipeline and a space."""
    runs.write(tmp_path, runs.CARTPOLE.replace("2048", "1000"))
    (tmp_path / "space.toml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "_LOOK", 0.0)
    return tmp_path


@pytest.fixture
def command(folder, monkeypatch, capsys):
    """Runs the command with a trainer that writes these scores; returns exit code, output and errors."""

    def run(*arguments, trainer=None):
        monkeypatch.setattr(jobs, "Jobs", lambda count: trainer or FakeJobs(curve))
        code = main(["sweep", "pipeline.toml", "space.toml", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_tells_of_trials_and_writes_the_best(command, folder, capsys):
    """The table, failures with their logs, the best as it is typed, and a pipeline that `check` accepts."""
    code, output, errors = command("--trials", "4", "--startup", "9")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == (
        "pipeline.toml evaluates at the end only: for pruning, trials are evaluated every 200 steps (--no-prune leaves"
        " that out)"
    )
    assert "4 of 4 trials: 3 complete, 1 failed" in lines
    assert "trial 1 failed: sweeps/pipeline/trials/1/seed-3/log.txt says why" in lines
    head = lines.index(next(line for line in lines if line.startswith("trial  ")))
    assert lines[head].split() == ["trial", "evaluation/return", "epochs", "learning_rate", "hidden"]
    assert [line.split()[:2] for line in lines[head + 1 : head + 4]] == [["3", "3"], ["2", "2"], ["0", "0"]]
    best = next(line for line in lines if line.startswith("best: "))
    assert best.startswith("best: framework run pipeline.toml algorithm.epochs=")
    assert "'encoder.hidden=[" in best
    assert lines[-1] == "as a pipeline: sweeps/pipeline/best.toml"
    assert main(["check", "sweeps/pipeline/best.toml"]) == 0
    assert "is valid" in capsys.readouterr().out


def test_same_command_again_trains_nothing(command):
    """It shows the same; with more trials it goes on."""
    code, first, _ = command("--trials", "3")
    trainer = FakeJobs(curve)
    assert command("--trials", "3", trainer=trainer)[:2] == (code, "\n".join([first.splitlines()[0], *_tail(first)]))
    assert trainer.started == []
    command("--trials", "5", trainer=trainer)
    assert [path.parent.name for path in trainer.started] == ["3", "4"]


def _tail(output):
    lines = output.splitlines()
    return [*lines[lines.index("3 of 3 trials: 2 complete, 1 failed") - 1 :], ""]


def test_interrupted_it_shows_the_best_so_far(command, monkeypatch):
    """Ctrl-C and SIGTERM: runs are left to be saved, and the exit code says that it can go on."""

    def interrupt(*_):
        signal.raise_signal(signal.SIGTERM)

    trainer = FakeJobs(lambda job: {1000: 1.0}, waits=True)
    monkeypatch.setattr(sweep, "wait", interrupt)
    before = signal.getsignal(signal.SIGTERM)
    code, output, errors = command("--jobs", "2", trainer=trainer)
    assert code == 130
    assert errors == "interrupted: runs are saved, and the same command goes on\n"
    assert output.endswith("2 of 50 trials: 2 running\nno trial is complete: there is no best one yet\n")
    assert trainer.left
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_is_wrong_is_told_before_anything_is_made(command, folder):
    """A key that the pipeline does not know, with file and line; a metric that no run will have."""
    (folder / "space.toml").write_text('\n"algorithm.epoch" = { low = 1, high = 4 }\n')
    code, _, errors = command()
    assert (code, errors) == (2, "space.toml:2: algorithm.epoch: unknown key; did you mean epochs?\n")
    (folder / "space.toml").write_text(SPACE)
    runs.write(folder, runs.CARTPOLE.replace("episodes = 2", "episodes = 0"))
    code, _, errors = command()
    assert (code, errors.startswith("evaluation/return needs evaluations: set evaluation.episodes")) == (1, True)
    assert not (folder / "sweeps").exists()


def test_other_settings_are_refused(command, folder):
    """With the keys that differ."""
    command("--trials", "1", "--folder", "here")
    code, _, errors = command("--trials", "1", "--folder", "here", "--seeds", "2", "--no-prune")
    assert (code, errors.partition(";")[0]) == (1, "here has a sweep with other settings: prune, seeds differ")


def test_without_optuna_nothing_is_made(command, folder, monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, errors = command()
    assert code == 4
    assert 'pip install "framework-rl[tune]"' in errors
    assert not (folder / "sweeps").exists()


@pytest.mark.slow
def test_killed_and_interrupted_a_real_sweep_loses_nothing(folder):
    """kill -9, then Ctrl-C, then to the end: three trials, whole runs, nothing counted twice."""
    arguments = ["sweep", "pipeline.toml", "space.toml", "--trials", "3", "--jobs", "2", "--folder", "sweep"]
    for number in (signal.SIGKILL, signal.SIGINT):
        with subprocess.Popen([*runs.FRAMEWORK, *arguments], stdout=subprocess.DEVNULL) as process:
            _wait_for_runs(folder / "sweep", 1 if number == signal.SIGKILL else 2)
            process.send_signal(number)
        assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    whole = subprocess.run([*runs.FRAMEWORK, *arguments], capture_output=True, text=True, check=False)
    assert (whole.returncode, whole.stderr) == (0, "")
    ledger = Ledger(folder / "sweep" / "study.sqlite", read_space(folder / "space.toml", folder / "pipeline.toml"))
    trials = ledger.trials()
    ledger.close()
    assert [(trial.number, trial.state) for trial in trials] == [(number, "complete") for number in range(3)]
    assert len(list((folder / "sweep").glob("trials/*/seed-3/*/manifest.json"))) == 3


def _wait_for_runs(folder, count):
    deadline = time.monotonic() + 90
    while len(list(folder.glob("trials/*/*/*/metrics.jsonl"))) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
