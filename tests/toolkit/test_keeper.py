from __future__ import annotations

import errno
import io
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest
from processes import alive, wait_for
from spying import files_that_show, processes_that_show

from framework.errors import RunError
from framework.interfaces import HostStatus
from framework.toolkit import keeper
from framework.toolkit.background import Background
from framework.toolkit.keeper import Command

SUPPORT = Path(__file__).parents[1] / "support"
SECRET = "fw1.nobody-is-to-see-this"
#: Takes the token, says so in a file of its name, and ends with 75 when its standard input does.
LISTENS = 'read -r token; echo "$token $$" > "$0"; while read -r line; do :; done; exit 75'
#: Takes no notice of its standard input, as a sampler does once it has its token.
WORKS = 'echo $$ > "$0"; trap "exit 75" TERM; while :; do sleep 0.02; done'


class Kept:
    """Hosts that a process in the background keeps at work."""

    def __init__(self, folder: Path):
        self.launch, self.folder = folder / "launch", folder / "hosts"
        self.launch.mkdir()
        self.folder.mkdir()
        self.token = self.launch / "token"
        self.token.write_text(f"{SECRET}\n")
        self.background = Background(self.launch)

    def start(self, *hosts: tuple[str, str]) -> None:
        """Start a shell with a program for each name."""
        self.background.start("quick_keeper", self.wanted(*hosts))

    def want(self, *hosts: tuple[str, str]) -> None:
        """Have others from now on."""
        self.background.want(self.wanted(*hosts))

    def wanted(self, *hosts: tuple[str, str]) -> dict[str, object]:
        commands = [Command(name, ["sh", "-c", program, str(self.folder / name)], "here") for name, program in hosts]
        return keeper.wanted(commands, self.token)

    def status(self, name: str) -> HostStatus:
        """What is told of a host."""
        return next(status for status in keeper.statuses(self.background) if status.name == name)

    def process(self, name: str) -> psutil.Process:
        """The process of a host, once it has said that it is there."""
        file = self.folder / name
        words: list[str] = wait_for(lambda: file.exists() and file.read_text().split())
        return psutil.Process(int(words[-1]))

    @property
    def log(self) -> str:
        return (self.launch / "log").read_text()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    kept = Kept(tmp_path)
    yield kept
    kept.background.stop()


# --- one host, by a clock of the test's own ----------------------------------------------------------------------


def host(*arguments: str) -> keeper._Host:
    return keeper._Host(Command("a", list(arguments)), SECRET)


def let_end(host: keeper._Host, now: float) -> None:
    """Start a host at a time, and look at it again when its process has ended, at the same time."""
    host.look(now)
    assert host.process is not None
    host.process.wait(10)
    host.look(now)
    assert host.process is None


def test_pauses_get_longer_up_to_a_minute() -> None:
    """A second at first, then twice as long each time."""
    failing, now, pauses = host("false"), 100.0, []
    for _ in range(9):
        let_end(failing, now)
        pauses.append(failing.due - now)
        failing.look(failing.due - 0.01)
        assert failing.process is None
        now = failing.due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert failing.tell() == HostStatus("a", "waiting", "", 1, 9)


def test_pauses_are_short_again_after_a_long_life() -> None:
    """Of more than a minute."""
    failing = host("false")
    for now in (0.0, 10.0, 20.0):
        let_end(failing, now)
    failing.look(30.0)
    assert failing.process is not None
    failing.process.wait(10)
    failing.look(91.0)
    assert failing.due == 92.0


@pytest.mark.parametrize("status", [0, 77, 78])
def test_final_ends_are_final(status: int) -> None:
    """Who is done, or not let in, is not started again."""
    done = host("sh", "-c", f"exit {status}")
    let_end(done, 0.0)
    assert done.tell() == HostStatus("a", "ended", "", status, 1)
    done.look(1e9)
    assert done.process is None
    assert done.starts == 1


