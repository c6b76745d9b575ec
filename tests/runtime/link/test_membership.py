"""Hosts, and the samplers behind them, as the learner sees them: who is let in, who comes back, who is refused."""

from typing import Any

import pytest
from dispatching import COMPONENTS, SPECIFICATION, VERSIONS, HostPeer, Learner, Peer

from framework.exit_codes import ENVIRONMENT_FAILED, NOT_LET_IN, WRONG_VERSION
from framework.runtime.link.source import Accepted, Event


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def host(learner: Learner) -> HostPeer:
    return HostPeer(learner)


def refusal(host: HostPeer) -> tuple[str, int]:
    """Why a host is told that it is refused, and with which exit code it is to end."""
    message = next(message for message in host.unread if message.type == "reject")
    return message["reason"], message["status"]


def test_a_host_enters(learner: Learner, host: HostPeer) -> None:
    """It is told its name, whether it is known, and how many versions to keep."""
    entered = host.enter()
    assert (entered.type, dict(entered.fields)) == ("entered", {"name": "box", "known": False, "kept_versions": 1})
    fields = {"host": "box", "process": 7, "samplers": 2, "key": "join"}
    assert learner.news == [Event("host_joined", fields)]


@pytest.mark.parametrize(
    ("name", "called"),
    [("a b/c\x1b[2J", "a-b-c-2J"), ("", "host"), ("learner", "learner-2"), ("x" * 99, "x" * 64), ("é", "-")],
)
def test_names_of_hosts_are_made_harmless(host: HostPeer, name: str, called: str) -> None:
    """They are columns and lines of the record; the learner's machine has its own."""
    assert host.enter(host=name)["name"] == called


def test_namesakes_are_numbered(learner: Learner, host: HostPeer) -> None:
    """While the first is there; one whose connection is lost is replaced by the next of its name."""
    host.enter()
    second = HostPeer(learner, b"second")
    assert second.enter()["name"] == "box-2"
    learner.cut.add(b"host")
    assert HostPeer(learner, b"third").enter()["name"] == "box"
    assert learner.events == ["host_joined", "host_joined", "host_disconnected", "host_gone", "host_joined"]


def test_work_is_granted_to_samplers_behind_a_host(learner: Learner, host: HostPeer) -> None:
    """As to others; weights go to the host, and what is delivered names it."""
    host.enter()
    sampler = host.joined()
    assert [message["version"] for message in host.unread if message.type == "weights"] == [0]
    directive = sampler.receive()
    assert directive.type == "directive"
    sampler.deliver(directive)
    accepted = learner.news[-1]
    assert isinstance(accepted, Accepted)
    assert accepted.host == "box"
    assert "acknowledge" in sampler.types()


def test_a_host_that_is_back_goes_on(learner: Learner, host: HostPeer) -> None:
    """Under another routing id: its samplers keep their work, and the old connection is nobody's."""
    host.enter()
    sampler = host.joined()
    first, second = sampler.receive(), sampler.receive()
    again = HostPeer(learner, b"again")
    entered = again.enter(session="session of host")
    assert (entered["name"], entered["known"]) == ("box", True)
    assert learner.events[-1] == "host_reconnected"
    host.types()
    host.send("alive")
    assert host.types() == ["who"]
    back = again.sampler()
    back.send("alive")
    assert back.receive().type == "who"
    back.hello(session="session of host/0", sampler="box/sampler-0")
    assert back.receive()["ready"] is True
    assert [back.receive().fields for _ in range(2)] == [first.fields, second.fields]
    back.deliver(first)
    assert isinstance(learner.news[-1], Accepted)
    assert "weights" in again.types()  # what was not confirmed may have been lost


def test_who_speaks_through_nobody_s_connection_makes_it_be_asked(learner: Learner) -> None:
    """The host behind which it is, since its own connection to that is in order."""
    stranger = HostPeer(learner, b"stranger")
    stranger.sampler().send("alive")
    assert stranger.types() == ["who"]
    assert stranger.sampler().unread == []


def test_a_host_that_stays_away_is_gone(learner: Learner, host: HostPeer) -> None:
    """After the grace, with all its samplers, whose work is others'."""
    host.enter()
    host.joined()
    heir = Peer(learner, b"heir")
    heir.join()
    learner.cut.add(b"host")
    learner.dispatcher.tick(100.0)
    learner.dispatcher.tick(110.0)
    assert "directive" not in heir.types()
    learner.dispatcher.tick(110.1)
    assert learner.events == ["host_joined", "sampler_joined", "sampler_joined", "host_disconnected", "host_gone"]
    assert heir.types().count("directive") == 2


def test_a_sampler_that_does_not_come_back_with_its_host_is_gone(learner: Learner, host: HostPeer) -> None:
    """After the grace its work is another's."""
    host.enter()
    host.joined()
    HostPeer(learner, b"again").enter(session="session of host")
    learner.dispatcher.tick(10.1)
    assert learner.events[-1] == "sampler_gone"


