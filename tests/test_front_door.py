"""Commands and launchers of a plugin that is installed beside the framework."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import acme_launcher
import psutil
import pytest
import runs
from processes import alive, wait_for

import framework
from framework import catalog, hookspecs, plugins
from framework.__main__ import main
from framework.entry_points import EntryPoint
from framework.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_PLUGIN, EXIT_USAGE, PipelineError
from framework.runtime.link.keys import Keys
from framework.runtime.link.token import JoinToken

PROGRAM = [sys.executable, "-P", "-m", "framework"]
LAUNCHER = {"use": "acme/processes", "samplers": 2, "program": PROGRAM}
LISTEN = {"runtime.listen": "127.0.0.1:0"}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin ``acme``, in this process."""
    offered = [*plugins.installed(), EntryPoint(hookspecs.GROUP, "acme", acme_launcher, "framework-acme", "1.0")]
    monkeypatch.setattr(plugins, "installed", lambda: offered)
    catalog._catalog.cache_clear()
    yield
    catalog._catalog.cache_clear()


def test_commands_of_plugins_are_called_by_their_qualified_name(capsys: pytest.CaptureFixture[str]) -> None:
    """With their arguments and their exit code; so no plugin can take a name of the framework's."""
    assert main(["acme/greet", "you"]) == EXIT_DONE
    assert capsys.readouterr().out == "hello you\n"
    assert main(["acme/greet", "nobody"]) == 1


def test_help_lists_commands_of_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    """With the summary that the plugin declares; their own help is click's."""
    main(["--help"])
    listing = capsys.readouterr().out.partition("Commands of plugins:")[2]
    assert ["acme/greet", "Say", "hello."] in [line.split() for line in listing.splitlines()]
    main(["acme/greet", "--help"])
    assert "Say hello to NAME." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["acme/great"], EXIT_USAGE, "there is no command named 'acme/great'; did you mean acme/greet?"),
        (["nobodys/greet"], EXIT_PLUGIN, "no plugin named 'nobodys' is installed"),
        (["greet"], EXIT_USAGE, "No such command 'greet'. Did you mean 'acme/greet'?"),
        (["--no-plugin", "acme", "acme/greet", "you"], EXIT_PLUGIN, "plugin 'acme' (framework-acme 1.0) is blocked"),
        (["acme/greet", "you", "--fail"], EXIT_PLUGIN, "This is an error in plugin 'acme' (framework-acme 1.0)"),
    ],
)
def test_commands_that_are_not_there_or_fail(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what was meant, or whose error it is."""
    monkeypatch.delenv(plugins.DISABLE, raising=False)
    monkeypatch.setenv(plugins.DISABLE, "")
    assert main(arguments) == code
    assert message in capsys.readouterr().err


def test_targets_must_be_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is the plugin's mistake."""
    monkeypatch.setattr(acme_launcher, "greet", print)
    assert main(["acme/greet", "you"]) == EXIT_PLUGIN
    assert "acme_launcher:greet is not a click.Command" in capsys.readouterr().err


def test_plugins_shows_what_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    """Commands and launchers beside components, with their options."""
    main(["plugins", "acme"])
    text = capsys.readouterr().out
    assert "launcher acme/processes: Processes of their own." in text
    assert "nice: integer ≥ 0 = 0" in text
    assert "command acme/greet: Say hello." in text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            {**LISTEN, "runtime.launcher": "acme/procesess"},
            "there is no launcher named 'acme/procesess'; did you mean acme/processes?",
        ),
        ({**LISTEN, "runtime.launcher": "acme/greet"}, "'acme/greet' is of the kind command"),
        ({**LISTEN, "runtime.launcher": {"use": "acme/processes", "nicer": 1}}, "runtime.launcher.nicer: unknown"),
        (
            {**LISTEN, "runtime.launcher": {"use": "acme/processes", "nice": -1}},
            "runtime.launcher.nice: must be at least 0",
        ),
        (
            {**LISTEN, "runtime.launcher": {"use": "acme/processes", "samplers": 3, "workers": 2}},
            "runtime.launcher.samplers: must be a multiple of workers, which is 2; is 3",
        ),
        ({"runtime.launcher": LAUNCHER}, "runtime.launcher: needs runtime.listen, where its samplers connect"),
    ],
)
def test_launchers_are_checked_with_the_pipeline(tmp_path: Path, overrides: dict[str, object], message: str) -> None:
    """Names and options, before anything is started."""
    with pytest.raises(PipelineError) as error:
        framework.load(runs.write(tmp_path), overrides)
    assert message in str(error.value)


