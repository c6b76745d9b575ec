"""Plugins that print, hang, die or raise what nobody expects while they are imported."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from framework import catalog, commands, foreign, hookspecs, plugins
from framework.__main__ import main
from framework.catalog import Component
from framework.entry_points import EntryPoint
from framework.errors import EXIT_PLUGIN, PluginError
from framework.lifecycle import Lifecycle
from framework.plugins import Plugin
from framework.schema import check_defaults, option

GOOD = "from framework import hookimpl\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Plugin]:
    """Loads a plugin whose module has this text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def start(text: str) -> Plugin:
        (tmp_path / "acme_plugin.py").write_text(GOOD + text)
        monkeypatch.delitem(sys.modules, "acme_plugin", raising=False)
        offered = EntryPoint(hookspecs.GROUP, "acme", "acme_plugin", "acme-plugin", "1.0")
        (row,) = plugins.load([offered]).rows
        return row

    return start


def test_what_a_plugin_prints_is_not_output(load: Callable[[str], Plugin], capsys: Any) -> None:
    """It goes to standard error, also from its hooks."""
    text = "print('hello')\n@hookimpl\ndef register_encoders(register):\n    print('again')\n"
    assert load(text).status == "loaded"
    assert capsys.readouterr() == ("", "hello\nagain\n")


def test_what_its_programs_print_is_not_output(load: Callable[[str], Plugin], capfd: Any) -> None:
    """Nor what is written to the file descriptor; afterwards output is where it was."""
    assert load("import os\nos.write(1, b'hello ')\nos.system('echo again')\n").status == "loaded"
    print("output", flush=True)
    assert capfd.readouterr() == ("output\n", "hello again\n")


@pytest.mark.parametrize("error", ["BaseException('x')", "GeneratorExit", "KeyboardInterrupt", "SystemExit(5)"])
def test_whatever_a_plugin_raises_breaks_itself_alone(load: Callable[[str], Plugin], error: str) -> None:
    """Its row says what it was."""
    row = load(f"raise {error}")
    assert row.status == "broken"
    assert row.reason.startswith(error.partition("(")[0])


def test_an_interrupt_names_who_was_loaded(load: Callable[[str], Plugin], capfd: Any) -> None:
    """Ctrl-C is the user's, and ends the command."""
    with pytest.raises(foreign.Interrupted):
        load("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    assert capfd.readouterr().err == "interrupted while loading plugin 'acme' (acme-plugin 1.0)\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


PIPELINE = """
[run]
total_steps = 64
[environment]
use = "gymnasium"
id = "CartPole-v1"
[encoder]
use = "acme:Encoder"
[algorithm]
use = "ppo"
[runtime]
samplers = 0
"""


def write_files(folder: Path, text: str = "", body: str = "pass", base: str = "object") -> None:
    """A pipeline whose encoder is in a file with this text; ``body`` is that of its ``__init__``."""
    (folder / "pipeline.toml").write_text(PIPELINE)
    text += f"\nclass Encoder({base}):\n    def __init__(self, config, context):\n        {body}\n"
    (folder / "acme.py").write_text(text)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Checks a pipeline whose encoder is in a file with this text."""

    def start(text: str, shell: str = 'exec "$@"') -> Any:
        write_files(tmp_path, text)
        line = ["sh", "-c", shell, "sh", sys.executable, "-m", "framework", "check", "pipeline.toml"]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    return start


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a pipeline whose encoder is in a file, in this process; returns what is on standard error."""

    def start(**files: str) -> str:
        write_files(tmp_path, **files)
        assert main(["run", str(tmp_path / "pipeline.toml"), "--runs", str(tmp_path)]) == EXIT_PLUGIN
        return capsys.readouterr().err

    return start


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("raise KeyboardInterrupt", 4, "cannot be imported from acme: KeyboardInterrupt"),
        ("raise SystemExit(5)", 4, "cannot be imported from acme: SystemExit: 5"),
        ("import os; os._exit(7)", 7, "the process is ended with 7 by encoder 'acme:Encoder'"),
        ("import os, signal; os.kill(os.getpid(), 2)", 130, "interrupted while loading encoder 'acme:Encoder'"),
    ],
    ids=["KeyboardInterrupt", "SystemExit", "_exit", "interrupted"],
)
def test_a_file_of_a_pipeline_that_ends_things_is_named(check: Any, text: str, status: int, message: str) -> None:
    """As a plugin is."""
    process = check(text)
    assert process.returncode == status
    assert message in process.stderr


