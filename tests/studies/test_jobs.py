import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import runs

from framework.errors import FrameworkError, RunError
from framework.studies import jobs as jobs_module
from framework.studies.jobs import Job, Jobs

STUDY = """
import sys
from pathlib import Path
from framework.studies.jobs import Job, Jobs
folder, pipeline, *overrides = sys.argv[1:]
with Jobs(1) as jobs:
    jobs.train([Job(Path(folder), Path(pipeline), tuple(overrides))])
"""
INSIDE = ("runtime.samplers=0",)


def job(folder, *overrides):
    return Job(folder / "run", runs.write(folder), (*INSIDE, *overrides))


def test_trains_what_is_missing_and_keeps_what_is_whole(tmp_path):
    """The second time nothing is started; options of where a run happens may differ."""
    told = []
    with Jobs(1, told.append) as jobs:
        (trained,) = jobs.train([job(tmp_path, "run.total_steps=256")])
        assert (trained.status, trained.steps, len(told)) == ("done", 256, 1)
        again = jobs.run(job(tmp_path, "run.total_steps=256", "runtime.samplers=2"))
    assert (again.directory, len(told)) == (trained.directory, 1)
    with Jobs(1) as jobs, pytest.raises(FrameworkError, match=r"run of another pipeline: run\.total_steps differ"):
        jobs.run(job(tmp_path, "run.total_steps=512"))


def test_what_fails_is_told_with_its_log(tmp_path):
    """The log has what the process said."""
    wrong = job(tmp_path, "environment.id=Nowhere-v0")
    with Jobs(1) as jobs, pytest.raises(RunError, match=r"ended with exit code \d+: .*log\.txt says why"):
        jobs.run(wrong)
    assert "Nowhere" in wrong.log.read_text()


def test_a_study_that_ends_early_can_go_on(tmp_path):
    """Runs that it has started are saved when it is left, and resumed the next time."""
    long = job(tmp_path, "run.total_steps=4096", "checkpoint.every_seconds=1000")
    with ThreadPoolExecutor() as threads, Jobs(1) as jobs:
        training = threads.submit(jobs.run, long)
        _wait_for_updates(long)
        jobs.__exit__()
        assert isinstance(training.exception(), RunError)
    saved = long.kept()
    assert saved is not None
    assert saved.status == "interrupted"
    with Jobs(1) as jobs:
        whole = jobs.run(long)
    assert (whole.directory, whole.status, whole.steps) == (saved.directory, "done", 4096)


def test_jobs_can_be_ended_one_by_one(tmp_path):
    """Their runs are saved; one that has not begun does not begin, and others go on."""
    long = job(tmp_path / "long", "run.total_steps=100000", "checkpoint.every_seconds=1000")
    waiting, short = job(tmp_path / "waiting"), job(tmp_path / "short", "run.total_steps=256")
    with Jobs(1) as jobs:
        futures = [jobs.start(started) for started in (long, waiting, short)]
        _wait_for_updates(long)
        jobs.end(waiting)
        jobs.end(long)
        assert futures[2].result().status == "done"
        assert [type(future.exception()) for future in futures[:2]] == [RunError, RunError]
    saved = long.kept()
    assert saved is not None
    assert saved.status == "interrupted"
    assert waiting.kept() is None


def test_runs_of_a_study_that_is_killed_are_saved(tmp_path):
    """They end with it, and the next study waits until they have."""
    long = job(tmp_path, "run.total_steps=4096", "checkpoint.every_seconds=1000")
    study = subprocess.Popen([sys.executable, "-c", STUDY, str(long.folder), str(long.pipeline), *long.overrides])
    _wait_for_updates(long)
    study.kill()
    study.wait()
    with Jobs(1) as jobs:
        whole = jobs.run(long)
    assert (whole.status, whole.steps) == ("done", 4096)
    assert "resumed" in [event["event"] for event in whole.events]


def test_what_does_not_end_when_it_is_told_is_killed(tmp_path, monkeypatch):
    """After a minute, or at a second Ctrl-C."""
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); "
    log = tmp_path / "log"
    monkeypatch.setattr(jobs_module, "_GRACE", 0.1)
    with log.open("w") as file, Jobs(1) as jobs:
        process = jobs._start(job(tmp_path), [sys.executable, "-c", f"{stubborn} time.sleep(1000)"], file)
        while "ready" not in log.read_text():
            time.sleep(0.01)
    assert process.wait(10) == -9


def _wait_for_updates(training):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        kept = training.kept()
        if kept is not None and kept.steps:
            return
        time.sleep(0.05)
    raise AssertionError(training.log.read_text())
