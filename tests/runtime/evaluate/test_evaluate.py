from typing import Any

import numpy as np
import pytest
from environments import Made, Scripted
from gymnasium.spaces import Box

from framework.errors import RunError
from framework.report.progress import describe_result
from framework.runtime.evaluate import evaluate as module
from framework.runtime.evaluate.evaluate import Evaluation, evaluate


def zeros(observations: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
    return np.zeros(len(next(iter(observations.values()))), np.int64)


class Countdown(Scripted):
    """Reward 1 in each step; as many steps as its task says."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        result = super().reset(seed=seed)
        self.length = options["task"]
        return result

    def step(self, action: Any) -> Any:
        assert self.count < self.length, "stepped after its end"
        observation, _, *tail = super().step(action)
        return observation, 1.0, *tail


def test_each_environment_plays_exactly_one_episode() -> None:
    """Long episodes count once, short ones too: the mean is over episodes, not over whatever ends first."""
    component, lengths = Made(Countdown), [1, 50, 2, 2, 7]
    result = evaluate(zeros, component, 5, 0, tasks=lengths)
    assert result.lengths.tolist() == lengths
    assert result.returns.tolist() == lengths
    assert [len(environment.actions) for environment in component.environments] == lengths
    assert all(environment.closed for environment in component.environments)
    assert result.successes.tolist() == [0, 1, 0, 0, 1]


def test_finished_environments_stand_still() -> None:
    """The policy keeps seeing their last observations, in batches of one size."""
    batches = []

    def act(observations: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        batches.append(observations["observation"].copy())
        return zeros(observations, mask)

    evaluate(act, Made(Countdown), 2, 0, tasks=[2, 6])
    assert {rows.shape for rows in batches} == {(2, 3)}
    still = [rows[0].tolist() for rows in batches]
    assert still[0] != still[1] != still[2]
    assert still[2] == still[3] == still[4] == still[5]
    assert len({tuple(rows[1]) for rows in batches}) == 6


def test_the_seed_decides_the_episodes() -> None:
    """The same seed gives the same episodes, all different; another seed gives others."""
    returns, replayed, different = (evaluate(zeros, Made(Scripted), 6, seed).returns for seed in (1, 1, 2))
    np.testing.assert_array_equal(returns, replayed)
    assert len({*returns, *different}) == 12


def test_masks_reach_the_policy() -> None:
    """Also of finished episodes that have no legal action left."""

    def change(environment: Scripted, result: tuple) -> tuple:
        over = len(result) == 5 and (result[2] or result[3])
        return (*result[:-1], {"action_mask": [not over, False]})

    masks = []

    def act(observations: dict[str, np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        masks.append(mask.copy())
        return zeros(observations, mask)

    evaluate(act, Made(lambda: Scripted(change=change)), 4, 0)
    assert masks[0].tolist() == [[True, False]] * 4
    assert not masks[-1].all(axis=0)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, result: (result[0], np.nan, *result[2:]), "environment 1: reward is not finite: nan"),
        (lambda _, result: (result[0] * np.inf, *result[1:]), "environment 1: observation is not finite"),
    ],
)
def test_numbers_that_are_not_finite_stop_it(change: Any, message: str) -> None:
    """Environment and leaf are named."""
    environments = iter([Scripted(), Scripted(change=lambda e, r: change(e, r) if len(r) == 5 else r)])
    with pytest.raises(RunError, match=message):
        evaluate(zeros, Made(lambda: next(environments)), 2, 0)


def test_an_episode_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither cut silently nor waited for."""
    monkeypatch.setattr(module, "ENDLESS", 10)
    component = Made(Countdown)
    with pytest.raises(RunError, match=r"environment 1 has not ended after 10 steps.*max_episode_steps"):
        evaluate(zeros, component, 2, 0, tasks=[3, 11])
    assert all(environment.closed for environment in component.environments)


def measured(*episode_metrics: Any) -> Made:
    """Environments that end their first episode with these ``info["metrics"]``; None gives none."""
    metrics = iter(episode_metrics)

    def make() -> Scripted:
        reported = next(metrics)

        def change(_: Scripted, result: tuple) -> tuple:
            over = len(result) == 5 and (result[2] or result[3])
            return (*result[:-1], {**result[-1], "metrics": reported}) if over and reported is not None else result

        return Scripted(change=change)

    return Made(make)


def test_metrics_of_episodes_are_collected() -> None:
    """One number of each name an episode, in order, whichever ends first; the summary has their means."""
    episode_metrics = [{"a": 1, "b": np.float32(0.5)}, {"b": -0.5, "a": 0.0}, {"a": 5.0, "b": 3.0}]
    result = evaluate(zeros, measured(*episode_metrics), 3, 0)
    assert {name: values.tolist() for name, values in result.metrics.items()} == {
        "a": [1.0, 0.0, 5.0],
        "b": [0.5, -0.5, 3.0],
    }
    summary = result.summary()
    assert (summary["metrics/a"], summary["metrics/b"]) == (2.0, 1.0)
    assert describe_result(summary).endswith(", a 2, b 1, 3 episodes")


@pytest.mark.parametrize(
    ("episode_metrics", "message"),
    [
        ([{"a": 1.0}, {"a": np.nan}], r"environment 1 ended .*\['a'\] = nan: it must be a finite number"),
        ([{"a": 1.0}, {"a": "high"}], r"environment 1 ended .*\['a'\] = 'high': it must be a finite number"),
        ([{"a": 1.0}, {"a": [1.0]}], r"environment 1 ended .*\['a'\] = \[1.0\]: it must be a finite number"),
        ([{"a": 1.0}, None], "environment 1 ended .* none, and environment 0 with 'a': all must give the same"),
        ([{"a": 1.0}, {"b": 1.0}], "environment 1 ended .* 'b', and environment 0 with 'a': all must give the same"),
        ([0.5, 0.5], "environment 0 ended .* = 0.5: it must be a dictionary"),
        ([{1: 0.5}], "environment 0 ended .* named 1: a name must be a string"),
    ],
)
def test_metrics_that_are_none_stop_it(episode_metrics: list[Any], message: str) -> None:
    """What is no finite number, or missing in some episodes, is named with its environment."""
    with pytest.raises(RunError, match=message):
        evaluate(zeros, measured(*episode_metrics), len(episode_metrics), 0)


class Drawn(Countdown):
    render_mode = "rgb_array"
    drawn = 0

    def render(self) -> np.ndarray:
        self.drawn += 1
        return np.full((2, 3, 3), self.count, np.uint8)


def test_pictures_of_all_environments_are_recorded() -> None:
    """At the start and after each step; that of a finished one stays, and is not drawn again."""
    component, frames = Made(Drawn), []
    evaluate(
        zeros, component, 2, 0, tasks=[2, 4], record=lambda pictures: frames.append([p[0, 0, 0] for p in pictures])
    )
    assert frames == [[0, 0], [1, 1], [2, 2], [2, 3], [2, 4]]
    assert [environment.drawn for environment in component.environments] == [3, 5]


def test_an_environment_that_cannot_be_drawn_is_an_error() -> None:
    """Its render mode is named."""

    class Blind(Scripted):
        def render(self) -> None:
            return None

    with pytest.raises(RunError, match="environment 0 cannot be drawn: its render mode is None"):
        evaluate(zeros, Made(Blind), 1, 0, record=lambda _: None)


def test_the_summary_has_plain_values() -> None:
    """Success is there only where every episode told it."""
    result = Evaluation(np.array([1.0, 3.0]), np.array([10, 20]), np.array([1, 0], np.int8))
    assert result.summary() == {
        "return": 2.0,
        "return_std": 1.0,
        "return_min": 1.0,
        "return_max": 3.0,
        "length": 15.0,
        "success": 0.5,
        "episodes": 2,
    }
    assert all(type(value) in (int, float) for value in result.summary().values())
    assert "success" not in Evaluation(result.returns, result.lengths, np.array([1, -1], np.int8)).summary()


def test_box_actions_outside_the_bounds_are_clipped() -> None:
    """As they are while training."""
    component = Made(lambda: Scripted(action=Box(-1, 1, (2,), np.float32)))
    evaluate(lambda observations, _: np.full((1, 2), 9, np.float32), component, 1, 0)
    assert all(action.tolist() == [1, 1] for action in component.environments[0].actions)
