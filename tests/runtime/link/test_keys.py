import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import RunError
from framework.runtime.link.keys import FILE, FIRST, Keys, write_private
from framework.runtime.link.token import JoinToken

ENDPOINT = "tcp://192.0.2.1:5555"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Those of a run that listens."""
    keys = Keys(tmp_path, create=True)
    keys.listening([ENDPOINT])
    return keys


@pytest.fixture(params=[0o022, 0])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """What others may do with files that are made without saying so."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(file: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_only_their_owner_can_read_them(tmp_path: Path) -> None:
    """The keys and the token, also when they are written again, and whatever the umask is."""
    (tmp_path / FIRST).write_text("left by somebody\n")
    keys = Keys(tmp_path, create=True)
    assert mode(tmp_path / FILE) == 0o600
    for endpoints in ([ENDPOINT], [ENDPOINT, "tcp://box:5555"]):
        keys.listening(endpoints)
        assert [mode(tmp_path / name) for name in (FILE, FIRST)] == [0o600, 0o600]


def test_nothing_half_written_is_seen(tmp_path: Path) -> None:
    """A file that cannot be written is told, and what was there stays."""
    write_private(tmp_path / "file", "before\n")
    (tmp_path / ".file.new").mkdir()
    with pytest.raises(RunError, match="file: cannot be written: "):
        write_private(tmp_path / "file", "after\n")
    assert (tmp_path / "file").read_text() == "before\n"


def test_the_learner_s_pair_is_kept(keys: Keys) -> None:
    """A run that is resumed is the server that tokens are for, and its join keys are valid still."""
    token = keys.issue("other")
    again = Keys(keys.directory, create=True)
    assert again.server_pair == keys.server_pair
    assert again.name_of(token.public) == "other"
    assert token.server == again.server_public
    assert [len(half) for half in again.server_pair] == [40, 40]


def test_secrets_of_join_keys_are_not_kept(keys: Keys) -> None:
    """Who reads the keys cannot join with them."""
    token = keys.issue()
    assert token.secret not in (keys.directory / FILE).read_text()


def test_the_first_key_stays_when_the_learner_listens_elsewhere(keys: Keys) -> None:
    """Its file tells the new place, and who has the old one has a valid key still."""
    file = keys.directory / FIRST
    before = JoinToken.read(str(file))
    assert keys.listening(["tcp://box:7777"]) == file
    after = JoinToken.read(str(file))
    assert (after.public, after.secret) == (before.public, before.secret)
    assert (before.endpoints, after.endpoints) == ((ENDPOINT,), ("tcp://box:7777",))
    assert keys.endpoints == ["tcp://box:7777"]


@pytest.mark.parametrize("damage", ["missing", "text", "foreign"])
def test_a_first_key_whose_file_is_gone_is_made_anew(keys: Keys, tmp_path: Path, damage: str) -> None:
    """Nobody can know its secret any more, so the old one is not valid."""
    file = keys.directory / FIRST
    before = JoinToken.read(str(file))
    if damage == "missing":
        file.unlink()
    else:
        (tmp_path / "other").mkdir()
        foreign = Keys(tmp_path / "other", create=True).issue(endpoint=ENDPOINT)
        file.write_text("nothing" if damage == "text" else str(foreign))
    keys.listening([ENDPOINT])
    after = JoinToken.read(str(file))
    assert (keys.name_of(before.public), keys.name_of(after.public)) == (None, FIRST)
    assert after.server == keys.server_public


def test_a_revoked_first_key_leaves_no_file(keys: Keys) -> None:
    """Nor does it come back when the learner listens again."""
    keys.revoke(FIRST)
    assert not (keys.directory / FIRST).exists()
    assert keys.listening(["tcp://box:7777"]) is None
    assert not (keys.directory / FIRST).exists()
    assert keys.issue().endpoints == ("tcp://box:7777",)


