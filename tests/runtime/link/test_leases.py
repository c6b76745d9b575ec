import sys
from collections import Counter, deque
from collections.abc import Iterable
from types import FrameType

import pytest
import trajectories
from grants import by_sampler, collected, state_before

from framework.runtime.link.leases import Grant, Leases


def names(grants: Iterable[Grant]) -> list[tuple[int, int, int]]:
    """Shard, number and version of each."""
    return [(grant.shard, grant.number, grant.version) for grant in grants]


def joined(leases: Leases, *samplers: bytes) -> Leases:
    """With these samplers."""
    for sampler in samplers:
        leases.join(sampler)
    return leases


def deliver(leases: Leases, grants: Iterable[Grant]) -> None:
    """Every grant is worked on, and accepted."""
    for grant in grants:
        assert leases.accept(grant.sampler, collected(grant)) is not None


@pytest.mark.parametrize(("limit", "kept"), [(None, True), (1, True), (0, False)])
def test_long_episodes_are_not_recorded(limit: int | None, kept: bool) -> None:
    """States hold the actions of episodes with at most ``max_replay_steps``; here each has one."""
    leases = joined(Leases(1, 0, max_replay_steps=limit), b"a")
    (grant,) = leases.grant()
    trajectory = trajectories.make(first=[[True], [False]])
    state = leases.accept(grant.sampler, trajectory)
    assert state is not None
    assert (state.actions[0] is not None) == kept


# Integer lag.


@pytest.mark.parametrize("first", [0, 7])
@pytest.mark.parametrize("lag", [0, 1, 3])
def test_versions_are_exactly_lagged(lag: int, first: int) -> None:
    """Trajectory f is granted with version first + max(0, f - lag), as soon as that exists and not before."""
    leases = joined(Leases(2, lag, first=first), b"a")
    leases.version = first
    expected = [(shard, number, first) for number in range(lag + 1) for shard in range(2)]
    for version in range(5):
        grants = leases.grant()
        assert names(grants) == expected
        assert leases.grant() == []
        deliver(leases, grants)
        # All that the versions so far allow has been delivered.
        assert leases.grant() == []
        leases.version = first + version + 1
        expected = [(shard, version + 1 + lag, first + version + 1) for shard in range(2)]


def test_work_in_flight_is_bounded() -> None:
    """However far versions have come, a shard has at most lag + 1 trajectories in its sampler's hands."""
    leases = joined(Leases(2, 1), b"a")
    leases.version = 100
    assert Counter(grant.shard for grant in leases.grant()) == {0: 2, 1: 2}
    assert leases.grant() == []


def test_nobody_there() -> None:
    """Without samplers nothing is granted, and nothing is lost by asking."""
    leases = Leases(2, 0)
    assert leases.grant() == []
    assert names(joined(leases, b"a").grant()) == [(0, 0, 0), (1, 0, 0)]


def test_resumed_runs_go_on_from_their_states() -> None:
    """Shards with a state start from it, told to restore it, with the version that the trajectory's number asks for."""
    states = {shard: state_before(shard, 7) for shard in range(2)}
    leases = joined(Leases(2, 1, states), b"a")
    for version in (6, 7):
        leases.version = version
    grants = leases.grant()
    assert names(grants) == [(0, 7, 6), (1, 7, 6), (0, 8, 7), (1, 8, 7)]
    assert [grant.restore for grant in grants] == [True, True, False, False]
    assert [grant.state for grant in grants[:2]] == [states[0], states[1]]


def test_restores_are_told_only_where_needed() -> None:
    """A sampler restores a shard when it gets it, and from then on goes on where it stands."""
    leases = joined(Leases(1, 1), b"a")
    first, second = leases.grant()
    assert (first.restore, first.state, second.restore) == (True, None, False)
    deliver(leases, [first])
    leases.version = 1
    assert [grant.restore for grant in leases.grant()] == [False]
    leases.drop(b"a")
    (resumed, following) = joined(leases, b"b").grant()
    assert (resumed.number, resumed.restore, following.restore) == (1, True, False)
    assert resumed.state is not None
    assert resumed.state.number == 1


