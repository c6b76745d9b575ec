"""What is asked of an engine for a run, kept in the run's directory; the engine is a list."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_engine
import pytest
from fake_engine import active, everything, launch
from processes import wait_for

from framework.errors import PipelineError, RunError
from framework.runtime.launch.launch import Launch
from framework.runtime.link.keys import Keys
from framework.runtime.link.token import JoinToken


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    with fake_engine.forgotten():
        yield


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """That of a run that has listened."""
    return fake_engine.listening(tmp_path)


# --- starting ----------------------------------------------------------------------------------------------------


def test_hosts_are_asked_for_with_a_key_of_their_own(run: Path) -> None:
    """As many as the samplers make with so many workers each; the token is a join key of the run."""
    started = launch(run, 6, workers=2, program=["python", "-m", "framework"])
    started.start()
    assert fake_engine.calls == [("start", 3)]
    assert started.is_started
    [key] = active(run)
    token = JoinToken.read(str(run / "launch/fake_engine-Engine/token"))
    assert (token.name, token.run, token.endpoints) == (key, run.name, ("tcp://192.0.2.1:5555",))
    assert Keys(run).name_of(token.public) == key


def test_nobody_else_may_read_it(run: Path) -> None:
    """The folder is 0700, and its files are 0600."""
    started = launch(run)
    started.start()
    assert stat.S_IMODE(started.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in started.directory.iterdir()}
    assert {modes["token"], modes["launch.json"]} == {0o600}


def test_the_secret_is_in_the_token_alone(run: Path) -> None:
    """No other file of the run has it, nor the whole token."""
    launch(run).start()
    token = JoinToken.read(str(run / "launch/fake_engine-Engine/token"))
    text = str(token).encode()
    with_it = [name for name, (data, _) in everything(run).items() if token.secret.encode() in data or text in data]
    assert with_it == ["launch/fake_engine-Engine/token"]


def test_a_plan_writes_nothing(run: Path) -> None:
    """It names neither a key nor the token, and the engine is asked for nothing."""
    before = everything(run)
    text = launch(run, 6, workers=2).plan()
    assert text.startswith("3 hosts of 2 in here for run-7: ['framework', 'sampler', '--join', '-', '--workers', '2'")
    assert everything(run) == before
    assert not (run / "launch").exists()
    assert fake_engine.calls == [("plan", 3)]


def test_a_run_must_have_listened(tmp_path: Path) -> None:
    """Else there is nobody to join; nothing is written."""
    run = tmp_path / "deaf"
    run.mkdir()
    with pytest.raises(RunError, match="does not listen for samplers of other machines: start it, or resume it, with"):
        launch(run).start()
    assert list(run.iterdir()) == []
    Keys(run, create=True)
    with pytest.raises(RunError, match="has not listened yet"):
        launch(run).start()
    assert not launch(run).is_started
    assert fake_engine.calls == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"use": "acme/processes"}, "launcher.use: no plugin named 'acme' is installed"),
        ({"use": "fake_engine:Engines"}, "has no Engines; did you mean Engine?"),
        ({"use": fake_engine.USE, "zones": "x"}, "launcher.zones: unknown key; did you mean zone?"),
        ({"use": fake_engine.USE, "samplers": 0}, "launcher.samplers: must be at least 1, is 0"),
        (
            {"use": fake_engine.USE, "samplers": 3, "workers": 2},
            "launcher.samplers: must be a multiple of workers, which is 2; is 3",
        ),
        ({"use": fake_engine.USE, "program": "framework"}, "launcher.program: expected an array"),
        ({"use": fake_engine.USE, "program": []}, "launcher.program: must have a program"),
        ({"use": fake_engine.USE, "at": "5555"}, "launcher.at: "),
    ],
)
def test_tables_are_checked(run: Path, table: dict[str, Any], message: str) -> None:
    """Names, options and numbers, before anything is written."""
    before = everything(run)
    with pytest.raises(PipelineError) as error:
        Launch(run, table, "launcher", run)
    assert message in str(error.value)
    assert everything(run) == before


# --- starting again ----------------------------------------------------------------------------------------------


def test_starting_the_same_again_changes_nothing(run: Path) -> None:
    """As a resumed learner does, whose hosts are at work: key and token stay; the engine may have lost some hosts."""
    launch(run).start()
    before = {name: data for name, (data, _) in everything(run).items()}
    launch(run).start()
    assert {name: data for name, (data, _) in everything(run).items()} == before
    assert fake_engine.calls == [("start", 4), ("status", 0), ("scale", 4)]


def test_another_number_is_another_number(run: Path) -> None:
    """The engine is asked for it, with the same key; it is remembered."""
    launch(run).start()
    keys = active(run)
    launch(run, 7).start()
    assert fake_engine.calls[-1] == ("scale", 7)
    assert active(run) == keys
    assert Launch.started(run)[0].samplers == 7
    Launch.started(run, fake_engine.USE, samplers=2)[0].start()
    assert fake_engine.calls[-1] == ("scale", 2)
    with pytest.raises(PipelineError, match=r"launcher.samplers: must be at least 1, is 0"):
        Launch.started(run, fake_engine.USE, samplers=0)


@pytest.mark.parametrize("options", [{"zone": "there"}, {"workers": 2}, {"program": ["other"]}])
def test_other_options_are_refused(run: Path, options: dict[str, Any]) -> None:
    """What is at work stays as it is; it is told how to end it."""
    launch(run).start()
    before = everything(run)
    with pytest.raises(RunError, match="by fake_engine:Engine with other options: end it first, with framework launch"):
        launch(run, **options).start()
    assert everything(run) == before
    assert fake_engine.calls == [("start", 4)]


def test_two_launchers_are_two_launches(run: Path) -> None:
    """With a key each; ending one leaves the other."""
    second = launch(run, use="fake_engine:Other")
    launch(run).start()
    second.start()
    assert Launch.names(run) == ["fake_engine:Engine", "fake_engine:Other"]
    assert len(active(run)) == 2
    launch(run).stop()
    assert Launch.names(run) == ["fake_engine:Other"]
    assert active(run) == ["fake_engine-Other-1"]


def test_hosts_that_have_all_ended_are_started_anew(run: Path) -> None:
    """As where a run is resumed whose engine has given up: with a new key, as the old one may be why."""
    launch(run, 2).start()
    fake_engine.states.update({"host-0": "ended", "host-1": "waiting"})
    launch(run, 2).start()
    assert fake_engine.calls[-2:] == [("status", 0), ("scale", 2)]
    fake_engine.states.update({"host-1": "ended"})
    launch(run, 3).start()
    assert fake_engine.calls[-3:] == [("status", 0), ("stop", 0), ("start", 3)]
    assert active(run) == ["fake_engine-Engine-2"]


def test_hosts_that_cannot_join_are_started_anew(run: Path) -> None:
    """As where the run listens elsewhere now, or their key was revoked."""
    launch(run).start()
    Keys(run).listening(["tcp://192.0.2.1:7777"])
    launch(run).start()
    assert fake_engine.calls == [("start", 4), ("stop", 0), ("start", 4)]
    token = JoinToken.read(str(run / "launch/fake_engine-Engine/token"))
    assert (token.name, token.endpoints) == ("fake_engine-Engine-2", ("tcp://192.0.2.1:7777",))
    Keys(run).revoke("fake_engine-Engine-2")
    launch(run).start()
    assert fake_engine.calls[3:] == [("stop", 0), ("start", 4)]
    assert active(run) == ["fake_engine-Engine-3"]


def test_hosts_may_reach_the_learner_elsewhere(run: Path) -> None:
    """Under a name that stays, wherever the run listens."""
    launch(run, at="learner.example.org:5555").start()
    token = JoinToken.read(str(run / "launch/fake_engine-Engine/token"))
    assert token.endpoints == ("tcp://learner.example.org:5555",)
    Keys(run).listening(["tcp://192.0.2.1:7777"])
    launch(run, at="learner.example.org:5555").start()
    assert fake_engine.calls == [("start", 4), ("status", 0), ("scale", 4)]


def test_an_engine_that_has_lost_them_starts_them_anew(run: Path) -> None:
    """As after a reboot of the machine that a launcher's process was on."""
    launch(run).start()
    fake_engine.raises["status"] = RunError("the process has ended")
    launch(run).start()
    assert fake_engine.calls[-3:] == [("status", 0), ("stop", 0), ("start", 4)]
    assert active(run) == ["fake_engine-Engine-2"]


