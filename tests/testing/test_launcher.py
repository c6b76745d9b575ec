"""The kit on launchers: a right one passes every check, and each wrong one fails the check that names its fault."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import acme_launcher
import attrs
import pytest
from faulty_launchers import FAULTS

from framework import catalog, hookspecs, plugins
from framework.__main__ import main
from framework.catalog import Component
from framework.entry_points import EntryPoint
from framework.errors import RunError
from framework.testing import Subject, cases, conformance, subject
from framework.testing import stubs as module
from framework.testing.conformance import run_case
from framework.testing.stubs import stubs

#: Seconds that a launcher has which never does what it is asked for; one that is right takes less.
PATIENCE = 6.0


@attrs.frozen
class Given(Component):
    """A component whose class is at hand."""

    cls: Any = None

    def load(self) -> type:
        loaded: type = self.cls
        return loaded


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin ``acme``, in this process."""
    offered = [*plugins.installed(), EntryPoint(hookspecs.GROUP, "acme", acme_launcher, "framework-acme", "1.0")]
    monkeypatch.setattr(plugins, "installed", lambda: offered)
    catalog._catalog.cache_clear()
    yield
    catalog._catalog.cache_clear()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No process whose arguments name a folder of the kit's, made by this process."""
    yield
    folder = f"framework-launcher-{os.getpid()}-"
    assert [command for command in module._commands().values() if folder in command] == []


def right(**options: Any) -> Subject:
    return subject("launcher", "acme/processes", {"nice": 1}, **options)


def named(tested: Subject, name: str) -> Any:
    [case] = [case for case in cases(tested) if case.name == name]
    return case


NAMES = (
    *("light_import", "summary", "options_documented", "config_round_trip"),
    *("plan", "start", "status", "lost_hosts_are_replaced", "final_exits", "scale", "stop", "token_is_kept_secret"),
)


#: The default tests are to take seconds.
QUICK = {"light_import", "summary", "options_documented", "config_round_trip", "status"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_a_right_launcher_passes(name: str) -> None:
    """Every check of what it declares, and of what it does."""
    tested = right()
    assert [case.name for case in cases(tested)] == list(NAMES)
    result = run_case(named(tested, name))
    assert (result.status, result.reason) == ("passed", "")


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "check"), FAULTS, ids=[f"{cls.__name__}-{check}" for cls, check in FAULTS])
def test_wrong_launchers_are_caught(cls: type, check: str) -> None:
    """The check that names the fault fails, and says what is wrong."""
    template = right(patience=PATIENCE)
    fields = attrs.asdict(template.component, recurse=False) | {"cls": cls}
    tested = attrs.evolve(template, chosen=attrs.evolve(template.chosen, component=Given(**fields)))
    result = run_case(named(tested, check))
    assert result.status == "failed", f"{result.status} {result.reason}"
    assert ("Traceback" in result.reason) == (cls.__name__ == "StopsOnce")


def test_the_check_of_a_file_says_how_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``framework check --component``: the same, without pytest; the kind of a name is known."""
    monkeypatch.setattr("framework.testing.launcher.CHECKS", ())
    assert main(["check", "--component", "acme/processes", "nice=3", "--patience", "5s"]) == 0
    assert capsys.readouterr().out.endswith("launcher acme/processes: 4 passed, 0 failed, 0 skipped, 4 in all\n")
    assert main(["check", "--component", "acme/processes", "--kind", "launcher", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"]
    assert main(["check", "--component", "acme/processes", "--kind", "replay"]) == 2
    assert "'acme/processes' is of the kind launcher" in capsys.readouterr().err


def test_pytest_takes_launchers() -> None:
    """With a test for each check, and patience for their engine."""
    test = conformance("launcher", "acme/processes", {"nice": 1}, patience=7.0)
    [mark] = test.pytestmark  # type: ignore[attr-defined]
    assert mark.kwargs["ids"] == list(NAMES)
    assert right(patience=7.0).patience == 7.0


def test_what_a_launcher_leaves_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a check comes to, and however the launcher fails to end it."""
    with stubs(right()) as hosts:
        hosts.launcher().start(hosts.work(2))
        hosts.settle(2)
        left = hosts.processes()
        monkeypatch.setattr(acme_launcher.Processes, "stop", lambda self: 1 / 0)
    assert len(left) == 3
    assert [number for number in left if module._commands().get(number)] == []


def test_patience_has_an_end() -> None:
    """What is waited for in vain is told, with how long."""
    with stubs(right(patience=0.3)) as hosts, pytest.raises(AssertionError, match=r"2 hosts .* 0 are at work \(waited"):
        hosts.settle(2)


def test_refusals_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher whose engine is not installed says so when it is built."""

    def refuse(*arguments: object) -> None:
        raise RunError("there is no sbatch on this machine")

    monkeypatch.setattr(acme_launcher.Processes, "__init__", refuse)
    result = run_case(named(right(), "start"))
    assert result.status == "skipped"
    assert "there is no sbatch on this machine" in result.reason


def test_secrets_are_found_in_base64_too() -> None:
    """As cluster files have them; what is no secret is no finding."""
    with stubs(right()) as hosts:
        token = hosts.work(1).token.read_text()
        assert hosts.tells_token(f"x {token} y")
        assert not hosts.tells_token(str(hosts.work(1).token))
        assert hosts.tells_token(base64.b64encode(token.encode()).decode())