@pytest.mark.parametrize(("program", "status"), [("exit 1", 1), ("exit 70", 70), ("exit 75", 75), ("kill -9 $$", -9)])
def test_other_ends_are_not(program: str, status: int) -> None:
    """An exit code, or minus the number of a signal, is told until there is another."""
    failing = host("sh", "-c", program)
    let_end(failing, 0.0)
    assert failing.tell() == HostStatus("a", "waiting", "", status, 1)
    failing.look(1.0)
    assert failing.tell() == HostStatus("a", "running", "", status, 2)
    keeper._end([failing])


def test_a_command_that_is_not_there_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """It may come, as with a file system; the reason is in the log."""
    missing = host("/no/such/command")
    missing.look(0.0)
    assert missing.tell() == HostStatus("a", "waiting", "", 127, 1)
    missing.look(0.5)
    assert missing.starts == 1
    missing.look(1.0)
    assert (missing.starts, missing.due) == (2, 3.0)
    assert "a cannot be started: [Errno 2] No such file or directory: '/no/such/command'" in capsys.readouterr().err


def test_one_that_does_not_read_its_token_does_no_harm() -> None:
    """It may have ended before, or have closed its standard input."""
    for program in ("exit 1", "exec <&-; exit 1"):
        deaf = host("sh", "-c", program)
        let_end(deaf, 0.0)
        assert deaf.status == 1
    huge = keeper._Host(Command("a", ["true"]), "x" * 16_384)
    let_end(huge, 0.0)
    assert huge.status == 0


# --- in the background -------------------------------------------------------------------------------------------


def test_hosts_are_kept_at_work(kept: Kept) -> None:
    """As many as are wanted, in their order; the token comes over standard input, and there only."""
    kept.start(("b", LISTENS), ("a", LISTENS))
    first, second = kept.process("a"), kept.process("b")
    assert (kept.folder / "a").read_text().split() == [SECRET, str(first.pid)]
    assert keeper.statuses(kept.background) == [
        HostStatus("b", "running", "here", None, 1),
        HostStatus("a", "running", "here", None, 1),
    ]
    assert processes_that_show(SECRET) == []
    assert files_that_show(kept.launch, SECRET) == ["token"]
    kept.background.stop()
    assert not alive(first)
    assert not alive(second)
    assert "a on here has ended" not in kept.log  # it was asked to


def test_one_that_is_killed_is_started_again(kept: Kept) -> None:
    """Soon, with the token, and the others stay."""
    kept.start(("a", LISTENS), ("b", LISTENS))
    killed, other = kept.process("a"), kept.process("b")
    (kept.folder / "a").unlink()
    killed.kill()
    assert kept.process("a") != killed
    assert (kept.folder / "a").read_text().startswith(SECRET)
    assert kept.status("a") == HostStatus("a", "running", "here", -signal.SIGKILL, 2)
    assert kept.status("b") == HostStatus("b", "running", "here", None, 1)
    assert alive(other)
    assert "a on here has ended with SIGKILL: it is started again in 0 s" in kept.log


def test_ends_are_told(kept: Kept) -> None:
    """Final ones and others, and what the hosts say on standard error; not what they say on standard output."""
    kept.start(("done", "exit 0"), ("refused", "echo why >&2; echo chatter; exit 77"), ("failing", "exit 70"))
    wait_for(lambda: kept.status("failing").starts >= 3)
    assert kept.status("done") == HostStatus("done", "ended", "here", 0, 1)
    assert kept.status("refused") == HostStatus("refused", "ended", "here", 77, 1)
    assert kept.status("failing").status == 70
    assert "why\n" in kept.log
    assert "refused on here has ended with exit code 77\n" in kept.log
    assert "failing on here has ended with exit code 70: it is started again in 0 s\n" in kept.log
    assert "chatter" not in kept.log


def test_more_fewer_and_other_hosts_may_be_wanted(kept: Kept) -> None:
    """Those that are wanted as before stay, and one with another command is started anew."""
    kept.start(("a", LISTENS), ("b", LISTENS), ("c", LISTENS))
    stays, leaves, changes = kept.process("a"), kept.process("b"), kept.process("c")
    (kept.folder / "c").unlink()
    kept.want(("d", LISTENS), ("a", LISTENS), ("c", f"{LISTENS} "))
    comes, changed = kept.process("d"), kept.process("c")
    assert [status.name for status in wait_for(lambda: keeper.statuses(kept.background))] == ["d", "a", "c"]
    assert alive(stays)
    assert not alive(leaves)
    assert not alive(changes)
    assert changed != changes
    assert kept.status("a").starts == kept.status("c").starts == 1
    kept.want()
    wait_for(lambda: keeper.statuses(kept.background) == [])
    assert not any(alive(process) for process in (stays, comes, changed))


