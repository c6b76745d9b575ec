from framework.runtime.link.hosts import Host
from framework.runtime.link.sessions import Session, Sessions


def test_a_session_has_one_connection() -> None:
    """The last one; the peers of those before are strangers."""
    sessions, session = Sessions(), Session("a", "sampler-0", 0, 1)
    sessions.connect(session, (b"first",))
    sessions.connect(session, (b"second",))
    assert (sessions.of_way((b"first",)), sessions.of_way((b"second",))) == (None, session)
    assert session.way == (b"second",)
    assert list(sessions) == [session]


def test_a_session_outlives_its_connection() -> None:
    """It is found by its name, and remembers since when it has none."""
    sessions, session = Sessions(), Session("a", "sampler-0", 0, 1)
    sessions.connect(session, (b"peer",))
    sessions.disconnect(session, 7.0)
    assert (session.way, session.lost) == (None, 7.0)
    sessions.disconnect(session, 8.0)
    assert session.lost == 7.0
    assert sessions.get("a") is session
    assert sessions.of_way((b"peer",)) is None


def test_what_is_forgotten_is_unknown() -> None:
    """By name and by connection."""
    sessions, session = Sessions(), Session("a", "sampler-0", 0, 1)
    sessions.connect(session, (b"peer",))
    sessions.forget(session)
    assert (sessions.get("a"), sessions.of_way((b"peer",)), list(sessions)) == (None, None, [])


def test_samplers_behind_a_host_are_found_together() -> None:
    """Their ways begin alike, and each has its own; their place is the host's name."""
    sessions, box = Sessions(), Host("h", "box", 7, "join", 2)
    local = Session("a", "sampler-0", 0, 1)
    remote = [Session(name, f"box/{name}", 0, 1, box) for name in ("b", "c")]
    for session, way in zip((local, *remote), ((b"a",), (b"h", b"1"), (b"h", b"2")), strict=True):
        sessions.connect(session, way)
    assert sessions.behind(box) == remote
    assert (sessions.of_way((b"h",)), sessions.of_way((b"h", b"2"))) == (None, remote[1])
    assert (local.place, remote[0].place) == ("", "box")
