"""A study while it is trained; the runs themselves are made up."""

import io
import threading

import pytest
import runs
from synthetic_runs import write_run

from framework.errors import RunError
from framework.report import training
from framework.studies.jobs import Jobs
from framework.studies.study import Study


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of two seeds whose runs are written instead of trained; those of seed 2 as ``behaviour`` has them."""

    def make(behaviour=None):
        def run(jobs, job):
            seed = int(job.folder.name.removeprefix("seed-"))
            if seed == 2 and behaviour is not None:
                behaviour(job)
            return write_run(job.folder / "run", seed, [1.0, 2.0], score=float(seed))

        monkeypatch.setattr(Jobs, "run", run)
        return Study(tmp_path / "study", runs.write(tmp_path), seeds=(1, 2))

    return make


def test_each_run_is_told_when_it_has_ended(study, capsys):
    """With its score; then all are there."""
    trained = study()
    training.train(trained, 1)
    ends = [line for line in capsys.readouterr().err.splitlines() if not line.endswith(": training")]
    assert sorted(ends) == [
        "pipeline, seed 1: done after 200 steps, return 1.00",
        "pipeline, seed 2: done after 200 steps, return 2.00",
    ]
    assert [group.seeds for group in trained.groups] == [(1, 2)]


def test_what_fails_does_not_end_the_others(study, capsys):
    """It is told at once, and again at the end."""

    def fail(job):
        raise RunError("the simulator is gone")

    failing = study(fail)
    with pytest.raises(RunError, match="1 of 2 runs failed; the same command tries them again"):
        training.train(failing, 1)
    assert "pipeline, seed 2: the simulator is gone" in capsys.readouterr().err
    assert [group.seeds for group in failing.groups] == [(1,)]


def test_errors_that_are_none_of_a_run_are_raised(study):
    """They are mistakes of a program."""

    def fail(job):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        training.train(study(fail), 1)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_read_from_the_run_while_it_goes_on(study, monkeypatch, terminal):
    """As bars in a terminal, as lines elsewhere."""
    shown, stream = threading.Event(), Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(training, "_LINE_INTERVAL", 0.0)
    monkeypatch.setattr(training, "_BAR_INTERVAL", 0.05)
    monkeypatch.setattr(training, "_LOOK", 0.05)
    steps = training._steps

    def look(job):
        done = steps(job)
        if done == 1024:
            shown.set()
        return done

    monkeypatch.setattr(training, "_steps", look)

    def train(job):
        (job.folder / "half").mkdir(parents=True)
        (job.folder / "half" / "metrics.jsonl").write_text('{"steps": 512}\n{"steps": 1024}\n{"ste')
        assert shown.wait(30)
        shown.clear()
        assert shown.wait(30)  # what was read before is shown by now

    training.train(study(train), 2)
    assert "pipeline, seed 2" in stream.getvalue()
    assert "50%" in stream.getvalue()


def test_interruption_is_told_while_runs_are_saved(study, capsys, monkeypatch):
    """Ctrl-C ends the study; what was trained stays."""

    monkeypatch.setattr(training, "wait", interrupt_at_second_look(training.wait))
    release = threading.Event()
    monkeypatch.setattr(Jobs, "__exit__", lambda jobs, *_: release.set())
    interrupted = study(lambda job: release.wait(30))
    with pytest.raises(KeyboardInterrupt):
        training.train(interrupted, 1)
    assert "saving the runs that are being trained; once more to end at once" in capsys.readouterr().err
    assert (interrupted.folder / "study.json").is_file()


def interrupt_at_second_look(wait):
    looks = []

    def look(*arguments):
        looks.append(arguments)
        if len(looks) == 2:
            raise KeyboardInterrupt
        return wait(*arguments)

    return look
