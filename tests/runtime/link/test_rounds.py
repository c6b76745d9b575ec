import pytest
import trajectories

from framework.pipeline.sections import Sampling
from framework.runtime.data.shard import first_state
from framework.runtime.link.rounds import FixedLag, Free, make_rounds
from framework.runtime.link.source import Accepted


def accepted(shard: int, number: int, version: int = 0) -> Accepted:
    """A trajectory that has come in."""
    trajectory = trajectories.make(shard=shard, number=number, version=version)
    return Accepted(trajectory, first_state(trajectory))


def names(arrivals: list[Accepted]) -> list[tuple[int, int]]:
    """Shard and number of each."""
    return [(accepted.trajectory.shard, accepted.trajectory.number) for accepted in arrivals]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_fixed_lag_takes_one_of_every_shard(order: tuple[int, ...]) -> None:
    """Update k waits for trajectory k of all shards and takes them by shard, in whatever order they came."""
    rounds = FixedLag(3)
    for number in (1, 0):
        for shard in order:
            if number == 0:
                assert rounds.take(0) == []
            rounds.add(accepted(shard, number))
    for update in (0, 1):
        assert names(rounds.take(update)) == [(shard, update) for shard in range(3)]
        assert rounds.take(update) == []
        assert rounds.stale(update + 100) == []


def test_fixed_lag_counts_from_the_first_update_with_trajectories() -> None:
    """After updates without any, the next one takes the trajectories that are numbered 0."""
    rounds = FixedLag(1, first=5)
    for number in (0, 1):
        rounds.add(accepted(0, number))
    assert [names(rounds.take(update)) for update in (5, 6, 7)] == [[(0, 0)], [(0, 1)], []]


def test_free_takes_what_comes_first() -> None:
    """Updates take as many trajectories as there are shards, from whichever shards, in the order they came."""
    rounds = Free(2, max_lag=4)
    for shard, number in ((1, 0), (1, 1), (0, 0), (1, 2)):
        rounds.add(accepted(shard, number))
    assert names(rounds.take(0)) == [(1, 0), (1, 1)]
    assert names(rounds.take(0)) == [(0, 0), (1, 2)]
    assert rounds.take(0) == []


def test_free_drops_what_is_too_old() -> None:
    """Exactly what is more than ``max_lag`` versions old is thrown away, once, and given back to be accounted for."""
    rounds = Free(2, max_lag=2)
    for number, version in enumerate((3, 2, 5, 4)):
        rounds.add(accepted(0, number, version))
    assert names(rounds.stale(5)) == [(0, 1)]
    assert rounds.stale(5) == []
    assert names(rounds.take(5)) == [(0, 0), (0, 2)]
    assert names(rounds.stale(7)) == [(0, 3)]
    assert rounds.take(7) == []


def test_the_sampling_section_decides() -> None:
    """Free where the lag is, fixed for any number; each with one trajectory of every shard."""
    fixed = make_rounds(Sampling(environments=4, shard=2, policy_lag=0))
    free = make_rounds(Sampling(environments=4, shard=2, policy_lag="free", max_lag=1))
    for rounds in (fixed, free):
        rounds.add(accepted(0, 0))
        assert rounds.take(0) == []
        rounds.add(accepted(1, 0))
    assert isinstance(fixed, FixedLag)
    assert names(fixed.take(0)) == [(0, 0), (1, 0)]
    assert isinstance(free, Free)
    assert len(free.stale(2)) == 2