DEAF = 'trap "" TERM; sh -c \'trap "" TERM; echo $$ > "$0"; while :; do sleep 0.02; done\' "$0-child" & ' + LISTENS


@pytest.mark.parametrize(
    ("program", "least", "most"),
    [
        pytest.param(LISTENS, 0.0, 0.5, id="ends with its input"),
        pytest.param(WORKS, 0.5, 1.5, id="ends by SIGTERM"),
        pytest.param(f"{DEAF}".replace("exit 75", "sleep 60"), 1.5, 3.0, id="ends by SIGKILL"),
    ],
)
def test_hosts_end_as_gently_as_they_can(kept: Kept, program: str, least: float, most: float) -> None:
    """By the end of their standard input, then by SIGTERM, then by SIGKILL, to what they have started too."""
    kept.start(("a", program))
    processes = [kept.process("a")]
    if program.startswith("trap"):
        processes.append(kept.process("a-child"))
    started = time.monotonic()
    kept.background.stop()
    assert least <= time.monotonic() - started < most + 2.0
    assert not any(map(alive, processes))


def test_hosts_end_with_the_keeper(kept: Kept) -> None:
    """Where it is killed, within a second; what it kept is told as gone, and is there again when it is."""
    kept.start(("a", LISTENS), ("b", WORKS))
    processes = [kept.process("a"), kept.process("b")]
    psutil.Process(processes[0].ppid()).kill()
    wait_for(lambda: not any(map(alive, processes)), seconds=1)
    with pytest.raises(RunError, match="has ended"):
        keeper.statuses(kept.background)
    for name in "ab":
        (kept.folder / name).unlink()
    kept.background.keep("quick_keeper", kept.wanted(("a", LISTENS), ("b", LISTENS)))
    assert kept.process("a") != processes[0]


def test_hosts_end_where_what_is_wanted_is_gone(kept: Kept) -> None:
    """As when somebody removes the run: nothing is left that nobody could end any more."""
    kept.start(("a", LISTENS))
    process = kept.process("a")
    (kept.launch / "wanted.json").unlink()
    wait_for(lambda: not alive(process), seconds=5)
    wait_for(lambda: not kept.background.running, seconds=5)


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_nobody(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be told now is told later; what cannot be said is lost."""
    kept.start(("a", LISTENS), ("b", LISTENS))
    a, b = kept.process("a"), kept.process("b")
    in_the_way = kept.launch / ".status.json.new"
    in_the_way.mkdir()
    (kept.folder / "b").unlink()
    b.kill()
    kept.process("b")
    assert kept.status("b").starts == 1
    assert alive(a)
    in_the_way.rmdir()
    wait_for(lambda: kept.status("b").starts == 2)
    with monkeypatch.context() as full:
        full.setattr("sys.stderr", Full())
        let_end(host("false"), 0.0)


def test_it_waits_for_nothing_at_a_terminal(kept: Kept) -> None:
    """Hosts are in sessions of their own: nothing can ask for a password there, and Ctrl-C ends none."""
    kept.start(("a", LISTENS))
    process = kept.process("a")
    assert process.terminal() is None
    session = subprocess.run(["ps", "-o", "sid=", "-p", str(process.pid)], capture_output=True, text=True, check=True)
    assert int(session.stdout) == process.pid


def test_what_is_wanted_is_plain() -> None:
    """It holds the token's file, not the token."""
    commands: Sequence[Command] = [Command("a", ["x", "y"], "p")]
    assert keeper.wanted(commands, Path("/t/token")) == {
        "hosts": [{"name": "a", "arguments": ["x", "y"], "place": "p"}],
        "token": "/t/token",
    }