# Acceptance.


def test_each_trajectory_is_accepted_once() -> None:
    """Duplicates, strangers, other versions and what comes out of order are not accepted, and change nothing."""
    leases = joined(Leases(2, 1, expected=2), b"a", b"b")
    grants = leases.grant()
    earlier, later = (grant for grant in grants if grant.sampler == b"a")
    assert leases.accept(b"b", collected(earlier)) is None
    assert leases.accept(b"c", collected(earlier)) is None
    assert leases.accept(b"a", collected(later)) is None
    newer = Grant(b"a", earlier.shard, earlier.number, earlier.version + 1, None, restore=False)
    assert leases.accept(b"a", collected(newer)) is None
    state = leases.accept(b"a", collected(earlier))
    assert state is not None
    assert state.number == 1
    assert leases.accept(b"a", collected(earlier)) is None
    assert leases.accept(b"a", collected(later)) is not None


def test_dropped_samplers_work_is_granted_again() -> None:
    """From the accepted state on, with the same versions; what the dropped one still sends is not accepted."""
    leases = joined(Leases(1, 2), b"a", b"b")
    grants = leases.grant()
    assert names(grants) == [(0, 0, 0), (0, 1, 0), (0, 2, 0)]
    deliver(leases, grants[:1])
    leases.drop(b"a")
    regranted = leases.grant()
    assert {grant.sampler for grant in regranted} == {b"b"}
    assert names(regranted) == [(0, 1, 0), (0, 2, 0)]
    assert regranted[0].state is not None
    assert (regranted[0].state.number, regranted[0].restore) == (1, True)
    assert leases.accept(b"a", collected(grants[1])) is None
    deliver(leases, regranted)


def test_dropping_strangers_changes_nothing() -> None:
    """A sampler that never was ready, or is dropped twice."""
    leases = joined(Leases(1, 0), b"a")
    (grant,) = leases.grant()
    leases.drop(b"b")
    leases.drop(b"b")
    deliver(leases, [grant])


def test_again_repeats_what_is_owed() -> None:
    """An unsure sampler hears the same grants again, in their order, and restores only what it had to restore."""
    leases = joined(Leases(2, 1, expected=2), b"a", b"b")
    owed = [grant for grant in leases.grant() if grant.sampler == b"a"]
    assert leases.again(b"a") == owed
    deliver(leases, owed[:1])
    (left,) = leases.again(b"a")
    assert (left.number, left.restore) == (1, False)
    deliver(leases, [left])
    assert leases.again(b"a") == leases.again(b"stranger") == []


# Who gets what.