def test_a_host_that_leaves_is_forgotten_at_once(learner: Learner, host: HostPeer) -> None:
    """Its samplers' work is others', and its connection is not listened to any more."""
    host.enter()
    host.joined()
    heir = Peer(learner, b"heir")
    heir.join()
    host.send("leave")
    assert learner.events[-1] == "host_left"
    assert heir.types().count("directive") == 2
    host.types()
    host.send("alive")
    assert host.types() == []


def test_a_sampler_that_departs_leaves_its_work_to_others(learner: Learner, host: HostPeer) -> None:
    """Its host says so; of one that had not said hello nobody has heard."""
    host.enter()
    host.joined()
    heir = host.joined(1)
    host.send("departed", session="session of host/0", status=-9)
    assert learner.event("sampler_lost").fields["status"] == -9
    assert heir.types().count("directive") == 2
    host.send("departed", session="nobody's", status=1)
    assert learner.events.count("sampler_lost") == 1


def test_nobody_departs_for_samplers_of_others(learner: Learner, host: HostPeer) -> None:
    """A host answers for its own."""
    host.enter()
    host.joined()
    thief = HostPeer(learner, b"thief")
    thief.enter()
    thief.send("departed", session="session of host/0", status=1)
    assert "sampler_lost" not in learner.events


def test_a_host_whose_samplers_only_die_is_quarantined(learner: Learner, host: HostPeer) -> None:
    """After five in a row; under the same name it does not come in again, under another it does."""
    host.enter()
    for number in range(5):
        host.joined(number)
        host.send("departed", session=f"session of host/{number}", status=1)
    assert learner.events[-2:] == ["host_quarantined", "host_refused"]
    reason, status = refusal(host)
    assert status == ENVIRONMENT_FAILED
    assert reason.startswith("5 samplers of box ended without delivering anything")
    assert HostPeer(learner, b"again").enter()["reason"] == reason
    assert HostPeer(learner, b"other").enter(host="other").type == "entered"


def test_a_host_that_delivers_is_not_quarantined(learner: Learner, host: HostPeer) -> None:
    """However many of its samplers die."""
    host.enter()
    for number in range(9):
        sampler = host.joined(number)
        if number in (0, 4):
            sampler.deliver(next(message for message in sampler.unread if message.type == "directive"))
        host.send("departed", session=f"session of host/{number}", status=1)
    assert "host_refused" not in learner.events


def test_a_host_is_refused_for_what_its_samplers_send(learner: Learner, host: HostPeer) -> None:
    """With all of them: their connection is one. Their work is others'."""
    heir = Peer(learner, b"heir")
    host.enter()
    sampler = host.joined()
    sampler.send("pull", version=99)
    assert refusal(host) == ("there is no version 99 yet", NOT_LET_IN)
    assert learner.event("host_refused").fields == {
        "host": "box",
        "process": 7,
        "reason": "there is no version 99 yet",
    }
    sampler.types()
    sampler.send("alive")
    assert sampler.types() == []
    heir.join()
    assert heir.types().count("directive") == 2


def test_a_host_has_no_more_samplers_than_it_says(learner: Learner, host: HostPeer) -> None:
    """Twice as many are too many."""
    host.enter(samplers=1)
    for number in range(3):
        host.sampler(number).hello(sampler=f"box/sampler-{number}")
    assert refusal(host) == ("a host of 1 samplers has 3", NOT_LET_IN)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"versions": {**VERSIONS, "torch": "9"}}, "torch: the learner has 2.0.0, the sampler 9; "),
        ({"versions": {}}, "framework: the learner has 1.0 (abc), the sampler none; "),
    ],
)
def test_samplers_that_compute_otherwise_are_refused(
    learner: Learner, host: HostPeer, changes: dict[str, Any], reason: str
) -> None:
    """And their host with them: all of it has the same."""
    host.enter()
    host.sampler().hello(**changes)
    text, status = refusal(host)
    assert (text.startswith(reason), status) == (True, WRONG_VERSION)


def test_other_versions_are_told_where_they_are_let_in(host: HostPeer) -> None:
    """At a free lag they change results by rounding: once for each sampler the record says so."""
    learner = Learner(lag=None, exact=False)
    host = HostPeer(learner)
    host.enter()
    for _ in range(2):
        host.sampler().hello(versions={**VERSIONS, "torch": "9"})
    assert learner.events.count("sampler_differs") == 1
    (line,) = learner.event("sampler_differs").fields["differs"]
    assert line.startswith("torch: the learner has 2.0.0, the sampler 9; ")


def test_a_key_that_lets_nobody_in(learner: Learner, host: HostPeer) -> None:
    """Is told to who comes with it."""
    learner.refusals["join"] = "the join key join has expired"
    rejected = host.enter()
    assert (rejected["reason"], rejected["status"]) == ("the join key join has expired", NOT_LET_IN)
    assert learner.events == ["sampler_refused"]


