from collections import Counter, deque
from typing import Any

from grants import by_sampler, collected, state_before
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from framework.runtime.data.trajectory import Trajectory
from framework.runtime.link.leases import Grant, Leases
from framework.runtime.link.rounds import FixedLag, Free
from framework.runtime.link.source import Accepted

MAX_LAG = 3


class _Sampler:
    """What a sampler does with its grants, as strictly as a worker does it."""

    def __init__(self) -> None:
        self.queue: deque[Grant] = deque()
        self.at: dict[int, int] = {}  # number of the next trajectory of each shard that was restored here
        self.sent: deque[Trajectory] = deque()

    def hear(self, grant: Grant) -> None:
        waiting = {(queued.shard, queued.number) for queued in self.queue}
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
            holder = self.samplers[grant.sampler]
            if self.lag is None:
                assert grant.version == self.leases.version
            else:
                assert grant.version == max(0, grant.number - self.lag) <= self.leases.version
            holders = {
                name for name, sampler in self.samplers.items() if any(g.shard == grant.shard for g in sampler.queue)
            }
            assert holders <= {grant.sampler}, "one shard is in two hands"
            holder.hear(grant)
            assert holder.queue[-1] is grant
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
    @precondition(lambda self: any(sampler.queue for sampler in self.samplers.values()))
    def collect(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, sampler in self.samplers.items() if sampler.queue)))
        self.samplers[name].collect()

    @rule(data=st.data())
    @precondition(lambda self: any(sampler.sent for sampler in self.samplers.values()))
    def deliver(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, sampler in self.samplers.items() if sampler.sent)))
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

    @rule(data=st.data())
    @precondition(lambda self: self.lag is None and any(sampler.queue for sampler in self.samplers.values()))
    def lose_a_version(self, data: st.DataObject) -> None:
        """A sampler that has delivered what it collected asks for a version that is gone."""
        name = data.draw(st.sampled_from(sorted(name for name, sampler in self.samplers.items() if sampler.queue)))
        sampler = self.samplers[name]
        while sampler.sent:
            self.receive(name, sampler.sent.popleft())
        version = data.draw(st.sampled_from(sorted({grant.version for grant in sampler.queue})))
        for shard, number in self.leases.withdraw(name, version):
            sampler.queue = deque(grant for grant in sampler.queue if grant.shard != shard or grant.number < number)
        self.grant()

    @rule()
    def learn(self) -> None:
        stale = self.rounds.stale(self.update)
        self.leases.release(len(stale))
        self.waiting -= len(stale)
        ready = self.rounds.take(self.update)
        for accepted in ready:
            lag = self.update - accepted.trajectory.version
            assert lag <= MAX_LAG if self.lag is None else lag == min(self.lag, self.update)
            self.learned[accepted.trajectory.shard].append(accepted.trajectory.number)
        if ready:
            self.update += 1
            self.leases.version = self.update
            self.leases.release(len(ready))
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
            for sampler in self.samplers.values()
            for trajectory in (*sampler.queue, *sampler.sent)
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
            for name, sampler in self.samplers.items():
                if sampler.queue:
                    sampler.collect()
                if sampler.sent:
                    self.receive(name, sampler.sent.popleft())
            self.learn()
        assert self.update == target, "no progress"
        self.nothing_is_lost_or_doubled()
        shards = len(self.next)
        owed = by_sampler(grant for name in self.samplers for grant in self.leases.again(name))
        share = -(-shards // max(self.expected, len(self.samplers)))
        assert all(len(leased) <= share for leased in owed.values())


TestModel = Model.TestCase
TestModel.settings = settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    stateful_step_count=40,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow],
)
