"""`framework sampler`: what it is called with, and how it ends."""

from __future__ import annotations

import io
import signal

import pytest

from framework.__main__ import main
from framework.runtime.launch import agent
from framework.runtime.link.token import VARIABLE, JoinToken

TOKEN = JoinToken("join", "run", ("tcp://127.0.0.1:1",), "v" * 40, "p" * 40, "s" * 40)


@pytest.fixture
def sampler(monkeypatch, capsys):
    """Run ``framework sampler`` with what a host would do; returns exit code, output and errors."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.delenv(VARIABLE, raising=False)

    def sampler(*arguments, host=lambda *arguments, **options: (0, "done")):
        monkeypatch.setattr(agent, "run_host", host)
        code = main(["sampler", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield sampler
    signal.signal(signal.SIGTERM, before)


def unused(*arguments, **options):
    """A host that must not be there."""
    raise AssertionError("nothing may be started")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 1, "name a join file: --join FILE, --join - for standard input, or set $FRAMEWORK_JOIN"),
        (("--join", "nowhere"), 1, "nowhere: cannot be read: No such file or directory"),
        (("--join", "-"), 1, "no join token: it must be one line that begins with fw1."),
        (("--workers", "0"), 2, "must be auto, or a number from 1 to 1024"),
        (("--workers", "1025"), 2, "must be auto, or a number from 1 to 1024"),
        (("--workers", "many"), 2, "must be auto, or a number from 1 to 1024"),
        (("--workers", "-1"), 2, "must be auto, or a number from 1 to 1024"),
        (("--patience", "long"), 2, "'long' is no duration"),
        (("--directory", "nowhere"), 2, "'nowhere' does not exist"),
        (("token",), 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_is_told(sampler, tmp_path, monkeypatch, arguments, code, message):
    """In one line, before anything is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("something else"))
    result, _, errors = sampler(*arguments, host=unused)
    assert result == code
    assert message in errors
    assert "Traceback" not in errors


def test_a_host_is_run(sampler, monkeypatch, tmp_path):
    """With the token, as many samplers as are asked for, and a name."""
    runs = []

    def host(token, samplers, name, *, patience, directory, tell):
        runs.append((token, samplers, name, patience, directory))
        tell("entered", {"host": "box", "run": "run", "endpoint": "tcp://x:1"})
        tell("unnoted", {})
        return 0, "the run is done"

    monkeypatch.setenv(VARIABLE, str(TOKEN))
    arguments = ("--workers", "3", "--name", "box", "--patience", "1h", "--directory", str(tmp_path))
    assert sampler(*arguments, host=host) == (0, "the run is done\n", "box collects for run at tcp://x:1\n")
    assert runs == [(TOKEN, 3, "box", 3600.0, tmp_path)]


def test_each_processor_has_a_sampler(sampler, monkeypatch):
    """Unless told otherwise, under the machine's name."""
    runs = []
    monkeypatch.setattr("framework.toolkit.cores.usable_cores", lambda: 5)
    monkeypatch.setattr("socket.gethostname", lambda: "box")
    monkeypatch.setenv(VARIABLE, str(TOKEN))
    sampler(host=lambda token, samplers, name, **options: runs.append((samplers, name)) or (0, "done"))
    assert runs == [(5, "box")]


@pytest.mark.parametrize("status", [70, 75, 77, 78])
def test_ends_have_their_exit_codes(sampler, monkeypatch, status):
    """And their reason on standard error."""
    monkeypatch.setenv(VARIABLE, str(TOKEN))
    assert sampler(host=lambda *arguments, **options: (status, "why")) == (status, "", "why\n")


def test_sigterm_ends_it_in_order(sampler, monkeypatch):
    """With the code of what may be tried again."""
    monkeypatch.setenv(VARIABLE, str(TOKEN))

    def host(*arguments, **options):
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # once more, while it ends

    assert sampler(host=host) == (75, "", "ended by SIGTERM\n")
