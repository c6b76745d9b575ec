"""Commands and launchers of a plugin that is installed beside the framework."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import acme_launcher
import pytest
import runs

import framework
from framework import catalog, hookspecs, plugins
from framework.__main__ import main
from framework.entry_points import EntryPoint
from framework.errors import EXIT_DONE, EXIT_PLUGIN, EXIT_USAGE, PipelineError

LAUNCHER = {"runtime.launcher": {"use": "acme/processes", "nice": 1}}


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
    assert listing.split()[:3] == ["acme/greet", "Say", "hello."]
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


@pytest.mark.slow  # CI runs it
def test_a_run_is_the_same_wherever_its_samplers_start(tmp_path: Path) -> None:
    """With a plugin's launcher, whose process is killed and replaced, as inside the learner."""

    def kill(session: runs.Session, update: runs.Update) -> None:
        if update.number == 3:
            os.kill(runs.events(session.directory, "sampler_joined")[0]["process"], signal.SIGKILL)

    path = runs.write(tmp_path)
    local = runs.run(path, tmp_path / "local", runtime__samplers=0)
    launched = runs.run(path, tmp_path / "launched", kill, runtime__samplers=1, **_underscored(LAUNCHER))
    runs.assert_equal_runs(local, launched)
    assert [event["status"] for event in runs.events(launched, "sampler_lost")] == [-signal.SIGKILL]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"runtime.launcher": "acme/procesess"}, "there is no launcher named 'acme/procesess'; did you mean acme/proc"),
        ({"runtime.launcher": "acme/greet"}, "'acme/greet' is of the kind command"),
        ({"runtime.launcher": {"use": "acme/processes", "nicer": 1}}, "runtime.launcher.nicer: unknown"),
        ({"runtime.launcher": {"use": "acme/processes", "nice": -1}}, "runtime.launcher.nice: must be at least 0"),
        ({**LAUNCHER, "runtime.samplers": 0}, "runtime.launcher: has nothing to start where samplers is 0"),
    ],
)
def test_launchers_are_checked_with_the_pipeline(tmp_path: Path, overrides: dict[str, object], message: str) -> None:
    """Names and options, before anything is started."""
    with pytest.raises(PipelineError) as error:
        framework.load(runs.write(tmp_path), overrides)
    assert message in str(error.value)


def test_a_launcher_that_cannot_be_built_fails_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before there is a run directory, and with the plugin's traceback."""

    def fail(*arguments: object) -> None:
        raise ConnectionError("no cluster")

    monkeypatch.setattr(acme_launcher.Processes, "__init__", fail)
    arguments = [
        "run",
        str(runs.write(tmp_path)),
        'runtime.launcher="acme/processes"',
        "--runs",
        str(tmp_path / "runs"),
    ]
    assert main(arguments) == EXIT_PLUGIN
    assert "failed while it was built: ConnectionError: no cluster" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def _underscored(overrides: dict[str, object]) -> dict[str, object]:
    return {name.replace(".", "__"): value for name, value in overrides.items()}
