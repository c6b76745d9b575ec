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
