import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zmq.utils import z85

from framework.errors import FrameworkError
from framework.runtime.link.token import VARIABLE, JoinToken

SECRET = "s" * 40
TOKEN = JoinToken("join", "run", ("tcp://192.0.2.1:5555", "tcp://box:5555"), "v" * 40, "p" * 40, SECRET)
KEYS = st.binary(min_size=32, max_size=32).map(lambda key: z85.encode(key).decode())
ENDPOINTS = st.lists(st.text(max_size=20).map("tcp://{}".format), min_size=1, max_size=4).map(tuple)


@settings(derandomize=True, deadline=None, database=None)
@given(st.builds(JoinToken, st.text(max_size=20), st.text(max_size=20), ENDPOINTS, KEYS, KEYS, KEYS))
def test_a_token_is_read_as_it_was_written(token: JoinToken) -> None:
    """Whatever its names are; its text is one word, whatever stands around it."""
    text = str(token)
    assert JoinToken.parse(f" {text}\n") == token
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def coded(values: Any) -> str:
    """The text of a token that says this."""
    return "fw1." + base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


VALUES = ["join", "run", ["tcp://x:1"], "v" * 40, "p" * 40, SECRET]


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        str(TOKEN).replace("fw1", "fw2"),
        str(TOKEN)[:-20],
        str(TOKEN)[:40] + "\n" + str(TOKEN)[40:],
        str(TOKEN) + "é",
        str(TOKEN) * 100,
        "fw1." + base64.urlsafe_b64encode(b"\xff" + SECRET.encode()).decode(),
        "fw1." + base64.urlsafe_b64encode(b"[" * 9000).decode(),
        coded(7),
        coded({"secret": SECRET}),
        coded(VALUES[:-1]),
        coded([*VALUES, SECRET]),
        coded([*VALUES[:2], [], *VALUES[3:]]),
        coded([*VALUES[:2], "tcp://x:1", *VALUES[3:]]),
        coded([*VALUES[:2], [7], *VALUES[3:]]),
        coded([*VALUES[:2], ["http://x:1"], *VALUES[3:]]),
        coded([7, *VALUES[1:]]),
        coded([*VALUES[:-1], SECRET + "s"]),
        coded([*VALUES[:-1], " " * 40]),
    ],
)
def test_what_is_no_token_is_refused_without_being_shown(text: str) -> None:
    """No part of it, plain or coded, is in the message: the secret may be."""
    with pytest.raises(FrameworkError, match="join token") as caught:
        JoinToken.parse(text)
    message = str(caught.value)
    assert SECRET not in message
    assert not text[4:] or text[4:24] not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_token_does_not_show_its_secret() -> None:
    """Where it is printed by accident; on purpose it does."""
    assert repr(TOKEN) == "<join token join of run>"
    assert JoinToken.parse(str(TOKEN)).secret == SECRET


def test_tokens_come_from_files_standard_input_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the file that is named; ``-`` is standard input, and no name the environment."""
    (tmp_path / "join").write_text(f"{TOKEN}\n")
    assert JoinToken.read(str(tmp_path / "join")) == TOKEN
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{TOKEN}\n"))
    assert JoinToken.read("-") == TOKEN
    monkeypatch.setenv(VARIABLE, str(TOKEN))
    assert JoinToken.read(None) == TOKEN


def test_where_there_is_no_token_it_is_told_how_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options and the variable; of a file that cannot be read, its name and why."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FrameworkError, match=r"--join FILE, --join - for standard input, or set \$FRAMEWORK_JOIN"):
        JoinToken.read(None)
    with pytest.raises(FrameworkError, match="missing: cannot be read: No such file or directory"):
        JoinToken.read(str(tmp_path / "missing"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FrameworkError, match="bytes: cannot be read: it is not text"):
        JoinToken.read(str(tmp_path / "bytes"))


def test_no_more_is_read_than_a_token_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without an end is refused, not read for ever."""
    endless = io.StringIO("fw1." + "a" * 100_000)
    monkeypatch.setattr("sys.stdin", endless)
    with pytest.raises(FrameworkError, match="no join token"):
        JoinToken.read("-")
    assert endless.tell() == 16_385


def test_tokens_of_the_largest_size_are_read(tmp_path: Path) -> None:
    """Up to the limit, and not one more."""
    endpoints = tuple(f"tcp://{'x' * 100}:{number}" for number in range(1000, 1104))
    token = JoinToken("join", "run", endpoints, "v" * 40, "p" * 40, SECRET)
    assert 16_000 < len(str(token)) <= 16_384
    (tmp_path / "join").write_text(str(token))
    assert JoinToken.read(str(tmp_path / "join")) == token


def test_standard_input_need_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is enough: whoever gives the token may say by the end when the sampler is to end."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as standard_input, os.fdopen(writing, "w") as other_end:
        other_end.write(f"{TOKEN}\n")
        other_end.flush()
        monkeypatch.setattr("sys.stdin", standard_input)
        assert JoinToken.read("-") == TOKEN
