"""`framework run`: addresses to listen at, what is no pipeline file, its result, and Ctrl-C in a terminal."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
import runs
from screen import terminal

from framework.__main__ import main

#: Makes the terminal that standard input is that of the session, so that Ctrl-C there is a signal; then runs a command.
LEAD = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.fixture(autouse=True)
def handlers():
    """The command takes the signals for itself, which are this process's again after the test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)


@pytest.fixture
def run(tmp_path, capsys):
    """Run ``framework run`` with a pipeline of one update; returns exit code, output and errors."""

    def run(*arguments):
        pipeline = runs.write(tmp_path)
        code = main(["run", str(pipeline), "--runs", str(tmp_path / "runs"), "runtime.samplers=0", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("address", ["here", "box:", "tcp://box:5555", "box:123456", ""])
def test_what_is_no_address_is_an_option_that_is_wrong(run, tmp_path, address):
    """Told with its key before anything is made."""
    code, _, errors = run("--listen", address)
    assert code == 2
    assert "runtime.listen" in errors
    assert not (tmp_path / "runs").exists()


def test_a_port_that_there_is_none_of_is_told(run):
    """It looks like one."""
    code, _, errors = run("--listen", "99999")
    assert code == 1
    assert errors.endswith("'99999' is no address to listen at: write HOST:PORT, such as 0.0.0.0:5555\n")
    assert "Traceback" not in errors


def test_result_and_how_to_go_on(run, tmp_path, capsys):
    """The last line is the result; who resumes a run that is done is told how to go on."""
    small = ["run.total_steps=128", "evaluation.episodes=2"]
    code, output, _ = run(*small)
    first, *_, last = output.splitlines()
    directory = first.removeprefix("run directory: ")
    assert code == 0
    assert re.fullmatch(r"done: 128 steps in \d:\d\d  return [\d.-]+ ?▁?  evaluation [\d.]+", last)
    assert main(["run", "--resume", directory]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "this run is complete: it has done all of its 128 steps; to go on: "
        f"framework run --resume {directory} run.total_steps=256"
    )


def test_ctrl_c_in_a_narrow_terminal(tmp_path):
    """What it does is said at once, in the view; of that nothing stays, and the way back in is the last thing said."""
    command = [*runs.FRAMEWORK, "run", str(runs.write(tmp_path)), "--runs", str(tmp_path / "runs")]
    command += ["run.total_steps=100_000_000", "evaluation.episodes=0"]
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with terminal(40) as opened:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), opened.descriptor)
        environment |= {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
        with subprocess.Popen(
            [sys.executable, "-c", LEAD, *command], env=environment, start_new_session=True, **streams
        ) as process:
            opened.wait_for("return  ")
            opened.type("\x03")
            assert process.wait(60) == 130
        opened.wait_for("interrupted; resume with")
    saving = "saving a checkpoint; once more to end at once"
    assert any(saving in " ".join(lines) for lines in opened.screen.history)
    text = "\n".join(opened.screen.lines)
    assert "saving" not in text
    assert "━" not in text
    assert text.count("interrupted at ") == 1
    place = "".join(text.partition("run directory: ")[2].partition("interrupted at")[0].split())
    assert "".join(text.split()).endswith(f"interrupted;resumewith:frameworkrun--resume{place}")
    assert not opened.screen.cursor_hidden


def test_a_port_in_use_is_told(run):
    """With what to do."""
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        port = thief.getsockname()[1]
        code, _, errors = run("--listen", str(port))
    assert code == 1
    assert errors.startswith(f"cannot listen at {port}: Address already in use")
    assert errors.endswith("; choose another port\n")
    assert "Traceback" not in errors


def test_a_run_directory_is_no_pipeline_file(tmp_path, capsys):
    """Both that can be meant are told; any other folder is named as one."""
    (tmp_path / "manifest.json").touch()
    assert main(["run", str(tmp_path)]) == 2
    assert f"{tmp_path} is a run: resume it with framework run --resume {tmp_path}, or train" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    assert main(["run", str(tmp_path / "other")]) == 2
    assert "other is a folder: name the pipeline file in it" in capsys.readouterr().err


def test_overrides_have_no_dashes(capsys):
    """The error of an unknown option says how an override is written."""
    assert main(["run", "p.toml", "--algorithm.learning_rate=3e-4"]) == 2
    assert capsys.readouterr().err.endswith("Options of a pipeline have no dashes: algorithm.learning_rate=VALUE\n")


def test_what_cannot_be_built_leaves_no_folder(run, tmp_path):
    """It is told with file and line, before there is a run directory."""
    code, output, errors = run("environment.id=CartPol-v1")
    assert (code, output) == (2, "")
    assert errors.startswith("override: environment.id: Gymnasium knows no environment CartPol-v1; did you mean")
    assert not (tmp_path / "runs").exists()
