"""How far policies come that were not learned: the calibration of the levels."""

from __future__ import annotations

import pytest
from researching import play

from framework.errors import RunError
from framework_research.environment import ResearchEnv
from framework_research.policies import experts


def success(policy, level: float, episodes: int, **options) -> float:
    environment = ResearchEnv(task_complexity=level, observation_mode="state", **options)
    return sum(play(environment, policy, seed)[1] for seed in range(episodes)) / episodes


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    "level", [0.0, 1.0, *(pytest.param(level, marks=pytest.mark.slow) for level in (0.1, 0.2, 0.3, 0.5, 0.7))]
)
def test_the_expert_succeeds(level: float, split: str) -> None:
    """At every level, from what it sees alone."""
    assert success(experts.expert, level, 60, split=split) >= 0.98


@pytest.mark.parametrize(("level", "least", "most"), [(0.1, 1, 1), (0.2, 0.6, 0.9), (0.5, 0.15, 0.5), (1.0, 0, 0.05)])
def test_who_does_not_look_at_figures_falls_behind(level: float, least: float, most: float) -> None:
    """The more, the more hops lead through figures."""
    assert least <= success(experts.blind_expert, level, 100) <= most


@pytest.mark.parametrize("mode", ["multimodal", "page", "text", "text+figure", "image"])
def test_the_expert_says_what_it_has_to_see(mode: str) -> None:
    """Other observations are refused, at the latest where a figure is read: colours are no heights."""
    environment = ResearchEnv(task_complexity=0.5, observation_mode=mode)

    def play_some() -> None:
        for seed in range(20):
            play(environment, experts.expert, seed)

    with pytest.raises(RunError, match='experts act on observation_mode = "state"'):
        play_some()


@pytest.mark.parametrize("level", [0.0, 0.2, 0.5])
def test_chance_hardly_ever_succeeds(level: float) -> None:
    """Not even where a question is a single hop."""
    assert success(experts.random_legal, level, 100) <= 0.05
