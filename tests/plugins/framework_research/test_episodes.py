"""Episodes side by side: their tasks, their ends, and how efficient they were."""

from __future__ import annotations

import numpy as np
import pytest

from framework.errors import RunError
from framework_research import episodes
from framework_research.browser import actions
from framework_research.browser.shortest import fill_efficiencies, shortest_episode
from framework_research.environment import ResearchEnv
from framework_research.episodes import level_and_seed
from framework_research.vector import ResearchVectorEnv


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (None, (0.5, 7)),
        (0.25, (0.25, 7)),
        ({"level": 1}, (1.0, 7)),
        ({"seed": np.int64(3)}, (0.5, 3)),
        ({"level": np.float32(0.75), "seed": 2**64 - 1}, (0.75, 2**64 - 1)),
        ({}, (0.5, 7)),
    ],
)
def test_tasks(task, expected) -> None:
    """What a task does not say is as it would be without one."""
    assert level_and_seed(task, 0.5, 7) == expected


@pytest.mark.parametrize("task", ["hard", True, 1.5, {"level": -0.1}, {"levels": 0.5}, [0.5], {"level": None}])
def test_tasks_that_there_are_not(task) -> None:
    """They are refused, and the message shows what one looks like."""
    with pytest.raises(RunError, match=r"a task must be a level from 0 to 1, or a table such as \{ level = 0.5, seed"):
        level_and_seed(task, 0.5, 7)


def test_episodes_are_cut_short() -> None:
    """After as many steps as the option says, and without success."""
    environment = ResearchEnv(max_steps=5)
    environment.reset(seed=0)
    for step in range(5):
        _, _, terminated, truncated, info = environment.step(actions.SEARCH_QUESTION)
        assert not terminated
        assert truncated == (step == 4)
    assert info["success"] is False


def test_episodes_that_were_cut_short_wait() -> None:
    """What is done in them afterwards changes nothing and is worth nothing, and time stays within its bounds."""
    environment = ResearchEnv(max_steps=5, observation_mode="state")
    environment.reset(seed=0)
    last = [environment.step(actions.SEARCH_QUESTION)[0] for _ in range(5)][-1]
    rows, reward, terminated, truncated, _ = environment.step(actions.SEARCH_QUESTION)
    np.testing.assert_array_equal(rows, last)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert rows in environment.observation_space


@pytest.mark.parametrize("render_mode", [None, "ansi"])
@pytest.mark.parametrize("action", [-1, actions.ACTIONS])
def test_actions_that_there_are_not(action: int, render_mode: str | None) -> None:
    """They are an error, and touch no memory."""
    environment = ResearchEnv(render_mode=render_mode)
    environment.reset(seed=0)
    with pytest.raises(ValueError, match="from 0 to 54"):
        environment.step(action)


def test_efficiencies_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the step in which an episode ends; those that wait for a reset keep theirs."""
    counted = np.zeros(2, int)

    def count(worlds: np.ndarray, browsers: np.ndarray, ended: np.ndarray, efficiencies: np.ndarray) -> None:
        counted[ended] += 1
        fill_efficiencies(worlds, browsers, ended, efficiencies)

    monkeypatch.setattr(episodes, "fill_efficiencies", count)
    vector = ResearchVectorEnv(2, task_complexity=0.3, observation_mode="state")
    vector.reset(seed=0)
    shortest = shortest_episode(vector.episodes.worlds[0])
    for action in [*shortest, *shortest]:
        *_, infos = vector.step(np.array([action, actions.SEARCH_QUESTION]))
    np.testing.assert_array_equal(infos["metrics"]["efficiency"], [1.0, 0.0])
    np.testing.assert_array_equal(counted, [1, 0])