def test_join_keys_have_names_of_their_own(keys: Keys) -> None:
    """Numbers follow one another, around those that are taken; a name is given once."""
    keys.issue("join-3")
    assert [keys.issue().name for _ in range(3)] == ["join-2", "join-4", "join-5"]
    with pytest.raises(RunError, match="has a join key named join-3 already"):
        keys.issue("join-3")
    token = keys.issue("mine", endpoint="tcp://tunnel:1")
    assert (token.name, token.run, token.endpoints) == ("mine", keys.directory.name, ("tcp://tunnel:1",))


def test_a_token_leads_somewhere(tmp_path: Path) -> None:
    """While the learner has listened nowhere yet there is none, unless one knows where it will."""
    keys = Keys(tmp_path, create=True)
    with pytest.raises(RunError, match="has not listened yet: wait until it does, or tell where it will, with --at"):
        keys.issue()
    assert keys.clients() == {}
    assert JoinToken.parse(str(keys.issue(endpoint=ENDPOINT))).endpoints == (ENDPOINT,)


def test_a_key_for_one_host_lets_one_in(keys: Keys) -> None:
    """As often as it comes back, and nobody else."""
    name = keys.issue(once=True).name
    assert keys.admit(name, "first") is None
    assert keys.admit(name, "second") == f"the join key {name} was for one host, and another has used it"
    assert keys.admit(name, "first") is None
    assert keys.revoked(name, "first") is None
    assert keys.clients()[name]["holders"] == ["first"]


def test_an_expired_key_lets_nobody_in_but_those_who_were(keys: Keys) -> None:
    """Who was let in before may come back; others cannot even connect where nobody was."""
    unused = keys.issue(expires=timedelta(seconds=-1))
    assert keys.name_of(unused.public) is None
    assert keys.admit(unused.name, "late") == f"the join key {unused.name} has expired"
    used = keys.issue(expires=timedelta(hours=1))
    assert keys.admit(used.name, "early") is None
    expire(keys, used.name)
    assert keys.name_of(used.public) == used.name
    assert keys.admit(used.name, "early") is None
    assert keys.revoked(used.name, "early") is None
    assert keys.admit(used.name, "late") == f"the join key {used.name} has expired"


def expire(keys: Keys, name: str) -> None:
    """Have the time of a key be over."""
    values = json.loads((keys.directory / FILE).read_text())
    values["clients"][name]["expires"] = "2020-01-01T00:00:00+00:00"
    write_private(keys.directory / FILE, json.dumps(values))


def test_a_revoked_key_is_nobody_s(keys: Keys) -> None:
    """Neither those who come nor those who are in may stay, and it cannot be connected with."""
    token = keys.issue("lent")
    assert keys.admit("lent", "session") is None
    assert keys.revoked("lent", "session") is None
    keys.revoke("lent")
    assert keys.name_of(token.public) is None
    for reason in (keys.admit("lent", "session"), keys.admit("lent", "another"), keys.revoked("lent", "session")):
        assert reason == "the join key lent was revoked"
    with pytest.raises(RunError, match="has a join key named lent already"):
        keys.issue("lent")


def test_unknown_keys_are_told(keys: Keys) -> None:
    """With those that there are; a key that was never made lets nobody in."""
    keys.issue("lent")
    with pytest.raises(RunError, match="has no join key named lend; it has: join, lent"):
        keys.revoke("lend")
    assert keys.admit("lend", "session") == "the join key lend was revoked"
    assert keys.revoked("lend", "session") == "the join key lend was revoked"
    assert keys.name_of("p" * 40) is None


def test_a_run_that_does_not_listen_has_no_keys(tmp_path: Path) -> None:
    """It is told how to have it listen, and nothing is written."""
    with pytest.raises(RunError, match="does not listen for samplers of other machines: start it, or resume it, with"):
        Keys(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "{}", '{"public": "p", "secret": "s"}', "\xff", "[" * 99999])