def test_a_launcher_that_cannot_be_built_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it listens, with the plugin's traceback."""

    def fail(*arguments: object) -> None:
        raise ConnectionError("no cluster")

    monkeypatch.setattr(acme_launcher.Processes, "__init__", fail)
    overrides = ["runtime.samplers=0", 'runtime.launcher="acme/processes"', "--listen", "127.0.0.1:0"]
    assert main(["run", str(runs.write(tmp_path)), *overrides, "--runs", str(tmp_path / "runs")]) == EXIT_PLUGIN
    assert "failed while it was built: ConnectionError: no cluster" in capsys.readouterr().err
    [directory] = (tmp_path / "runs").iterdir()
    assert runs.events(directory, "listening") == []
    assert not (directory / "launch").exists()


# --- whole runs --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the launched ones are to equal: a single process does it."""
    folder = tmp_path_factory.mktemp("local")
    return runs.run(runs.write(folder), folder, runtime__samplers=0)


def hosts(directory: Path) -> dict[str, psutil.Process]:
    """The processes of a run's launch, by the names of their hosts."""
    folder = str(directory / "launch")
    keepers = [process for process in psutil.process_iter(["cmdline"]) if folder in str(process.info["cmdline"])]
    found = {}
    for child in (child for keeper in keepers for child in keeper.children()):
        command = child.cmdline()
        if "--name" in command:
            found[command[command.index("--name") + 1]] = child
    return found


def nothing_is_left(directory: Path, processes: dict[str, psutil.Process]) -> bool:
    """Whether a launch has gone, with its key, its folder and its processes."""
    clients = Keys(directory).clients().items()
    assert [name for name, client in clients if name != "join" and not client.get("revoked")] == []
    return list((directory / "launch").iterdir()) == [] and not any(map(alive, processes.values()))


def files_with(token: JoinToken, folder: Path) -> list[Path]:
    """The files below a folder that tell a token's secret."""
    secrets = str(token).encode(), token.secret.encode()
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if any(secret in path.read_bytes() for secret in secrets)]


@pytest.mark.slow
def test_a_launched_run_is_the_same_as_a_local_one(local: Path, tmp_path: Path) -> None:
    """Bit for bit, where a host is killed and replaced too; when it is done nothing of the launch is left."""
    seen: dict[str, psutil.Process] = {}

    def kill(session: runs.Session, update: runs.Update) -> None:
        if update.number == 3:
            seen.update(hosts(session.directory))
            seen["acme-0"].kill()

    where = {"runtime__samplers": 0, "runtime__listen": "127.0.0.1:0", "runtime__launcher": LAUNCHER}
    launched = runs.run(runs.write(tmp_path), tmp_path, kill, **where)
    assert set(seen) == {"acme-0", "acme-1"}
    runs.assert_equal_runs(local, launched)
    [event] = runs.events(launched, "launched")
    assert (event["launcher"], event["samplers"]) == ("acme/processes", 2)
    assert nothing_is_left(launched, seen)


