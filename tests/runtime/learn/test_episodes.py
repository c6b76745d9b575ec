from typing import Any

import numpy as np
import pytest
import trajectories
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.runtime.data.tasks import encode_tasks
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.disk.checkpoint import load, save
from framework.runtime.learn.episodes import WINDOW, Episodes

STEPS, ENVIRONMENTS = 5, 2


def collected(shard: int, seed: int = 0, chance: float = 0.4, success: int | None = None) -> Trajectory:
    """A trajectory in which steps end an episode with this chance."""
    first = np.random.default_rng([seed, shard]).random((STEPS + 1, ENVIRONMENTS)) < chance
    trajectory = trajectories.make(seed, shard=shard, first=first, environments=ENVIRONMENTS)
    if success is not None:
        trajectory.arrays["episodes/success"][:] = success
    return trajectory


def rows(*ready: Trajectory) -> list[dict[str, Any]]:
    """The episodes of trajectories, one after the other."""
    return [episode for trajectory in ready for episode in trajectory.episodes()]


def name(episode: dict[str, Any]) -> tuple[Any, ...]:
    """What no two episodes have."""
    return episode["environment"], episode["number"], episode["return"]


def test_episodes_come_in_the_order_of_their_ends() -> None:
    """Over all shards; those of one step in the order of the shards, and then of the environments."""
    ready = [collected(shard) for shard in range(3)]
    ended = Episodes().add(ready)
    expected = [episode for step in range(STEPS) for episode in rows(*ready) if episode["step"] == step]
    assert [name(episode) for episode in ended] == [name(episode) for episode in expected]
    assert len(expected) > 6


@pytest.mark.parametrize(("code", "success"), [(1, True), (0, False), (-1, None)])
def test_success_is_true_false_or_not_there(code: int, success: bool | None) -> None:
    """As the record and curricula have it; the step within the trajectory is nobody's business."""
    ended = Episodes().add([collected(0, success=code)])
    assert ended
    for episode in ended:
        assert ("success" in episode) == (success is not None)
        assert episode.get("success") is success
        assert episode.keys() - {"success"} == {"environment", "number", "return", "length"}


def test_episodes_that_an_error_ended_are_marked() -> None:
    """They count, and are no part of the means: nobody knows what would have become of them."""
    trajectory, episodes = collected(0, chance=1.0, success=1), Episodes()
    trajectory.arrays["episodes/error"][::2] = 1
    trajectory.arrays["episodes/return"][:] = np.where(trajectory.arrays["episodes/error"], 1e6, 2.0)
    ended = episodes.add([trajectory])
    assert [episode.get("error") for episode in ended[:4]] == [True, None, True, None]
    assert episodes.count == len(ended) == STEPS * ENVIRONMENTS
    assert (episodes.means()["return"], episodes.means()["success"]) == (2.0, 1.0)


def test_tasks_stay_with_their_episodes() -> None:
    """However they are sorted."""
    ready = []
    for shard in range(2):
        trajectory = collected(shard)
        count = len(trajectory.arrays["final_index"])
        tasks = [[shard, episode["environment"], episode["step"]] for episode in trajectory.episodes()]
        arrays = trajectory.arrays | {"tasks": encode_tasks([*tasks, *[None] * ENVIRONMENTS])}
        ready.append(Trajectory(shard, 0, 0, arrays))
        assert count
    for episode in Episodes().add(ready):
        assert episode["task"][1] == episode["environment"]


def test_scores_belong_to_the_last_of_the_episodes() -> None:
    """What was dropped comes before what was learned from, and has none; each score stays with its episode."""
    dropped, *learned = (collected(shard) for shard in range(3))
    scores = [float(number) for number in range(len(rows(*learned)))]
    ended = Episodes().add([dropped, *learned], scores)
    expected = {name(episode): score for episode, score in zip(rows(*learned), scores, strict=True)}
    assert {name(episode): episode["score"] for episode in ended if "score" in episode} == expected
    assert 0 < len(expected) < len(ended)


def test_without_scores_there_are_none() -> None:
    """Most algorithms give none."""
    assert all("score" not in episode for episode in Episodes().add([collected(0)]))


@settings(derandomize=True, deadline=None, max_examples=30, database=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from([-1, 0, 1])), max_size=40))
def test_means_are_of_the_last_episodes(updates: list[tuple[int, int]]) -> None:
    """Of at most `WINDOW`, against a plain list; success of those that told it, and nothing where nothing is known."""
    episodes, listed = Episodes(), []
    for seed, success in updates:
        listed += episodes.add([collected(0, seed, 0.9, success)])
        window = listed[-WINDOW:]
        means = {}
        for name in ("return", "length", "success"):
            values = [episode[name] for episode in window if name in episode]
            if values:
                means[name] = sum(values) / len(values)
        assert episodes.means() == pytest.approx(means)
        assert episodes.count == len(listed)


def test_before_any_episode_nothing_is_known() -> None:
    """There is no mean of nothing, and no NaN in the record."""
    episodes = Episodes()
    assert episodes.add([collected(0, chance=0.0)]) == []
    assert (episodes.means(), episodes.count) == ({}, 0)


@pytest.mark.parametrize("updates", [1, 30])
def test_the_window_survives_a_checkpoint(tmp_path: Any, updates: int) -> None:
    """Count and means are the same, and stay the same with what comes after; what was there before is forgotten."""
    episodes, restored = Episodes(), Episodes()
    for seed in range(updates):
        episodes.add([collected(0, seed, 0.9)])
    restored.add([collected(1, 77)])
    restored.load_state_dict(load(save(tmp_path, "update-1", episodes.state_dict())))
    assert (restored.count, restored.means()) == (episodes.count, episodes.means())
    for window in (episodes, restored):
        window.add([collected(0, 31, 0.9)])
    assert (restored.count, restored.means()) == (episodes.count, episodes.means())
    assert (episodes.count > WINDOW) == (updates == 30)