def test_an_engine_that_cannot_be_reached_is_told(run: Path) -> None:
    """And can be asked again later; until then nobody can join with the key."""
    launch(run).start()
    error = fake_engine.raises["status"] = fake_engine.raises["stop"] = RunError("no route to the cluster")
    with pytest.raises(RunError) as raised:
        launch(run).start()
    assert raised.value is error
    assert launch(run).is_started
    assert active(run) == []
    fake_engine.raises.clear()
    launch(run).start()
    assert fake_engine.calls[-2:] == [("stop", 0), ("start", 4)]
    assert active(run) == ["fake_engine-Engine-2"]


def test_two_at_once_start_it_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits, and finds it at work."""
    begun, go_on = threading.Event(), threading.Event()
    start = fake_engine.Engine.start

    def slowly(self: Any, work: Any) -> None:
        begun.set()
        assert go_on.wait(10)
        start(self, work)

    monkeypatch.setattr(fake_engine.Engine, "start", slowly)
    threads = [threading.Thread(target=launch(run).start) for _ in range(2)]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert fake_engine.calls == [("start", 4), ("status", 0), ("scale", 4)]
    assert len(active(run)) == 1


# --- stopping ----------------------------------------------------------------------------------------------------


def test_stopping_leaves_nothing(run: Path) -> None:
    """The engine is told, the key is ended, the folder is gone; once more does nothing."""
    started = launch(run)
    started.start()
    started.stop()
    started.stop()
    assert fake_engine.calls == [("start", 4), ("stop", 0)]
    assert active(run) == []
    assert list((run / "launch").iterdir()) == []
    assert Launch.names(run) == []


def test_what_was_never_started_is_not_stopped(run: Path) -> None:
    """Nothing is asked for, and nothing is written."""
    launch(run).stop()
    assert fake_engine.calls == []
    assert not (run / "launch").exists()


def test_a_key_that_is_gone_does_not_keep_it_from_stopping(run: Path) -> None:
    """As where the keys of a run were damaged, and made anew."""
    launch(run).start()
    (run / "keys.json").unlink()
    Keys(run, create=True).listening(["tcp://192.0.2.1:5555"])
    launch(run).stop()
    assert Launch.names(run) == []


# --- what is kept ------------------------------------------------------------------------------------------------


def test_files_of_launchers_are_found_again(run: Path, tmp_path: Path) -> None:
    """Where they were when it was started."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mine.py").write_text("from fake_engine import Engine\n\nclass Mine(Engine):\n    '''Mine.'''\n")
    Launch(run, {"use": "mine:Mine", "samplers": 4}, "launcher", folder).start()
    [name] = Launch.names(run)
    Launch.started(run, name, samplers=2)[0].start()
    assert fake_engine.calls[-1] == ("scale", 2)


