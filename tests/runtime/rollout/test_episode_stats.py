from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.runtime.data.trajectory import EPISODE_COLUMNS
from framework.runtime.rollout.episode_stats import EpisodeStats, FinishedEpisodes

fuzz = settings(derandomize=True, deadline=None, max_examples=80, database=None)


class Play:
    """Random steps of N environments, cut into trajectories: what each step gives, and a vector that shows it.

    Where environments reset themselves, the step after an end gives a reward that belongs to no episode.
    """

    def __init__(self, seed: int, environments: int, cuts: list[int], chance: float, self_resetting: bool):
        rng = np.random.default_rng(seed)
        self.self_resetting = self_resetting
        shape = sum(cuts), environments
        self.rewards = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 6, shape)).astype(np.float32)
        self.success = rng.integers(-1, 2, shape).astype(np.int8)
        self.failed = rng.random(shape) < 0.3
        self.observations = rng.integers(0, 99, (*shape, 2))
        self.ended = rng.random(shape) < chance
        self.resets = np.zeros(shape, bool)
        if self_resetting:
            for t in range(1, len(self.ended)):
                self.resets[t] = self.ended[t - 1]
                self.ended[t] &= ~self.resets[t]

    def vector(self, t: int) -> Any:
        """What the environments show after step ``t``."""
        failed = dict.fromkeys(np.flatnonzero(self.failed[t]).tolist())
        return SimpleNamespace(observations={"place": self.observations[t]}, success=self.success[t], failed=failed)


def tracked(play: Play, cuts: list[int], numbers: range) -> tuple[list[dict[str, Any]], EpisodeStats]:
    """The rows of all finished episodes, and what is left in progress, as a collector has the statistics keep them."""
    count = len(numbers)
    stats, rows, start = EpisodeStats(count), [], 0
    for length in cuts:
        finished = FinishedEpisodes(numbers)
        rewards = play.rewards[start : start + length]
        for t in range(length):
            resets = play.resets[start + t]
            stats.number[resets] += 1
            stats.begin(resets, t + 1)
            ended = np.flatnonzero(play.ended[start + t])
            for n in ended.tolist():
                stats.count_steps(n, rewards, t + 1)
            finished.add(t, ended, play.vector(start + t), stats, [f"task {n}" for n in range(count)])
            if not play.self_resetting:
                stats.number[ended] += 1
                stats.begin(ended, t + 1)
        stats.end_trajectory(rewards)
        columns = finished.columns()
        last = finished.observations("place", play.observations[0, 0])
        for row, index in enumerate(finished.index().tolist()):
            values = {name: columns[f"episodes/{name}"][row].item() for name in EPISODE_COLUMNS}
            rows.append({**values, "index": index, "last": last[row].tolist(), "task": finished.tasks[row]})
        start += length
    return rows, stats


def counted(play: Play, cuts: list[int], numbers: range) -> tuple[list[dict[str, Any]], list[tuple[int, float, int]]]:
    """The same, one step after the other, and number, return and length of each episode in progress."""
    count = len(numbers)
    number, total, length = [0] * count, [0.0] * count, [0] * count
    rows, step = [], 0
    for steps in cuts:
        for t in range(steps):
            for n in range(count):
                if play.resets[step, n]:
                    number[n], total[n], length[n] = number[n] + 1, 0.0, 0
                    continue
                total[n] += float(play.rewards[step, n])
                length[n] += 1
                if play.ended[step, n]:
                    rows.append(
                        {
                            "step": t,
                            "environment": numbers[n],
                            "number": number[n],
                            "return": total[n],
                            "length": length[n],
                            "success": int(play.success[step, n]),
                            "error": int(play.failed[step, n]),
                            "index": t * count + n,
                            "last": play.observations[step, n].tolist(),
                            "task": f"task {n}",
                        }
                    )
                    if not play.self_resetting:
                        number[n], total[n], length[n] = number[n] + 1, 0.0, 0
            step += 1
    return rows, list(zip(number, total, length, strict=True))