def test_a_session_belongs_to_its_key(learner: Learner, host: HostPeer) -> None:
    """Who has another key is another."""
    host.enter()
    thief = HostPeer(learner, b"thief", key="another")
    assert thief.enter(session="session of host")["reason"] == "the session belongs to another host"
    host.send("alive")
    assert host.types() == ["alive"]


def test_a_revoked_key_ends_memberships(learner: Learner, host: HostPeer) -> None:
    """Of the hosts that have entered with it, and of no others."""
    host.enter()
    other = HostPeer(learner, b"other", key="another")
    other.enter(host="other")
    learner.dispatcher.revoke(lambda key, session: "it was revoked" if key == "join" else None)
    assert refusal(host) == ("it was revoked", NOT_LET_IN)
    assert other.unread == []
    assert learner.event("host_refused").fields["host"] == "box"


def test_a_connection_is_one_host_s(learner: Learner, host: HostPeer) -> None:
    """A second one over it ends both; a host behind a host is none."""
    host.enter()
    assert host.enter(session="a second one")["reason"] == "a second host over one connection"
    other = HostPeer(learner, b"other")
    other.enter(host="other")
    behind = HostPeer(learner, b"behind")
    behind.way = (b"other", b"behind")
    other_connection = HostPeer(learner, b"other")
    behind.send("enter", **_introduction())
    assert refusal(other_connection)[0] == "a host behind a host"


def _introduction() -> dict[str, Any]:
    learner = Learner()
    recorded: dict[str, Any] = {}
    host = HostPeer(learner)
    host.send = lambda type, arrays=None, **fields: recorded.update(fields)  # type: ignore[method-assign,misc]
    with pytest.raises(IndexError):
        host.enter()
    return recorded


def test_samplers_of_other_machines_come_through_hosts(learner: Learner, host: HostPeer) -> None:
    """One that connects with a key itself is told how; nor does a host say hello."""
    direct = Peer(learner, b"direct")
    direct.key = "join"
    direct.hello()
    reason = "samplers of other machines join through a host: framework sampler --join"
    assert direct.receive()["reason"] == reason
    host.enter()
    Peer(learner, b"host").hello()
    assert refusal(host)[0] == reason


def test_one_host_s_session_is_not_another_s(learner: Learner, host: HostPeer) -> None:
    """Who behind another host says that it is it ends that host's membership, and not the owner's."""
    host.enter()
    host.joined()
    thief = HostPeer(learner, b"thief")
    thief.enter()
    thief.sampler().hello(session="session of host/0", sampler="box/sampler-0")
    assert refusal(thief)[0] == "the session belongs to another sampler"
    assert learner.event("host_refused").fields["host"] == "box-2"


@pytest.mark.parametrize("name", ["box/\x1b[2J", "x" * 101, "box\n", "\ud800"])
def test_names_of_samplers_are_harmless(learner: Learner, host: HostPeer, name: str) -> None:
    """They are shown in terminals, and are part of the record."""
    host.enter()
    host.sampler().hello(sampler=name)
    assert refusal(host)[0] == "names and sessions have 1 to 100 printable letters"


@pytest.mark.parametrize("complete", [False, True])
def test_hosts_stop_where_the_run_is_complete(learner: Learner, host: HostPeer, complete: bool) -> None:
    """Otherwise they wait for it to be resumed; samplers of this machine stop anyway."""
    host.enter()
    sampler, local = host.joined(), Peer(learner)
    local.join()
    host.types()
    learner.dispatcher.stop(complete)
    assert host.types() == (["stop"] if complete else [])
    assert local.types()[-1] == "stop"
    assert "stop" not in sampler.types()


def test_a_host_that_comes_back_when_the_run_is_complete_stops_too(learner: Learner, host: HostPeer) -> None:
    """It was not connected when the others were told."""
    host.enter()
    learner.dispatcher.stop(complete=True)
    assert learner.dispatcher.has_hosts
    host.enter()
    assert host.types()[-2:] == ["entered", "stop"]
    host.send("leave")
    assert not learner.dispatcher.has_hosts


def test_who_fails_before_it_was_ready_ends_its_host_s_luck_only(learner: Learner, host: HostPeer) -> None:
    """The run goes on where an environment cannot be made on another machine; where one was made it does not."""
    host.enter()
    sampler = host.sampler()
    sampler.hello(sampler="box/sampler-0")
    sampler.send("failed", message="no display", traceback="")
    assert learner.events[-1] == "sampler_failed"
    assert learner.news[-1] == learner.event("sampler_failed")
    sampler.send("ready", specification=SPECIFICATION.fingerprint, components=COMPONENTS)
    sampler.send("failed", message="KeyError", traceback="")
    assert not isinstance(learner.news[-1], Event)
