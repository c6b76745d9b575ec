from __future__ import annotations

import time
from pathlib import Path

import fake_ssh
import psutil
import pytest

from framework.errors import RunError
from framework_ssh import reach as module
from framework_ssh.reach import reach


@pytest.fixture
def ssh(tmp_path: Path) -> str:
    return str(fake_ssh.install(tmp_path / "bin") / "ssh")


def asked(ssh: str, *places: str) -> dict[str, list[str]]:
    return {place: [ssh, "-T", place, "true"] for place in places}


def test_one_machine_is_enough(ssh: str) -> None:
    """Those that do not answer are not waited for, and not asked any more."""
    started = time.monotonic()
    reach(asked(ssh, "down", "hangs", "node1"))
    assert time.monotonic() - started < 5
    assert psutil.Process().children(recursive=True) == []


def test_none_is_an_error(ssh: str) -> None:
    """In ssh's own words, of each machine."""
    with pytest.raises(RunError) as error:
        reach(asked(ssh, "down1", "down2"))
    assert str(error.value) == (
        "no machine can be reached with ssh:\n"
        "down1: ssh: connect to host down1 port 22: Connection refused\n"
        "down2: ssh: connect to host down2 port 22: Connection refused"
    )


def test_of_many_some_are_named(ssh: str) -> None:
    """And how many more there are."""
    with pytest.raises(RunError) as error:
        reach(asked(ssh, *(f"down{number}" for number in range(8))))
    lines = str(error.value).splitlines()
    assert len(lines) == 7
    assert lines[-1] == "and 3 more"


def test_one_that_does_not_answer_is_not_waited_for_without_end(ssh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh itself has a limit for the connection alone, not for the rest."""
    monkeypatch.setattr(module, "LIMIT", 0.5)
    with pytest.raises(RunError, match="hangs: no answer within 0 s"):
        reach(asked(ssh, "hangs"))
    assert psutil.Process().children(recursive=True) == []


def test_an_end_without_words_is_told() -> None:
    """By its exit code; of many words, the last lines."""
    with pytest.raises(RunError, match="a: ended with exit code 3"):
        reach({"a": ["sh", "-c", "exit 3"]})
    with pytest.raises(RunError, match=r"a: 5\n6\n7\n8\n9$"):
        reach({"a": ["sh", "-c", "seq 0 9 >&2; exit 3"]})


def test_a_missing_ssh_is_an_error(tmp_path: Path) -> None:
    """Which says how to mend it."""
    with pytest.raises(RunError, match=r"ssh cannot be started: No such file or directory; install an ssh client"):
        reach(asked(str(tmp_path / "ssh"), "node1"))