def test_whoever_ends_the_process_is_named_where_interrupts_are_ignored(check: Any) -> None:
    """As shells do in the background."""
    process = check("import os; os._exit(7)", shell='trap "" INT; exec "$@"')
    assert "the process is ended with 7 by encoder 'acme:Encoder'" in process.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ZeroDivisionError('mine')", r"/.*/acme\.py:7, or in what it calls\."),
        ("return None", r"what /.*/acme\.py returned, or in the framework; framework check --component tells which\."),
    ],
    ids=["raises", "returns"],
)
def test_an_error_of_a_file_of_a_pipeline_is_its_own(run: Callable[..., str], body: str, message: str) -> None:
    """Whether it raises, or our own code stumbles over what it returned: the last line names it."""
    text = (
        "from framework.toolkit.networks import MLP\nclass Late(MLP):\n    features = 8\n"
        "    def initial_memory(self, count):\n        return {}\n"
        f"    def forward(self, *given, **more):\n        {body}\n"
    )
    error = run(text=text, body="super().__init__(4, (8,))", base="Late")
    assert re.search(rf"\nThis is an error in {message}\n$", error)


def test_an_error_in_a_plugin_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """And the line, also of another module of its package."""
    package = tmp_path / "acme_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("def fail():\n    raise ZeroDivisionError\n")
    (package / "shallow.py").write_text("from acme_package.deep import fail\nclass One:\n    fail = fail\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(catalog, "_owners", {})
    target = "acme_package.shallow:One"
    component = Component("bonus", "acme/one", target, plugin="acme", distribution="acme-rl", version="1.0")
    monkeypatch.setattr(commands.cli, "invoke", lambda context: component.load().fail())
    assert main(["plugins"]) == 4
    place = f"{package / 'deep.py'}:2"
    assert f"This is an error in plugin 'acme' (acme-rl 1.0), {place}, or in what it calls." in capsys.readouterr().err


def test_a_component_does_not_end_a_run_without_a_word(run: Callable[..., str]) -> None:
    """What calls sys.exit while it is built is named, with its traceback."""
    error = run(body="raise SystemExit(5)")
    assert "encoder 'acme:Encoder'" in error
    assert "failed while it was built: SystemExit: 5" in error
    assert 'acme.py", line' in error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("ZeroDivisionError()", "the default of width cannot be made: ZeroDivisionError()"),
        ("SystemExit(5)", "SystemExit: 5"),
    ],
)
def test_a_default_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: Any, error: str, message: str) -> None:
    """The option where it raises; the class at least where it wants to end the process."""
    (tmp_path / "acme_options.py").write_text(
        "from attrs import Factory, frozen\nfrom framework.schema import option\n"
        f"def make():\n    raise {error}\n"
        "@frozen\nclass Config:\n    width: int = option(Factory(make), help='')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_options", raising=False)
    component = Component("encoder", "acme/one", "acme_options:Config", "acme_options:Config", plugin="acme")
    with pytest.raises(PluginError, match="acme_options:Config is broken: ") as caught:
        component.config_class()
    assert message in str(caught.value)


def test_a_plugin_that_takes_long_is_named(
    load: Callable[[str], Plugin], capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, after some seconds; it is loaded all the same."""
    monkeypatch.setattr(foreign, "PATIENCE", 0.05)
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it is the timeout's of the tests
    assert load("import time; time.sleep(0.2)").status == "loaded"
    assert capfd.readouterr().err == "still loading plugin 'acme' (acme-plugin 1.0)\n"
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("import os; os._exit(7)", 7, "the process is ended with 7 by plugin 'acme' (acme-plugin 1.0)"),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV, "acme_plugin.py"),
    ],
    ids=["_exit", "segfault"],
)
def test_a_plugin_that_ends_the_process_is_named(tmp_path: Path, text: str, status: int, message: str) -> None:
    """On standard error, as nothing else is left to say it."""
    (tmp_path / "acme_plugin.py").write_text(text)
    script = "from framework import hookspecs, plugins\nfrom framework.entry_points import EntryPoint\n"
    script += "plugins.load([EntryPoint(hookspecs.GROUP, 'acme', 'acme_plugin', 'acme-plugin', '1.0')])"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    process = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == status
    assert message in process.stderr


@pytest.mark.parametrize("error", ["SystemExit(5)", "GeneratorExit", "BaseException"])
def test_a_hook_does_not_end_a_run(error: str) -> None:
    """Whatever it raises, it is reported and left out."""

    class Acme:
        @plugins.pluggy.HookimplMarker("framework")
        def run_finished(self) -> None:
            raise eval(error)  # one of the three above

    manager = plugins.pluggy.PluginManager("framework")
    manager.add_hookspecs(hookspecs)
    manager.register(Acme(), "acme")
    failures: list[Any] = []
    Lifecycle(manager, failures.append).call("run_finished", directory=Path(), status="done")
    assert [failure.name for failure in failures] == ["acme"]


def test_a_wrong_default_is_the_plugin_s() -> None:
    """It is named before any value of the user's is looked at."""

    @frozen
    class Config:
        width: int = option(0, help="", ge=1)

    with pytest.raises(ValueError, match="the default of width: must be at least 1, is 0"):
        check_defaults(Config)


def test_an_exception_without_text_is_described() -> None:
    """Also one whose text raises."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert plugins.describe(Mute()) == "Mute: its text cannot be told"
