"""`framework launch`: what is typed, and what is told; the engine is a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import fake_engine
import pytest

from framework.__main__ import main
from framework.errors import EXIT_DONE, EXIT_PLUGIN, EXIT_RUN_FAILED, EXIT_USAGE, RunError
from framework.runtime.link.keys import Keys

Launch = Callable[..., tuple[int, str, str]]
ENGINE, OTHER = "fake_engine:Engine", "fake_engine:Other"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    with fake_engine.forgotten():
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The directory of a run that has listened, as it is typed."""
    monkeypatch.chdir(tmp_path)
    return fake_engine.listening(tmp_path).name


@pytest.fixture
def launch(capsys: pytest.CaptureFixture[str]) -> Launch:
    """Run ``framework launch``; returns exit code, output and errors."""

    def launch(*arguments: str) -> tuple[int, str, str]:
        code = main(["launch", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return launch


def test_samplers_are_started(run: str, launch: Launch) -> None:
    """With the launcher's own options; it is told how to look after them."""
    code, output, errors = launch(ENGINE, run, "--samplers", "6", "--workers", "3", 'zone="there"')
    assert (code, errors) == (EXIT_DONE, "")
    assert output == f"{ENGINE} keeps 6 samplers at work; see framework launch --status {run}\n"
    assert fake_engine.calls == [("start", 2)]


def test_a_dry_run_prints_the_plan_alone(run: str, launch: Launch) -> None:
    """So that it can be written to a file; nothing is kept."""
    before = sorted(Path(run).rglob("*"))
    code, output, errors = launch("--dry-run", ENGINE, run, "--samplers", "2", 'program=["python", "-m", "framework"]')
    assert (code, errors) == (EXIT_DONE, "")
    assert output.startswith("2 hosts of 1 in here for run-7: ['python', '-m', 'framework', 'sampler'")
    assert sorted(Path(run).rglob("*")) == before
    assert fake_engine.calls == [("plan", 2)]


def test_options_of_the_command_come_before_dotted_keys(run: str, launch: Launch) -> None:
    """Both can say how many; a launcher is what it is called."""
    launch(ENGINE, run, "--samplers", "6", "workers=2", "samplers=2", f'use="{OTHER}"')
    assert fake_engine.calls == [("start", 3)]
    assert launch("--status", run)[1].startswith(f"{ENGINE}: 6 samplers\n")


def test_the_status_is_a_table(run: str, launch: Launch) -> None:
    """A line for each host: its name, state, place, last exit code and starts."""
    launch(ENGINE, run, "--samplers", "2")
    fake_engine.states["host-1"] = "waiting"
    assert launch("--status", run) == (
        EXIT_DONE,
        f"{ENGINE}: 2 samplers\n"
        "  host    state    on    last exit code  starts\n"
        "  host-0  running  here  75              2\n"
        "  host-1  waiting  here  75              2\n",
        "",
    )


def test_their_number_is_changed(run: str, launch: Launch) -> None:
    """In multiples of those that share a host."""
    launch(ENGINE, run, "--samplers", "4", "--workers", "2")
    assert launch("--scale", "8", run) == (EXIT_DONE, f"{ENGINE} keeps 8 samplers at work\n", "")
    assert fake_engine.calls[-1] == ("scale", 4)
    code, _, errors = launch("--scale", "7", run)
    assert code == EXIT_USAGE
    assert "launcher.samplers: must be a multiple of workers, which is 2; is 7" in errors
    assert launch("--status", run)[1].startswith(f"{ENGINE}: 8 samplers\n")


def test_they_are_stopped(run: str, launch: Launch) -> None:
    """With the key; a second time there is none."""
    launch(ENGINE, run, "--samplers", "2")
    assert launch("--stop", run) == (EXIT_DONE, f"{ENGINE} has ended its samplers\n", "")
    assert Keys(Path(run)).clients()["fake_engine-Engine-1"]["revoked"]
    assert launch("--stop", run) == (EXIT_RUN_FAILED, "", f"{run} has no launch; it has: none\n")


@pytest.mark.parametrize("change", [["--status"], ["--scale", "2"], ["--stop"]])
def test_without_a_launch_there_is_nothing_to_change(run: str, launch: Launch, change: list[str]) -> None:
    """Which is told, and so is which there are."""
    assert launch(*change, run) == (EXIT_RUN_FAILED, "", f"{run} has no launch; it has: none\n")
    launch(ENGINE, run, "--samplers", "2")
    code, _, errors = launch(*change, OTHER, run)
    assert (code, errors) == (EXIT_RUN_FAILED, f"{run} has no launch by {OTHER}; it has: {ENGINE}\n")


def test_of_several_launches_one_is_named(run: str, launch: Launch) -> None:
    """All of them tell their status; nothing else is done to more than one."""
    launch(ENGINE, run, "--samplers", "1")
    launch(OTHER, run, "--samplers", "2")
    status = launch("--status", run)[1]
    assert status.index(f"{ENGINE}: 1 samplers") < status.index(f"{OTHER}: 2 samplers")
    assert ENGINE not in launch("--status", OTHER, run)[1]
    for change in (["--scale", "2"], ["--stop"]):
        code, _, errors = launch(*change, run)
        assert code == EXIT_RUN_FAILED
        assert errors == f"{run} has several launches, so name the one that is meant: {ENGINE}, {OTHER}\n"
    assert launch("--scale", "5", OTHER, run)[0] == EXIT_DONE
    assert launch("--stop", ENGINE, run)[0] == EXIT_DONE
    assert launch("--status", run)[1].startswith(f"{OTHER}: 5 samplers\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((ENGINE, "nowhere", "--samplers", "1"), EXIT_USAGE, "'nowhere' is no run directory"),
        (("--status", "nowhere"), EXIT_USAGE, "'nowhere' is no run directory"),
        ((ENGINE, "run-7"), EXIT_USAGE, "say how many: --samplers NUMBER"),
        (("run-7", "--samplers", "1"), EXIT_USAGE, "name a launcher and a run"),
        ((), EXIT_USAGE, "name a launcher and a run"),
        (("--status",), EXIT_USAGE, "name a run, and its launcher where it has several"),
        (("--status", ENGINE, "run-7", "more"), EXIT_USAGE, "name a run, and its launcher where it has several"),
        (("--status", "--stop", "run-7"), EXIT_USAGE, "--status, --scale and --stop exclude one another"),
        (("--scale", "2", "--stop", "run-7"), EXIT_USAGE, "--status, --scale and --stop exclude one another"),
        (("--scale", "2", "--samplers", "2", "run-7"), EXIT_USAGE, "--samplers, --workers and --dry-run are for"),
        (("--stop", "--dry-run", "run-7"), EXIT_USAGE, "--samplers, --workers and --dry-run are for starting"),
        ((ENGINE, "run-7", "--samplers", "0"), EXIT_USAGE, "0 is not in the range x>=1"),
        ((ENGINE, "run-7", "--samplers", "3", "--workers", "2"), EXIT_USAGE, "must be a multiple of workers"),
        ((ENGINE, "run-7", "--samplers", "1", "zon=1"), EXIT_USAGE, "launcher.zon: unknown key; did you mean zone?"),
        ((ENGINE, "run-7", "--samplers", "1", "zone"), EXIT_USAGE, "'zone' is not written key=value"),
        (("ppo", "run-7", "--samplers", "1"), EXIT_USAGE, "'ppo' is of the kind algorithm"),
        (("acme/ray", "run-7", "--samplers", "1"), EXIT_PLUGIN, "no plugin named 'acme' is installed"),
    ],
)
def test_mistakes_are_told(run: str, launch: Launch, arguments: tuple[str, ...], code: int, message: str) -> None:
    """In words that say what was meant; the engine is asked for nothing, and nothing is written."""
    before = sorted(Path(run).rglob("*"))
    result, output, errors = launch(*arguments)
    assert (result, output) == (code, "")
    assert message in errors
    assert "Traceback" not in errors
    assert sorted(Path(run).rglob("*")) == before
    assert fake_engine.calls == []


def test_a_run_that_does_not_listen_is_told(tmp_path: Path, launch: Launch) -> None:
    """With how to have it listen."""
    (tmp_path / "pipeline.toml").write_text("")
    code, _, errors = launch(ENGINE, str(tmp_path), "--samplers", "1")
    assert code == EXIT_RUN_FAILED
    assert "does not listen for samplers of other machines: start it, or resume it, with --listen HOST:PORT" in errors


def test_other_options_are_refused(run: str, launch: Launch) -> None:
    """The number alone can be another."""
    launch(ENGINE, run, "--samplers", "2")
    assert launch(ENGINE, run, "--samplers", "3")[0] == EXIT_DONE
    code, _, errors = launch(ENGINE, run, "--samplers", "3", 'zone="there"')
    assert code == EXIT_RUN_FAILED
    assert f"has a launch by {ENGINE} with other options: end it first, with framework launch --stop {ENGINE}" in errors


def test_an_engine_that_refuses_is_told_in_its_words(run: str, launch: Launch) -> None:
    """And a launcher that fails, with its traceback."""
    fake_engine.raises["start"] = RunError("the queue is full: try another with queue=NAME")
    assert launch(ENGINE, run, "--samplers", "2") == (
        EXIT_RUN_FAILED,
        "",
        "the queue is full: try another with queue=NAME\n",
    )
    fake_engine.raises["start"] = KeyError("queue")
    code, _, errors = launch(ENGINE, run, "--samplers", "2")
    assert code == EXIT_PLUGIN
    assert errors.startswith(f"launcher '{ENGINE}' (fake_engine:Engine) failed in start: KeyError: 'queue'\nTraceback")
