from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from processes import alive, wait_for
from spying import files_that_show, processes_that_show
from stub_sampler import Stub

from framework_ssh import remote

SECRET = "fw1.nobody-is-to-see-this-either"
COMMAND = ["framework", "sampler", "--join", "-", "--workers", "2", "--name", "a"]
#: Shells that accounts have; the sampler's own is `sh`.
SHELLS = ["dash", "bash", "busybox", "tcsh", "fish", "zsh"]


class Machine:
    """Runs programs as sshd does: by a login shell, in a session of their own, over pipes."""

    def __init__(self, folder: Path):
        self.stub = Stub(folder / "stub")
        self.home = folder / "home"
        self.home.mkdir()
        self.errors = folder / "errors"
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(
        self, program: str, shell: str = "sh", errors: int | None = None, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a program and tell it the token."""
        environment = {"PATH": f"{self.stub.bin}:{os.environ['PATH']}", "STUB": str(self.stub.folder)}
        with self.errors.open("ab") as file:
            process = subprocess.Popen(
                [*(["busybox", "sh"] if shell == "busybox" else [shell]), "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file if errors is None else errors,
                start_new_session=True,
                cwd=self.home,
                env=environment | {"HOME": str(self.home)} | variables,
            )
        self.processes.append(process)
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it may have ended at once
            process.stdin.write(f"{SECRET}\n".encode())
            process.stdin.flush()
        return process

    def cut(self, process: subprocess.Popen[bytes]) -> None:
        """End its standard input, as sshd does when the connection has ended."""
        assert process.stdin is not None
        process.stdin.close()

    def close(self) -> None:
        for process in self.processes:
            for end in (process.stdin, process.stdout):
                assert end is not None
                with suppress(BrokenPipeError):
                    end.close()
            for member in psutil.process_iter():
                if os.getsid(0) != _session(member.pid) == process.pid:
                    member.kill()
            process.wait()


def _session(process: int) -> int:
    try:
        return os.getsid(process)
    except ProcessLookupError:
        return 0


def in_session(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """What a program has started, and has not ended, itself included."""
    return [member for member in psutil.process_iter() if _session(member.pid) == process.pid and alive(member)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.close()


def program(*setup: str, directory: str | None = None) -> str:
    return remote.program(COMMAND, directory, setup)


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_runs_it(machine: Machine, shell: str) -> None:
    """The sampler gets its token, is ended when standard input is, and nothing stays; the exit code is its own."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell}")
    process = machine.run(program("export GREETING='it''s $HOME; done'"), shell)
    assert machine.stub.noted("a", "token") == SECRET
    assert machine.stub.noted("a", "arguments") == " ".join(COMMAND[1:])
    assert f"GREETING=its {'$HOME'}; done" in machine.stub.noted("a", "env")
    assert process.poll() is None
    machine.cut(process)
    assert process.wait(10) == 75
    assert (machine.stub.folder / "a.ended").exists()
    wait_for(lambda: not in_session(process), seconds=2)
    assert machine.errors.read_text() == ""


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh", "zsh --emulate sh", "ksh", "mksh"])
def test_posix_shells_run_the_program_itself(machine: Machine, shell: str) -> None:
    """Whatever `sh` is."""
    if shutil.which(shell.split(maxsplit=1)[0]) is None:
        pytest.skip(f"{shell} is not installed: apt-get install {shell.split(maxsplit=1)[0]}")
    process = machine.run(program().replace("exec sh", f"exec {shell}", 1))
    sampler = machine.stub.process("a")
    assert machine.stub.noted("a", "token") == SECRET
    machine.cut(process)
    assert process.wait(10) == 75
    assert not alive(sampler)
    wait_for(lambda: not in_session(process), seconds=2)


@pytest.mark.parametrize("status", [0, 70, 75, 77, 78])
def test_it_ends_as_the_sampler_does(machine: Machine, status: int) -> None:
    """With its exit code, while standard input is open; and then nothing is left that keeps ssh waiting."""
    (machine.stub.folder / "a.exits").write_text(str(status))
    process = machine.run(program())
    assert process.wait(10) == status
    assert process.stdout is not None
    started = time.monotonic()
    process.stdout.read()
    assert time.monotonic() - started < 2
    wait_for(lambda: not in_session(process), seconds=2)


def test_a_sampler_that_is_killed_is_told(machine: Machine) -> None:
    """As shells tell it: 128 and the signal's number."""
    process = machine.run(program())
    machine.stub.process("a").kill()
    assert process.wait(10) == 128 + signal.SIGKILL


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_what_a_sampler_leaves_behind_keeps_nobody_waiting(machine: Machine, shell: str) -> None:
    """Such as an environment's server: ssh waits for all who have standard error, and could not be started again."""
    (machine.stub.folder / "leaves").touch()
    process = machine.run(program(), errors=subprocess.PIPE, shell=shell)
    machine.stub.process("a").kill()
    began = time.monotonic()
    process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGKILL
    assert time.monotonic() - began < 4
    left = psutil.Process(int((machine.stub.folder / "left").read_text()))
    wait_for(lambda: in_session(process) == [left], seconds=2)


