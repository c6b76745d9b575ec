"""Every way in which a run can end, as the table of docs/how-to/read-a-run-directory.md has them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest
import runs
from misbehaving import write_pipeline

import framework
from framework import catalog
from framework.__main__ import main
from framework.plugins import Plugins
from framework.runtime.disk import checkpoint
from framework.runtime.disk import run_directory as record
from framework.runtime.learn import learner

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-a-run-directory.md"
WAYS: dict[str, Callable[..., int]] = {}


def way(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Ends a run in the way that a row of the table names; returns the exit code."""

    def add(function: Callable[..., int]) -> Callable[..., int]:
        WAYS[name] = function
        return function

    return add


def table() -> dict[str, tuple[str, str, list[str]]]:
    """The rows of the page: exit code, what standard error has, and the last events."""
    section = PAGE.read_text().partition("## How a run ends")[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\) *\| *", line.strip("| ")) for line in section.splitlines() if line.startswith("| ")]
    return {
        name: (code, " ".join(re.findall(r"“(.*?)”", stderr)), re.findall(r"`(\w+)`", events))
        for name, code, stderr, events in rows[1:]
    }


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """``framework run`` in this process, with an environment that also does ``body`` in each of its steps."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def start(body: str = "pass", *overrides: str, resume: Path | None = None) -> int:
        target = ["--resume", str(resume)] if resume else [str(write_pipeline(tmp_path, body, **{"2048": "512"}))]
        return main(["run", *target, "runtime.samplers=0", *overrides, "--runs", str(tmp_path)])

    yield start
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def started(folder: Path, body: str) -> subprocess.CompletedProcess[bytes]:
    """A run in a process of its own, whose environment does ``body`` at each step."""
    command = [*runs.FRAMEWORK, "run", str(write_pipeline(folder, body)), "runtime.samplers=0", "--runs", str(folder)]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def directory_of(folder: Path) -> Path | None:
    """The run directory in a folder."""
    return next(iter(sorted(folder.glob("*run-2*"))), None)


@pytest.mark.parametrize("name", table())
def test_a_run_ends_as_the_table_says(
    name: str, run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """Exit code, standard error and the last events are those of the row."""
    code, stderr, events = table()[name]
    assert WAYS[name](run, tmp_path, monkeypatch) == int(code)
    printed = capfd.readouterr().err
    assert stderr in printed if stderr else not printed
    assert (code == "3") == ("error in the framework, not in your pipeline file" in printed)
    directory = directory_of(tmp_path)
    recorded = [] if directory is None else [line["event"] for line in runs.lines(directory, "events.jsonl")]
    assert recorded[len(recorded) - len(events) :] == events


def test_the_traceback_of_an_environment_is_shown(run: Callable[..., int], capfd: pytest.CaptureFixture[str]) -> None:
    """From its own code on, before the line that says what failed."""
    assert run("if self.steps == 7: raise ValueError('the simulator is gone')") == 1
    error = capfd.readouterr().err
    assert error.splitlines()[0] == "Traceback (most recent call last):"
    assert "made.py" in error
    assert "framework/runtime" not in error
    assert error.splitlines()[-1].startswith("environment 0 failed in step: ValueError")


def test_sigterm_that_comes_often_asks_once(tmp_path: Path) -> None:
    """Only a second Ctrl-C ends a run unsaved: a process that is ended by others may get a signal more than once."""
    command = [*runs.FRAMEWORK, "run", str(write_pipeline(tmp_path, "pass")), "runtime.samplers=0", "--runs"]
    with subprocess.Popen([*command, str(tmp_path), "run.total_steps=1000000"], stdout=subprocess.DEVNULL) as process:
        directory = runs.wait_for_updates(tmp_path, 1, process)
        while process.poll() is None:
            process.terminate()
            time.sleep(0.001)
    assert [event["status"] for event in runs.events(directory, "finished")] == ["interrupted"]


def test_every_way_has_its_row() -> None:
    """And every row its way."""
    assert WAYS.keys() == table().keys()


@way("all steps are done")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run()


@way("resumed, and all steps were done before")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    run()
    directory = directory_of(folder)
    return run(resume=directory)


@way("Ctrl-C, SIGTERM or SIGHUP")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    for number in ("SIGTERM", "SIGHUP"):
        assert run(f"if self.steps == 7: import signal; os.kill(os.getpid(), signal.{number})") == 130
        shutil.rmtree(str(directory_of(folder)))
    return run("if self.steps == 7: import signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(100)")


@way("Ctrl-C twice")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    kill = "os.kill(os.getpid(), signal.SIGINT)"
    return started(folder, f"import signal; {kill}; {kill}").returncode


@way("killed (SIGKILL, out of memory)")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return 128 - started(folder, "if self.steps == 7: os.kill(os.getpid(), 9)").returncode


@way("an environment raises")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run("if self.steps == 7: raise ValueError('the simulator is gone')")


@way("environments that are restarted raise too often")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run(
        "if self.steps == 7: raise ValueError('the simulator is gone')", "runtime.on_environment_error='restart'"
    )


@way("an environment gives NaN or infinity")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run("observation[0] = np.nan")


@way("a sampler dies five times in a row")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run("if self.steps == 7: os._exit(77)", "runtime.samplers=1")


@way("the run directory is deleted")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run(f"import glob, shutil; [shutil.rmtree(path) for path in glob.glob('{folder}/run-*')]")


@way("the run directory is renamed")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    code = run(f"import glob; [os.rename(path, '{folder}/my-run-2') for path in glob.glob('{folder}/run-*')]")
    assert [path.name for path in checkpoint.checkpoints(folder / "my-run-2" / "checkpoints")] == ["update-00000001"]
    return code


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@way("the disk is full")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    append = record._append
    monkeypatch.setattr(
        record, "_append", lambda file, lines: (full if "metrics" in file.name else append)(file, lines)
    )
    return run()


@way("the last checkpoint cannot be saved")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    monkeypatch.setattr(checkpoint, "_write", full)
    return run("pass", "evaluation.episodes=0")


@way("the folder of the runs cannot be written")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    (folder / "file").touch()
    return main(["run", str(write_pipeline(folder)), "--runs", str(folder / "file" / "runs"), "runtime.samplers=0"])


@way("the pipeline is wrong")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run("pass", "algorithm.learning_rat=1")


@way("a plugin or a component is missing or broken")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return run("pass", "encoder={use='acme/fancy'}")


@way("a component cannot be made, or does not act")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return with_encoder(run, folder, "raise ZeroDivisionError")


@way("a component in a file of the pipeline raises in the learner")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return with_encoder(run, folder, "if self.training: raise ZeroDivisionError")


@way("a component in a file of the pipeline returns something else than it should")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    return with_encoder(run, folder, "if self.training: return None")


def with_encoder(run: Callable[..., int], folder: Path, body: str) -> int:
    (folder / "late.py").write_text(
        "from framework.interfaces import Encoding\n"
        "from framework.toolkit.networks import MLP\n"
        "class Late(MLP):\n"
        "    def __init__(self, config, context):\n"
        "        super().__init__(context.observation_space['observation'].shape[0], (8,))\n"
        "    def initial_memory(self, count):\n        return {}\n"
        f"    def forward(self, observation, memory, first):\n        {body}\n"
        "        return Encoding(super().forward(observation['observation'])), memory\n"
    )
    return run("pass", "encoder={use='late:Late'}")


@way("a component gives metrics that are no numbers")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    monkeypatch.setattr("framework_ppo.ppo.PPO.update", lambda self, batch: {"loss": "low"})
    return run()


@way("a hook stops it")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    (folder / "acme.py").write_text(
        "class Acme:\n"
        "    def __init__(self, config, context): pass\n"
        "    def update_finished(self, control): control.stop('the target is reached')\n"
    )
    return run("pass", 'callback=[{use = "acme:Acme"}]')


@way("a hook of a callback raises")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    (folder / "acme.py").write_text(
        "class Acme:\n"
        "    def __init__(self, config, context): pass\n"
        "    def update_finished(self): raise ValueError('no network')\n"
    )
    return run("pass", 'callback=[{use = "acme:Acme"}]')


@way("a hook of a plugin raises")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    class Acme:
        @framework.hookimpl
        def update_finished(self) -> None:
            raise ValueError("no network")

    installed = catalog.default_catalog().plugins
    manager = pluggy.PluginManager("framework")
    manager.add_hookspecs(framework.hookspecs)
    manager.register(Acme(), "acme")
    extended = SimpleNamespace(plugins=Plugins(installed.rows, manager))
    monkeypatch.setattr("framework.runtime.session.default_catalog", lambda: extended)
    return run()


@way("standard output cannot be written to")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as output:
        monkeypatch.setattr(sys, "stdout", output)
        return run()


@way("an error in the framework")
def _(run: Callable[..., int], folder: Path, monkeypatch: Any) -> int:
    monkeypatch.setattr(learner, "gather", lambda *arguments: 1 / 0)
    return run()
