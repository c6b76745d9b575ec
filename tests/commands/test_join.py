"""`framework join`: keys are made, listed and revoked."""

from __future__ import annotations

import pytest

from framework.__main__ import main
from framework.runtime.link.keys import FILE, Keys
from framework.runtime.link.token import JoinToken


@pytest.fixture
def run_directory(tmp_path):
    """That of a run that listens."""
    Keys(tmp_path, create=True).listening(["tcp://192.0.2.1:5555"])
    return tmp_path


@pytest.fixture
def join(run_directory, capsys):
    """Run ``framework join``; returns exit code, output and errors."""

    def join(*arguments):
        code = main(["join", str(run_directory), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return join


def test_a_token_is_all_that_is_printed(join, run_directory):
    """One line, for a file or a pipe, that is a key of the run."""
    code, output, errors = join("--name", "lent", "--once", "--expires", "1h")
    assert (code, errors, output.count("\n")) == (0, "", 1)
    token = JoinToken.parse(output)
    assert (token.name, token.run, token.endpoints) == ("lent", run_directory.name, ("tcp://192.0.2.1:5555",))
    assert Keys(run_directory).name_of(token.public) == "lent"
    client = Keys(run_directory).clients()["lent"]
    assert client["once"]
    assert client["expires"] > client["created"]


def test_the_address_may_be_another(join):
    """As it is behind a tunnel."""
    assert JoinToken.parse(join("--at", "localhost:7777")[1]).endpoints == ("tcp://localhost:7777",)


def test_keys_are_listed(join, run_directory):
    """With all that is known of them, and no secret."""
    token = JoinToken.parse(join("--name", "lent", "--once", "--expires", "1h")[1])
    Keys(run_directory).admit("lent", "session")
    join("--revoke", "lent")
    code, output, _ = join("--list")
    first, lent = output.splitlines()
    assert code == 0
    assert first.startswith("join  made 2")
    assert first.endswith("  used 0 times")
    assert lent.startswith("lent  made ")
    assert "  for one machine  until " in lent
    assert lent.endswith("Z  used 1 times  revoked")
    assert token.secret not in output


def test_keys_are_revoked(join, run_directory):
    """By name; of one that is not there it is told which are."""
    token = JoinToken.parse(join("--name", "lent")[1])
    assert join("--revoke", "lent") == (0, "lent is revoked\n", "")
    assert Keys(run_directory).name_of(token.public) is None
    code, _, errors = join("--revoke", "lend")
    assert code == 1
    assert errors == f"{run_directory} has no join key named lend; it has: join, lent\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--expires", "soon"), 2, "'soon' is no duration"),
        (("--expires", "999999999d"), 2, "'999999999d' is longer than a hundred years"),
        (("--at", "box"), 2, "'box' must be HOST:PORT, such as example.org:5555"),
        (("--at", "5555"), 2, "'5555' must be HOST:PORT"),
        (("--at", "box:0"), 2, "'box:0' must be HOST:PORT"),
        (("--at", "tcp://box:5555"), 2, "'tcp://box:5555' must be HOST:PORT"),
        (("--name", "join"), 1, "has a join key named join already"),
    ],
)
def test_what_cannot_be_is_told(join, run_directory, arguments, code, message):
    """In one line; no key is made."""
    before = (run_directory / FILE).read_text()
    result, output, errors = join(*arguments)
    assert (result, output) == (code, "")
    assert message in errors
    assert "Traceback" not in errors
    assert (run_directory / FILE).read_text() == before


def test_a_run_is_called_as_its_directory(run_directory, monkeypatch, capsys):
    """However that is named."""
    monkeypatch.chdir(run_directory)
    assert main(["join", "."]) == 0
    assert JoinToken.parse(capsys.readouterr().out).run == run_directory.name


def test_a_run_that_does_not_listen_is_told(tmp_path, capsys):
    """With how to have it listen; so is a folder that is not there."""
    assert main(["join", str(tmp_path)]) == 1
    assert "does not listen for samplers of other machines: start it, or resume it" in capsys.readouterr().err
    assert main(["join", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