@pytest.mark.parametrize(("shards", "samplers"), [(4, 1), (4, 2), (4, 4), (5, 2), (7, 3), (2, 5)])
def test_shards_spread_evenly(shards: int, samplers: int) -> None:
    """Whether they come one by one or all at once, nobody has more than its share."""
    for at_once in (True, False):
        leases = Leases(shards, 0, expected=samplers if at_once else 1)
        grants: list[Grant] = []
        for number in range(samplers):
            leases.join(b"%d" % number)
            if not at_once:
                deliver(leases, grants)
                leases.version += 1
                grants = leases.grant()
        spread = by_sampler(grants or leases.grant())
        assert sorted(shard for leased in spread.values() for shard in leased) == list(range(shards))
        assert max(len(leased) for leased in spread.values()) == -(-shards // samplers)


def test_shards_wait_for_those_who_are_expected() -> None:
    """Who comes first does not take everything, as every shard that moves must be played again."""
    leases = joined(Leases(4, 0, expected=2), b"a")
    assert by_sampler(leases.grant()) == {b"a": [0, 1]}
    assert by_sampler(joined(leases, b"b").grant()) == {b"b": [2, 3]}


def test_nothing_is_kept_for_who_is_not_expected_any_more() -> None:
    """Those who are here get all of it."""
    leases = joined(Leases(4, 0, expected=2), b"a")
    assert by_sampler(leases.grant()) == {b"a": [0, 1]}
    leases.expect(1)
    assert by_sampler(leases.grant()) == {b"a": [2, 3]}


@pytest.mark.parametrize("lag", [0, 1, 3, None])
def test_joining_sampler_gets_its_share(lag: int | None) -> None:
    """Also when nobody is ever idle: shards are handed on between two trajectories, and nothing is collected twice."""
    leases = joined(Leases(4, lag, credit=8), b"a")
    queue = deque(leases.grant())
    leases.join(b"b")
    finished = set()
    for version in range(1, 8):
        for _ in range(4):
            grant = queue.popleft()
            assert (grant.shard, grant.number) not in finished
            finished.add((grant.shard, grant.number))
            deliver(leases, [grant])
            leases.release(1)
            queue += leases.grant()
        leases.version = version
        queue += leases.grant()
    assert {sampler: len(leased) for sampler, leased in by_sampler(queue).items()} == {b"a": 2, b"b": 2}


def test_joining_twice_counts_once() -> None:
    """A sampler that says twice that it is ready has one share, and is gone when it is dropped."""
    leases = joined(Leases(4, 0), b"a", b"b", b"a", b"a")
    assert by_sampler(leases.grant()) == {b"a": [0, 2], b"b": [1, 3]}
    leases.drop(b"a")
    assert by_sampler(leases.grant()) == {b"b": [0, 2]}


# As fast as it goes.


def test_credit_bounds_what_is_out() -> None:
    """Under "free", what is granted or waits to be trained on never exceeds the credit; training frees it."""
    leases = joined(Leases(4, None, credit=6), b"a")
    grants = leases.grant()
    assert [Counter(grant.shard for grant in grants)[shard] for shard in range(4)] == [2, 2, 1, 1]
    deliver(leases, grants)
    assert leases.grant() == []
    leases.release(2)
    leases.version = 3
    more = leases.grant()
    assert [grant.version for grant in more] == [3, 3]
    # Those that are furthest behind.
    assert {grant.shard for grant in more} == {2, 3}


def test_free_credit_is_spread_over_the_shards() -> None:
    """The shards of one sampler are collected equally often, though credit comes back in small pieces."""
    leases = joined(Leases(8, None, credit=9), b"a")
    queue, counts = deque(leases.grant()), Counter[int]()
    for _ in range(400):
        grant = queue.popleft()
        counts[grant.shard] += 1
        deliver(leases, [grant])
        leases.release(1)
        queue += leases.grant()
    assert max(counts.values()) - min(counts.values()) <= 2


# Many.


@pytest.mark.parametrize("lag", [1, None])
def test_the_work_of_a_grant_does_not_grow_with_the_shards(lag: int | None) -> None:
    """An update's bookkeeping makes about as many calls for each of 400 shards as for each of 50."""

    def calls_per_trajectory(shards: int) -> float:
        samplers = [b"%d" % number for number in range(shards // 5)]
        leases = joined(Leases(shards, lag, credit=2 * shards, expected=len(samplers)), *samplers)
        queue, calls = deque(leases.grant()), 0

        def count(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        for version in (1, 2, 3):
            for _ in range(shards):
                grant = queue.popleft()
                trajectory = collected(grant)
                sys.setprofile(count)
                leases.accept(grant.sampler, trajectory)
                queue += leases.grant()
                sys.setprofile(None)
            sys.setprofile(count)
            leases.version = version
            leases.release(shards)
            queue += leases.grant()
            sys.setprofile(None)
        return calls / (3 * shards)

    assert calls_per_trajectory(400) < 1.5 * calls_per_trajectory(50)