def test_last_words_are_heard(machine: Machine) -> None:
    """Of a sampler that ends at once, all of them."""
    (machine.stub.bin / "framework").write_text("#!/bin/sh\nseq 1 20000 >&2; exit 78\n")
    process = machine.run(program())
    assert process.wait(10) == 78
    assert machine.errors.read_text().split() == [str(number) for number in range(1, 20001)]
    wait_for(lambda: not in_session(process), seconds=2)


def test_a_sampler_that_does_not_listen_is_killed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some seconds after SIGTERM."""
    monkeypatch.setattr(remote, "GRACE", 1)
    (machine.stub.folder / "deaf").touch()
    process = machine.run(program())
    sampler = machine.stub.process("a")
    started = time.monotonic()
    machine.cut(process)
    assert process.wait(10) == 128 + signal.SIGKILL
    assert 1 <= time.monotonic() - started < 4
    assert not alive(sampler)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on(machine: Machine, number: signal.Signals) -> None:
    """Who ends the program ends the sampler, and learns how it ended."""
    process = machine.run(program())
    machine.stub.process("a")
    wait_for(lambda: len(in_session(process)) >= 4)
    time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(10) in (75, 128 + number)
    wait_for(lambda: not in_session(process), seconds=2)


def test_it_shows_that_it_lives(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard output, now and then; where nobody takes it any more, that alone stops."""
    monkeypatch.setattr(remote, "ALIVE", 0.1)
    process = machine.run(program())
    assert process.stdout is not None
    assert process.stdout.read(3) == b"\n\n\n"
    process.stdout.close()
    sampler = machine.stub.process("a")
    time.sleep(0.3)
    assert alive(sampler)
    machine.cut(process)
    assert process.wait(10) == 75


def test_nobody_sees_the_token(machine: Machine) -> None:
    """Also where lines of others export all variables, print each command, and have one named token."""
    lines = ("export token=x; set -a", "set -x", "set -eu", "set", "env")
    process = machine.run(program(*lines), token="y")
    assert machine.stub.noted("a", "token") == SECRET
    assert processes_that_show(SECRET) == []
    machine.cut(process)
    assert process.wait(10) == 75
    assert files_that_show(machine.home.parent, SECRET) == ["stub/a.token"]
    assert "set +aefuvx" in machine.errors.read_text()  # so commands were printed


def test_a_folder_and_lines_come_before(machine: Machine) -> None:
    """In this order; the folder is relative to the home folder, and Python files are looked for there."""
    folder = machine.home / "my project"
    folder.mkdir()
    (folder / "activate").write_text("export ACTIVE=$PWD\n")
    machine.run(program(". ./activate # as always", "export MORE=$ACTIVE/more", directory="my project"))
    assert machine.stub.noted("a", "folder") == str(folder)
    assert machine.stub.noted("a", "arguments").endswith("--name a --directory .")
    assert f"MORE={folder}/more" in machine.stub.noted("a", "env").splitlines()


@pytest.mark.parametrize(("directory", "folder"), [("~", ""), ("~/", ""), ("~/x", "x"), ("x", "x")])
def test_the_home_folder_has_its_usual_name(machine: Machine, directory: str, folder: str) -> None:
    """A tilde stands for it."""
    (machine.home / "x").mkdir()
    machine.run(program(directory=directory))
    assert machine.stub.noted("a", "folder") == str(machine.home / folder).rstrip("/")


@pytest.mark.parametrize(
    ("setup", "directory", "message"),
    [
        (("false",), None, ""),
        (("true", "no_such_command"), None, "no_such_command"),
        ((), "nowhere", "nowhere"),
        (("exit 1",), None, ""),
    ],
)
def test_what_cannot_be_done_before_is_an_end(
    machine: Machine, setup: tuple[str, ...], directory: str | None, message: str
) -> None:
    """No sampler is started, and it may be tried again; the shell's own words are on standard error."""
    process = machine.run(program(*setup, directory=directory))
    assert process.wait(10) == 1
    assert message in machine.errors.read_text()
    assert not list(machine.stub.folder.glob("a.*"))


def test_a_missing_framework_is_told(machine: Machine) -> None:
    """As shells tell it."""
    (machine.stub.bin / "framework").unlink()
    process = machine.run(program(), PATH="/usr/bin:/bin")
    assert process.wait(10) == 127
    assert "framework: not found" in machine.errors.read_text()


def test_without_a_token_nothing_is_started(machine: Machine) -> None:
    """The connection was lost at once."""
    process = subprocess.run(["sh", "-c", program()], stdin=subprocess.DEVNULL, check=False)
    assert process.returncode == 1


def test_it_is_one_line() -> None:
    """Of what all shells read alike."""
    text = program("a", directory="b c")
    assert "\n" not in text
    assert text.startswith("exec sh -c '")
    assert all(text[place + 1] == " " for place, letter in enumerate(text) if letter == "!")