def test_files_that_a_stranger_names_are_not_imported(run: Path, tmp_path: Path) -> None:
    """A run directory that another account has written can name any; one is to say that it is trusted."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\n")
    launch(run).start()
    file = run / "launch/fake_engine-Engine/launch.json"
    values = json.loads(file.read_text())
    table = {**values["table"], "use": "evil:Evil"}
    (run / "launch/evil-Evil").mkdir()
    stolen = json.dumps(values | {"table": table, "directory": str(tmp_path), "authentication": "0" * 64})
    (run / "launch/evil-Evil/launch.json").write_text(stolen)
    assert Launch.names(run) == ["evil:Evil", "fake_engine:Engine"]
    with pytest.raises(RunError, match=r"would run Python files that it names: .*evil\.py; read them, then say --tr"):
        Launch.started(run, "evil:Evil")
    with pytest.raises(PipelineError, match="imported"):
        Launch.started(run, "evil:Evil", trusted=True)
    Launch.started(run, fake_engine.USE)


def test_the_lock_goes_with_whoever_has_it(run: Path) -> None:
    """A process that is killed while it starts something keeps nobody from doing so."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, os, sys, time\n"
            "lock = os.open(sys.argv[1], os.O_RDONLY)\nfcntl.flock(lock, fcntl.LOCK_EX)\nprint(1, flush=True)\n"
            "time.sleep(60)",
            str(_made(run / "launch")),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"1\n"
    thread = threading.Thread(target=launch(run).start)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    holder.kill()
    holder.communicate()
    thread.join(10)
    wait_for(lambda: launch(run).is_started)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