@fuzz
@given(
    seed=st.integers(0, 999),
    environments=st.integers(1, 4),
    cuts=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    chance=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    self_resetting=st.booleans(),
)
def test_episodes_are_counted_as_step_by_step(
    seed: int, environments: int, cuts: list[int], chance: float, self_resetting: bool
) -> None:
    """Returns, lengths and numbers are those of a plain loop, to the last bit, wherever trajectories are cut.

    Also where environments reset themselves: the step that resets belongs to no episode.
    """
    numbers = range(10, 10 + environments)
    play = Play(seed, environments, cuts, chance, self_resetting)
    rows, stats = tracked(play, cuts, numbers)
    expected, progress = counted(play, cuts, numbers)
    assert rows == expected
    assert list(zip(stats.number.tolist(), stats.returns.tolist(), stats.lengths.tolist(), strict=True)) == progress


def test_where_trajectories_are_cut_does_not_matter() -> None:
    """Sums of many float32 of very different size: the return is the same bits from one trajectory as from many."""
    cuts = {"whole": [60], "pieces": [1, 7, 2, 20, 13, 17], "steps": [1] * 60}
    returns = {}
    for name, lengths in cuts.items():
        play = Play(5, 3, lengths, 0.05, self_resetting=False)
        rows, stats = tracked(play, lengths, range(3))
        returns[name] = [row["return"] for row in rows], stats.returns.tolist()
    assert returns["whole"] == returns["pieces"] == returns["steps"]
    assert len(returns["whole"][0]) > 3


def test_beginning_forgets_what_came_before() -> None:
    """Of the environments that are named, and of no others; rewards before that step are nobody's."""
    stats, rewards = EpisodeStats(2), np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]], np.float32)
    stats.begin(np.array([0]), 2)
    stats.end_trajectory(rewards)
    assert (stats.returns.tolist(), stats.lengths.tolist()) == ([4.0, 70.0], [1, 3])
    stats.begin(np.array([True, False]))
    stats.end_trajectory(rewards)
    assert (stats.returns.tolist(), stats.lengths.tolist()) == ([7.0, 140.0], [3, 6])
    assert stats.number.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_without_finished_episodes_there_are_empty_columns(dtype: Any) -> None:
    """Of the same names, types and trailing dimensions as with some: a trajectory has the same arrays always."""
    finished = FinishedEpisodes(range(2))
    columns = finished.columns()
    assert columns.keys() == {f"episodes/{name}" for name in EPISODE_COLUMNS}
    for name, type_of_column in EPISODE_COLUMNS.items():
        assert (columns[f"episodes/{name}"].dtype, columns[f"episodes/{name}"].shape) == (type_of_column, (0,))
    last = finished.observations("camera", np.zeros((4, 3), dtype))
    assert (last.dtype, last.shape) == (dtype, (0, 4, 3))
    assert (finished.index().dtype, finished.index().shape) == (np.int64, (0,))
    assert finished.tasks == []


def test_last_observations_are_copies() -> None:
    """The vector's own arrays are overwritten by its next step."""
    finished, stats = FinishedEpisodes(range(3)), EpisodeStats(3)
    observations = {"a": np.arange(3.0), "b": np.arange(6, dtype=np.uint8).reshape(3, 2)}
    vector: Any = SimpleNamespace(observations=observations, success=np.zeros(3, np.int8), failed={})
    finished.add(0, np.array([0, 2]), vector, stats, [None] * 3)
    for array in observations.values():
        array[:] = 77
    finished.add(1, np.array([1]), vector, stats, [None] * 3)
    assert finished.observations("a", observations["a"][0]).tolist() == [0.0, 2.0, 77.0]
    assert finished.observations("b", observations["b"][0]).tolist() == [[0, 1], [4, 5], [77, 77]]
    assert finished.index().tolist() == [0, 2, 4]