@pytest.fixture
def installation(tmp_path: Path) -> dict[str, str]:
    """The environment of processes in which the plugin is installed."""
    information = tmp_path / "site" / "framework_acme-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Name: framework-acme\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{hookspecs.GROUP}]\nacme = acme_launcher\n")
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(acme_launcher.__file__).parent)])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def learner(tmp_path: Path, installation: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ``framework run`` in a process of its own, for a run in the folder ``runs``."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [*PROGRAM, "run", *arguments]
        with (tmp_path / "learner.log").open("ab") as log:
            started.append(subprocess.Popen(command, env=installation, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True], ids=["at-work", "lost"])
def test_a_learner_that_is_killed_finds_its_hosts_again(
    local: Path, tmp_path: Path, learner: Callable[..., subprocess.Popen[bytes]], lost: bool
) -> None:
    """They stay at work while it is resumed; where they are gone by then, others are started. The run is the same."""
    launcher = "runtime.launcher=" + json.dumps(LAUNCHER).replace(":", " =")
    process = learner(
        *(str(runs.write(tmp_path)), "runtime.samplers=0", launcher, "--listen", "127.0.0.1:0"),
        *("--runs", str(tmp_path / "runs")),
    )
    directory = runs.wait_for_updates(tmp_path / "runs", 3, process)
    process.kill()
    process.wait()
    before = hosts(directory)
    assert set(before) == {"acme-0", "acme-1"}
    assert all(map(alive, before.values()))
    if lost:
        [keeper] = {host.parent() for host in before.values()}
        keeper.kill()
        wait_for(lambda: not any(map(alive, before.values())))
    after: dict[str, psutil.Process] = {}
    for _ in framework.train(framework.load_run(directory), resume=directory):
        after = after or hosts(directory)
    assert set(after) == set(before)
    assert (after == before) != lost
    runs.assert_equal_runs(local, directory)
    assert nothing_is_left(directory, before | after)


@pytest.mark.slow
def test_a_run_that_is_interrupted_ends_its_launch(
    tmp_path: Path, learner: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """And starts another when it is resumed."""
    launcher = "runtime.launcher=" + json.dumps(LAUNCHER).replace(":", " =")
    process = learner(
        *(str(runs.write(tmp_path)), "run.total_steps=100000000", "runtime.samplers=0", launcher),
        *("--listen", "127.0.0.1:0", "--runs", str(tmp_path / "runs")),
    )
    directory = runs.wait_for_updates(tmp_path / "runs", 3, process)
    before = hosts(directory)
    assert set(before) == {"acme-0", "acme-1"}
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == EXIT_INTERRUPTED
    assert nothing_is_left(directory, before)
    updates = framework.train(framework.load_run(directory), resume=directory)
    next(updates)
    after = hosts(directory)
    assert set(after) == {"acme-0", "acme-1"}
    updates.close()  # type: ignore[attr-defined]
    assert nothing_is_left(directory, after)


@pytest.mark.slow
def test_a_launch_comes_and_goes_during_a_run(
    tmp_path: Path, learner: Callable[..., subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command: hosts join, are more, and are sent away with their key; the run waits for others."""

    def launch(*arguments: str) -> str:
        assert main(["launch", *arguments]) == EXIT_DONE
        return capsys.readouterr().out

    process = learner(
        *(str(runs.write(tmp_path)), "run.total_steps=100000000", "runtime.samplers=0", "--listen", "127.0.0.1:0"),
        *("--runs", str(tmp_path / "runs")),
    )
    directory: Path = wait_for(lambda: next((tmp_path / "runs").glob("*/join"), None)).parent
    program = f"program={json.dumps(PROGRAM)}"
    launch("acme/processes", str(directory), "--samplers", "2", "--workers", "2", program)
    wait_for(lambda: len(runs.events(directory, "sampler_joined")) == 2)
    [one] = hosts(directory).values()
    launch("--scale", "4", str(directory))
    wait_for(lambda: len(runs.events(directory, "host_joined")) == 2)
    two = hosts(directory)
    assert one in two.values()
    status = launch("--status", str(directory)).splitlines()
    assert status[0] == "acme/processes: 4 samplers"
    assert [line.split()[:3] for line in status[2:]] == [["acme-0", "running", "here"], ["acme-1", "running", "here"]]
    file = directory / "launch/acme-processes/token"
    token = JoinToken.read(str(file))
    assert files_with(token, tmp_path) == [file]
    assert not any(str(token) in " ".join(process.cmdline()) for process in psutil.process_iter() if alive(process))
    launch("--stop", str(directory))
    assert nothing_is_left(directory, two)
    # One whose last message is lost with its connection is sent away with its key.
    away = {"host_left", "host_refused"}
    wait_for(
        lambda: {line["host"] for line in runs.lines(directory, "events.jsonl") if line["event"] in away} == set(two)
    )
    assert Keys(directory).name_of(token.public) is None
    assert process.poll() is None
