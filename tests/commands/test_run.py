"""`framework run`: addresses to listen at, and what is no pipeline file."""

from __future__ import annotations

import signal
import socket

import pytest
import runs

from framework.__main__ import main


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