def test_damaged_keys_are_told(keys: Keys, content: str) -> None:
    """With their file, and what to do; nothing of them is shown or overwritten."""
    file = keys.directory / FILE
    file.write_bytes(content.encode("latin-1"))
    asked: list[Any] = [keys.clients, keys.issue, lambda: keys.admit("join", "session"), lambda: Keys(file.parent)]
    for ask in (*asked, lambda: Keys(file.parent, create=True), lambda: keys.name_of("p" * 40)):
        with pytest.raises(RunError, match=f"{FILE}: damaged; remove it, resume the run, and hand out"):
            ask()
    assert file.read_bytes() == content.encode("latin-1")


def test_keys_that_cannot_be_read_are_told(keys: Keys) -> None:
    """With the system's reason."""
    (keys.directory / FILE).unlink()
    (keys.directory / FILE).mkdir()
    with pytest.raises(RunError, match=f"{FILE}: cannot be read: Is a directory"):
        keys.clients()


def test_concurrent_writers_lose_nothing(keys: Keys) -> None:
    """Each reads and writes the keys as if it were alone, and readers never see half of them."""
    failures: list[BaseException] = []

    def issue(writer: int) -> None:
        try:
            mine = Keys(keys.directory)
            for number in range(20):
                mine.issue(f"key-{writer}-{number}")
                assert mine.admit(FIRST, f"session-{writer}-{number}") is None
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=issue, args=(writer,)) for writer in range(4)]
    for thread in writers:
        thread.start()
    while any(thread.is_alive() for thread in writers):
        assert FIRST in keys.clients()
    assert failures == []
    assert len(keys.clients()) == 1 + 80
    assert len(keys.clients()[FIRST]["holders"]) == 80


def test_every_change_is_noticed(keys: Keys) -> None:
    """By the stamp, which stays where nothing was written."""
    for name in ("first", "second", "third"):
        before = keys.stamp
        keys.issue(name)
        assert keys.stamp != before
    before = keys.stamp
    keys.admit(FIRST, "session")
    changed = keys.stamp
    keys.admit(FIRST, "session")
    assert (changed != before, keys.stamp) == (True, changed)


def test_what_is_remembered_of_those_who_were_in_is_bounded(keys: Keys) -> None:
    """A host that enters again and again as another does not fill the disk."""
    values = json.loads((keys.directory / FILE).read_text())
    values["clients"][FIRST]["holders"] = [f"session-{number}" for number in range(1024)]
    write_private(keys.directory / FILE, json.dumps(values))
    assert keys.admit(FIRST, "newest") is None
    holders = keys.clients()[FIRST]["holders"]
    assert (len(holders), holders[0], holders[-1]) == (1024, "session-1", "newest")


ACTIONS = st.lists(st.tuples(st.sampled_from(["admit", "revoke", "expire"]), st.sampled_from("abc")), max_size=12)


@settings(derandomize=True, deadline=None, max_examples=50, database=None)
@given(once=st.booleans(), actions=ACTIONS)
def test_who_is_in_stays_until_the_key_is_revoked(
    tmp_path_factory: pytest.TempPathFactory, once: bool, actions: list[tuple[str, str]]
) -> None:
    """Whatever else happens; nobody comes in after its end, and with a key for one host only one does."""
    keys = Keys(tmp_path_factory.mktemp("run"), create=True)
    name = keys.issue(once=once, expires=timedelta(hours=1), endpoint=ENDPOINT).name
    members: set[str] = set()
    revoked = expired = False
    for action, session in actions:
        if action == "revoke":
            keys.revoke(name)
            revoked = True
        elif action == "expire":
            expire(keys, name)
            expired = True
        else:
            may = not revoked and (session in members or not (expired or (once and members)))
            assert (keys.admit(name, session) is None) == may
            members |= {session} if may else set()
        for member in members:
            assert (keys.revoked(name, member) is None) == (not revoked)
