from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
import trajectories
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from framework.runtime.leases import Grant, Leases
from framework.runtime.link import Accepted
from framework.runtime.rounds import FixedLag, Free
from framework.runtime.shard import ShardState, first_state
from framework.runtime.trajectory import Trajectory

MAX_LAG = 3


def collected(grant: Grant) -> Trajectory:
    """The trajectory that a grant is about."""
    return made(grant.shard, grant.number, grant.version)


@cache
def made(shard: int, number: int, version: int) -> Trajectory:
    """A trajectory of one step of one environment."""
    return trajectories.make(shard, shard=shard, number=number, version=version, steps=1, environments=1)


def state_before(shard: int, number: int) -> ShardState:
    """What trajectory ``number`` of a shard starts from."""
    return first_state(collected(Grant(b"", shard, number - 1, 0, None, restore=True)))


def names(grants: Iterable[Grant]) -> list[tuple[int, int, int]]:
    """Shard, number and version of each."""
    return [(grant.shard, grant.number, grant.version) for grant in grants]


def by_sampler(grants: Iterable[Grant]) -> dict[bytes, list[int]]:
    """The shards that each sampler has work of."""
    shards: dict[bytes, set[int]] = defaultdict(set)
    for grant in grants:
        shards[grant.sampler].add(grant.shard)
    return {sampler: sorted(own) for sampler, own in shards.items()}


def joined(leases: Leases, *samplers: bytes) -> Leases:
    """With these samplers."""
    for sampler in samplers:
        leases.join(sampler)
    return leases


def deliver(leases: Leases, grants: Iterable[Grant]) -> None:
    """Every grant is worked on, and accepted."""
    for grant in grants:
        assert leases.accept(grant.sampler, collected(grant)) is not None


# Integer lag.


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_versions_are_exactly_lagged(lag: int) -> None:
    """Trajectory f is granted with version max(0, f - lag), as soon as that version exists and not before."""
    leases = joined(Leases(2, lag), b"a")
    expected = [(shard, number, 0) for number in range(lag + 1) for shard in range(2)]
    for version in range(5):
        grants = leases.grant()
        assert names(grants) == expected
        assert leases.grant() == []
        deliver(leases, grants)
        # All that the versions so far allow has been delivered.
        assert leases.grant() == []
        leases.version = version + 1
        expected = [(shard, version + 1 + lag, version + 1) for shard in range(2)]


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
    (one, two) = joined(leases, b"b").grant()
    assert (one.number, one.restore, two.restore) == (1, True, False)
    assert one.state is not None
    assert one.state.number == 1


# Acceptance.


def test_each_trajectory_is_accepted_once() -> None:
    """Duplicates, strangers, other versions and what comes out of order are not accepted, and change nothing."""
    leases = joined(Leases(2, 1, expected=2), b"a", b"b")
    grants = leases.grant()
    one, two = (grant for grant in grants if grant.sampler == b"a")
    assert leases.accept(b"b", collected(one)) is None
    assert leases.accept(b"c", collected(one)) is None
    assert leases.accept(b"a", collected(two)) is None
    wrong = Grant(b"a", one.shard, one.number, one.version + 1, None, restore=False)
    assert leases.accept(b"a", collected(wrong)) is None
    state = leases.accept(b"a", collected(one))
    assert state is not None
    assert state.number == 1
    assert leases.accept(b"a", collected(one)) is None
    assert leases.accept(b"a", collected(two)) is not None


