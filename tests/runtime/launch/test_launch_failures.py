"""Launches that are killed, whose launcher raises, or whose file is damaged; the engine is a list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_engine
import pytest
from fake_engine import active, launch

from framework.errors import PluginError, RunError
from framework.runtime.launch.launch import Launch


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    with fake_engine.forgotten():
        yield


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """That of a run that has listened."""
    return fake_engine.listening(tmp_path)


KILLED = """
import os, sys
from pathlib import Path
import fake_engine
from framework.runtime.launch.launch import Launch
if sys.argv[2] == "stop":
    fake_engine.Engine.stop = lambda self: os._exit(9)
else:
    fake_engine.Engine.start = lambda self, work: os._exit(9)
Launch(Path(sys.argv[1]), {"use": fake_engine.USE, "samplers": 4}, "launcher", Path(sys.argv[1]).parent).%s()
"""


def test_what_was_killed_while_it_started_is_started_anew(run: Path) -> None:
    """The engine may have some of it, so it is stopped first; its key is ended."""
    command = [sys.executable, "-c", KILLED % "start", str(run), "start"]
    support = {"PYTHONPATH": str(Path(fake_engine.__file__).parent)}
    assert subprocess.run(command, env=support, check=False).returncode == 9
    assert launch(run).is_started
    assert active(run) == ["fake_engine-Engine-1"]
    launch(run).start()
    assert fake_engine.calls == [("stop", 0), ("start", 4)]
    assert active(run) == ["fake_engine-Engine-2"]


def test_what_was_killed_while_it_stopped_is_stopped(run: Path) -> None:
    """By whoever asks for it next; a run that is resumed starts it anew."""
    launch(run).start()
    command = [sys.executable, "-c", KILLED % "stop", str(run), "stop"]
    support = {"PYTHONPATH": str(Path(fake_engine.__file__).parent)}
    assert subprocess.run(command, env=support, check=False).returncode == 9
    launch(run).start()
    assert fake_engine.calls == [("start", 4), ("stop", 0), ("start", 4)]
    assert active(run) == ["fake_engine-Engine-2"]


def test_what_was_killed_while_it_was_removed_is_no_launch(run: Path) -> None:
    """What lies in its folder is not taken for anything."""
    launch(run).start()
    (launch(run).directory / "launch.json").unlink()
    assert not launch(run).is_started
    launch(run).start()
    assert fake_engine.calls == [("start", 4), ("start", 4)]
    assert launch(run).is_started


# --- launchers that raise ----------------------------------------------------------------------------------------


def test_where_the_engine_refuses_nothing_is_left(run: Path) -> None:
    """Neither a key nor a file; nothing is stopped, as what the engine has of the same name is somebody else's."""
    error = fake_engine.raises["start"] = RunError("pong exists already")
    with pytest.raises(RunError) as raised:
        launch(run).start()
    assert raised.value is error
    assert fake_engine.calls == [("start", 4)]
    assert active(run) == []
    assert list((run / "launch").iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyError("pong")], ids=["ctrl-c", "mistake"])
def test_where_it_is_interrupted_nothing_is_left(run: Path, error: BaseException) -> None:
    """The engine is told to end what it may have; that it cannot is no news beside why."""
    fake_engine.raises["start"] = error
    fake_engine.raises["stop"] = RunError("there is nothing to stop")
    with pytest.raises((KeyboardInterrupt, PluginError)) as raised:
        launch(run).start()
    assert raised.value is error or raised.value.__cause__ is error
    assert fake_engine.calls == [("start", 4), ("stop", 0)]
    assert active(run) == []
    assert list((run / "launch").iterdir()) == []


@pytest.mark.parametrize("error", [ZeroDivisionError("by design"), SystemExit(3)], ids=["error", "exit"])
@pytest.mark.parametrize("method", ["plan", "start", "scale", "status", "stop"])
def test_errors_that_are_not_for_users_are_the_plugins(run: Path, method: str, error: BaseException) -> None:
    """With its name, where it comes from, what it was asked for, and the traceback."""
    if method not in ("plan", "start"):
        launch(run).start()
    fake_engine.raises[method] = error
    asked = launch(run, 2)
    with pytest.raises(PluginError) as raised:
        (asked.start if method == "scale" else getattr(asked, method))()
    text = str(raised.value)
    blamed = f"launcher 'fake_engine:Engine' (fake_engine:Engine) failed in {method}: {type(error).__name__}"
    assert text.startswith(blamed)
    assert "Traceback" in text
    assert "fake_engine.py" in text


def test_an_engine_that_does_not_end_them_can_be_asked_again(run: Path) -> None:
    """It is told how, as a run that is done may end so; until then nobody joins."""
    launch(run).start()
    fake_engine.raises["stop"] = RunError("no route to the cluster")
    with pytest.raises(RunError) as raised:
        launch(run).stop()
    again = f"framework launch --stop fake_engine:Engine {run}"
    first, second = str(raised.value).splitlines()
    assert first == "no route to the cluster"
    assert second == f"Nobody can join any more; to end the samplers of fake_engine:Engine: {again}"
    assert active(run) == []
    fake_engine.raises.clear()
    launch(run).stop()
    assert Launch.names(run) == []


@pytest.mark.parametrize("method", ["plan", "scale", "status"])
def test_refusals_are_told_as_they_are(run: Path, method: str) -> None:
    """They are for users."""
    launch(run).start()
    error = fake_engine.raises[method] = RunError("the cluster is closed")
    asked = launch(run, 2)
    with pytest.raises(RunError) as raised:
        (asked.start if method == "scale" else getattr(asked, method))()
    assert raised.value is error
    assert Launch.started(run)[0].samplers == 4


def test_what_it_prints_goes_to_standard_error(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for the plan."""

    def plan(self: Any, work: Any) -> str:
        print("chatter", flush=True)
        return "the plan"

    monkeypatch.setattr(fake_engine.Engine, "plan", plan)
    assert launch(run).plan() == "the plan"
    assert capfd.readouterr() == ("", "chatter\n")


def test_a_method_that_is_missing_is_the_plugins_mistake(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""
    monkeypatch.delattr(fake_engine.Engine, "plan")
    with pytest.raises(PluginError, match="failed in plan: AttributeError: 'Engine' object has no attribute 'plan'"):
        launch(run).plan()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"table": {}}'])
def test_a_damaged_file_is_told(run: Path, text: str) -> None:
    """With what to do."""
    launch(run).start()
    file = run / "launch/fake_engine-Engine/launch.json"
    file.write_text(text)
    for ask in (Launch.names, lambda run: launch(run).stop(), lambda run: launch(run).start()):
        with pytest.raises(RunError, match=r"launch\.json: damaged; end what the engine has of it by its own means"):
            ask(run)