def test_dropped_samplers_work_is_granted_again() -> None:
    """From the accepted state on, with the same versions; what the dropped one still sends is not accepted."""
    leases = joined(Leases(1, 2), b"a", b"b")
    grants = leases.grant()
    assert names(grants) == [(0, 0, 0), (0, 1, 0), (0, 2, 0)]
    deliver(leases, grants[:1])
    leases.drop(b"a")
    again = leases.grant()
    assert {grant.sampler for grant in again} == {b"b"}
    assert names(again) == [(0, 1, 0), (0, 2, 0)]
    assert again[0].state is not None
    assert (again[0].state.number, again[0].restore) == (1, True)
    assert leases.accept(b"a", collected(grants[1])) is None
    deliver(leases, again)


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
    mine = [grant for grant in leases.grant() if grant.sampler == b"a"]
    assert leases.again(b"a") == mine
    deliver(leases, mine[:1])
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
        assert sorted(shard for own in spread.values() for shard in own) == list(range(shards))
        assert max(len(own) for own in spread.values()) == -(-shards // samplers)


def test_shards_wait_for_those_who_are_expected() -> None:
    """Who comes first does not take everything, as every shard that moves must be played again."""
    leases = joined(Leases(4, 0, expected=2), b"a")
    assert by_sampler(leases.grant()) == {b"a": [0, 1]}
    assert by_sampler(joined(leases, b"b").grant()) == {b"b": [2, 3]}


@pytest.mark.parametrize("lag", [0, 1, 3, None])
def test_joining_sampler_gets_its_share(lag: int | None) -> None:
    """Also when nobody is ever idle: shards are handed on between two trajectories, and nothing is collected twice."""
    leases = joined(Leases(4, lag, credit=8), b"a")
    queue = deque(leases.grant())
    leases.join(b"b")
    seen = set()
    for version in range(1, 8):
        for _ in range(4):
            grant = queue.popleft()
            assert (grant.shard, grant.number) not in seen
            seen.add((grant.shard, grant.number))
            deliver(leases, [grant])
            leases.trained(1)
            queue += leases.grant()
        leases.version = version
        queue += leases.grant()
    assert {sampler: len(own) for sampler, own in by_sampler(queue).items()} == {b"a": 2, b"b": 2}


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
    leases.trained(2)
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
        leases.trained(1)
        queue += leases.grant()
    assert max(counts.values()) - min(counts.values()) <= 2


# Anything at all.


class _Sampler:
    """What a sampler does with its grants, as strictly as a worker does it."""

    def __init__(self) -> None:
        self.queue: deque[Grant] = deque()
        self.at: dict[int, int] = {}  # number of the next trajectory of each shard that was restored here
        self.sent: deque[Trajectory] = deque()

    def hear(self, grant: Grant) -> None:
        waiting = {(other.shard, other.number) for other in self.queue}
        if (grant.shard, grant.number) not in waiting and grant.number >= self.at.get(grant.shard, 0):
            self.queue.append(grant)

    def collect(self) -> None:
        grant = self.queue.popleft()
        if grant.restore:
            self.at[grant.shard] = grant.state.number if grant.state else 0
        assert self.at[grant.shard] == grant.number, "a sampler was told to go on from where it does not stand"
        self.at[grant.shard] += 1
        self.sent.append(collected(grant))


class Model(RuleBasedStateMachine):
    """Random joins, drops, deliveries, duplicates and updates."""

    @initialize(
        shards=st.integers(1, 5),
        lag=st.sampled_from([0, 1, 2, None]),
        expected=st.integers(1, 3),
        resumed=st.integers(0, 3),
    )
    def begin(self, shards: int, lag: int | None, expected: int, resumed: int) -> None:
        self.lag, self.expected, self.credit = lag, expected, 2 * shards
        states = {shard: state_before(shard, resumed) for shard in range(shards)} if resumed else {}
        self.leases = Leases(shards, lag, states, credit=self.credit, expected=expected)
        self.leases.version = self.update = resumed
        self.rounds: Any = Free(shards, MAX_LAG) if lag is None else FixedLag(shards)
        self.next = [resumed] * shards  # number of the trajectory to be accepted next
        self.learned: list[list[int]] = [[] for _ in range(shards)]
        self.waiting = 0
        self.samplers: dict[bytes, _Sampler] = {}
        self.late: list[tuple[bytes, Trajectory]] = []  # from samplers that were dropped, or sent twice
        self.names = 0
        self.resumed = resumed

    def grant(self) -> None:
        """As a link does after every event."""
        grants = self.leases.grant()
        for grant in grants:
            ours = self.samplers[grant.sampler]
            if self.lag is None:
                assert grant.version == self.leases.version
            else:
                assert grant.version == max(0, grant.number - self.lag) <= self.leases.version
            holders = {name for name, one in self.samplers.items() if any(g.shard == grant.shard for g in one.queue)}
            assert holders <= {grant.sampler}, "one shard is in two hands"
            ours.hear(grant)
            assert ours.queue[-1] is grant
        assert self.leases.grant() == []

    @rule()
    @precondition(lambda self: len(self.samplers) < 4)
    def join(self) -> None:
        name = b"sampler %d" % self.names
        self.names += 1
        self.samplers[name] = _Sampler()
        self.leases.join(name)
        self.grant()

    @rule(data=st.data())
    @precondition(lambda self: self.samplers)
    def drop(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.samplers)))
        self.late += [(name, trajectory) for trajectory in self.samplers.pop(name).sent]
        self.leases.drop(name)
        self.grant()

    @rule(data=st.data())
    @precondition(lambda self: any(one.queue for one in self.samplers.values()))
    def collect(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, one in self.samplers.items() if one.queue)))
        self.samplers[name].collect()

    @rule(data=st.data())
    @precondition(lambda self: any(one.sent for one in self.samplers.values()))
    def deliver(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, one in self.samplers.items() if one.sent)))
        self.receive(name, self.samplers[name].sent.popleft())

    def receive(self, name: bytes, trajectory: Trajectory) -> None:
        state = self.leases.accept(name, trajectory)
        assert state is not None, "work that was granted is not accepted"
        assert trajectory.number == self.next[trajectory.shard]
        assert state.number == trajectory.number + 1
        self.next[trajectory.shard] += 1
        self.waiting += 1
        self.rounds.add(Accepted(trajectory, state))
        self.late.append((name, trajectory))
        self.grant()

    @rule(data=st.data())
    @precondition(lambda self: self.late)
    def deliver_what_is_not_owed(self, data: st.DataObject) -> None:
        name, trajectory = data.draw(st.sampled_from(self.late))
        assert self.leases.accept(name, trajectory) is None
        self.grant()

    @rule(data=st.data())
    @precondition(lambda self: self.samplers)
    def ask_again(self, data: st.DataObject) -> None:
        """A sampler that missed nothing finds nothing new in what it is told again."""
        name = data.draw(st.sampled_from(sorted(self.samplers)))
        before = list(self.samplers[name].queue)
        for grant in self.leases.again(name):
            self.samplers[name].hear(grant)
        assert list(self.samplers[name].queue) == before

    @rule()
    def learn(self) -> None:
        ready, dropped = self.rounds.take(self.update)
        self.leases.trained(len(dropped))
        self.waiting -= len(dropped)
        for item in ready:
            lag = self.update - item.trajectory.version
            assert lag <= MAX_LAG if self.lag is None else lag == min(self.lag, self.update)
            self.learned[item.trajectory.shard].append(item.trajectory.number)
        if ready:
            self.update += 1
            self.leases.version = self.update
            self.leases.trained(len(ready))
            self.waiting -= len(ready)
        self.grant()

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        for shard, numbers in enumerate(self.learned):
            if self.lag is not None:
                assert numbers == list(range(self.resumed, self.update))
            else:
                assert numbers == sorted(set(numbers))
                assert all(self.resumed <= number < self.next[shard] for number in numbers)

    @invariant()
    def work_is_bounded(self) -> None:
        out = Counter(
            trajectory.shard
            for one in self.samplers.values()
            for trajectory in (*one.queue, *one.sent)
            if trajectory.number >= self.next[trajectory.shard]
        )
        assert all(count <= (2 if self.lag is None else self.lag + 1) for count in out.values())
        assert self.lag is not None or out.total() + self.waiting <= self.credit

    def teardown(self) -> None:
        """Whatever happened before: with enough samplers there, updates follow one another, and shards are spread."""
        if not hasattr(self, "leases"):
            return
        while len(self.samplers) < self.expected:
            self.join()
        target = self.update + 6
        for _ in range(200):
            if self.update == target:
                break
            for name, one in self.samplers.items():
                if one.queue:
                    one.collect()
                if one.sent:
                    self.receive(name, one.sent.popleft())
            self.learn()
        assert self.update == target, "no progress"
        self.nothing_is_lost_or_doubled()
        shards = len(self.next)
        owed = by_sampler(grant for name in self.samplers for grant in self.leases.again(name))
        share = -(-shards // max(self.expected, len(self.samplers)))
        assert all(len(own) <= share for own in owed.values())


TestModel = Model.TestCase
TestModel.settings = settings(
    derandomize=True, deadline=None, max_examples=80, stateful_step_count=40, database=None, report_multiple_bugs=False
)
