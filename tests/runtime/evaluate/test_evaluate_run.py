"""Evaluations after training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from gymnasium.spaces import Box

from framework.errors import FrameworkError, PipelineError, RunError
from framework.runtime.data.seeds import episode_seed, evaluation_seed
from framework.runtime.evaluate import evaluate_run as module
from framework.runtime.evaluate.evaluate import Evaluation
from framework.runtime.evaluate.evaluate_run import check_seeds_of_one_pipeline, evaluate_run, load

SEED = evaluation_seed(3)
POLICIES = """
def zeros(observation, action_mask, generator):
    return 0

def noise(observation, action_mask, generator):
    return generator.integers(2)
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that evaluates with three episodes, with the policy that it ended with and the best; a policy beside it."""
    (tmp_path / "policies.py").write_text(POLICIES)
    directory = tiny.recorded(tmp_path, evaluation__episodes=3)
    tiny.save(directory, "update-00000010", 10.0)
    tiny.save(directory, "best-00000020", 20.0)
    return directory


def returns(seeds: list[int], tasks: list[Any], longest: int = 6) -> list[float]:
    """Those of episodes in which action 0 is taken all the time."""
    totals = []
    for seed, task in zip(seeds, tasks, strict=True):
        steps = range(1, tiny.length(seed, longest) + 1)
        totals.append(sum(float(np.float32(tiny.reward(seed, task, [0] * step))) for step in steps))
    return totals


def episode_seeds(count: int, seed: int = SEED) -> list[int]:
    return [episode_seed(seed, index, 0) for index in range(count)]


def test_by_default_it_is_an_evaluation_of_the_run(run: Path) -> None:
    """The episodes that it played while it was trained, as many, with the most probable actions."""
    result = evaluate_run(run)
    assert result.returns.tolist() == returns(episode_seeds(3), [None] * 3)
    assert result.lengths.tolist() == [tiny.length(seed, 6) for seed in episode_seeds(3)]


def test_the_seed_decides_the_episodes(run: Path) -> None:
    """Another seed gives other ones; 0 is one, too."""
    for seed in (0, 5, 6):
        result = evaluate_run(run, episodes=4, seed=seed)
        assert result.returns.tolist() == returns(episode_seeds(4, seed), [None] * 4)


@pytest.mark.parametrize(
    ("of_pipeline", "overrides", "episodes", "count"),
    [(3, {}, None, 3), (3, {}, 5, 5), (3, {"evaluation.episodes": 2}, None, 2), (0, {}, None, 20), (0, {}, 1, 1)],
)
def test_there_are_as_many_episodes_as_asked_for(
    tmp_path: Path, of_pipeline: int, overrides: dict[str, Any], episodes: int | None, count: int
) -> None:
    """By the argument, else by the pipeline, else 20."""
    directory = tiny.recorded(tmp_path, evaluation__episodes=of_pipeline)
    tiny.save(directory, "update-00000010", 0.0)
    assert len(evaluate_run(directory, overrides, episodes=episodes).returns) == count


def test_actions_are_sampled_as_the_evaluation_says(run: Path) -> None:
    """In the pipeline, or as asked for; by default the most probable ones are taken."""
    greedy = evaluate_run(run, episodes=6).returns.tolist()
    sampled = evaluate_run(run, ["evaluation.deterministic=false"], episodes=6).returns.tolist()
    assert sampled == evaluate_run(run, episodes=6, stochastic=True).returns.tolist() != greedy


def test_tasks_are_played_in_turn(run: Path) -> None:
    """Those that are given, else those of the pipeline; an empty list of them is no task."""
    overrides = {"evaluation.tasks": ["a", "b"]}
    seeds = episode_seeds(3)
    assert evaluate_run(run, overrides).returns.tolist() == returns(seeds, ["a", "b", "a"])
    assert evaluate_run(run, overrides, tasks=["c"]).returns.tolist() == returns(seeds, ["c"] * 3)
    assert evaluate_run(run, overrides, tasks=[]).returns.tolist() == returns(seeds, [None] * 3)


@pytest.mark.parametrize(
    ("checkpoint", "weight"), [("best", 20.0), ("last", 10.0), ("update-00000010", 10.0), ("best-00000020", 20.0)]
)
def test_the_policy_is_that_of_the_checkpoint(
    run: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: str, weight: float
) -> None:
    """The best, the last, or the one that is named."""
    weights = set()
    act = tiny.Policy.act

    def remembering(self: tiny.Policy, *args: Any, **kwargs: Any) -> Any:
        weights.add(self.weight.item())
        return act(self, *args, **kwargs)

    monkeypatch.setattr(tiny.Policy, "act", remembering)
    evaluate_run(run, checkpoint=checkpoint)
    assert weights == {weight}


def test_the_environment_may_be_another(run: Path) -> None:
    """Its options, as long as its spaces are those that the policy was trained with."""
    result = evaluate_run(run, ["environment.longest=3"])
    assert result.returns.tolist() == returns(episode_seeds(3), [None] * 3, longest=3)


@pytest.mark.parametrize("space", ["observation_space", "action_space"])
def test_a_policy_stays_with_its_spaces(run: Path, monkeypatch: pytest.MonkeyPatch, space: str) -> None:
    """Both are shown; the environment that was looked at is closed."""
    environments: list[tiny.Hashed] = []

    class Wider(tiny.Hashed):
        def __init__(self, longest: int = 6):
            super().__init__(longest)
            environments.append(self)

    wider = Box(0, 1, (5,), np.float32)
    make = tiny.Environment.make
    monkeypatch.setattr(Wider, space, wider)
    monkeypatch.setattr(
        tiny.Environment, "make", lambda self: Wider(self.config.longest) if self.config.longest == 7 else make(self)
    )
    with pytest.raises(RunError, match="cannot act here: it was trained with the") as caught:
        evaluate_run(run, ["environment.longest=7"])
    words = space.replace("_", " ")
    trained = getattr(tiny.Hashed, space)
    assert str(caught.value).endswith(f"the {words} {trained}, and this environment has {wider}")
    assert [environment.closed for environment in environments] == [True]


@pytest.mark.parametrize("override", ["algorithm.learning_rate=1.0", "run.seed=4", "encoder.hidden=[8]", "bonus=[]"])
def test_what_was_trained_cannot_be_changed(run: Path, override: str) -> None:
    """It is said, and what can; of pipeline files as of runs."""
    for target in (run, run.parents[1] / "pipeline.toml"):
        with pytest.raises(PipelineError, match=r"only \[environment\] and \[evaluation\] can be overridden"):
            load(target, [override])


# Functions.


def test_functions_act_in_runs_and_in_pipelines(run: Path) -> None:
    """Found beside the pipeline file; no checkpoint is needed."""
    file = run.parents[1] / "pipeline.toml"
    expected = returns(episode_seeds(3), [None] * 3)
    for target in (run, file):
        overrides = [] if target is run else ["evaluation.episodes=3"]
        assert evaluate_run(target, overrides, policy="policies:zeros").returns.tolist() == expected
    fresh = tiny.recorded(run.parents[1], evaluation__episodes=3)
    assert evaluate_run(fresh, policy="policies:zeros").returns.tolist() == expected


def test_functions_draw_by_the_seed(run: Path) -> None:
    """The same numbers each time."""
    results = [evaluate_run(run, policy="policies:noise", seed=seed).returns.tolist() for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_a_pipeline_has_no_policy_of_its_own(run: Path) -> None:
    """What to name instead is said."""
    with pytest.raises(FrameworkError, match="no trained policy: name a run directory, or a function as the policy"):
        evaluate_run(run.parents[1] / "pipeline.toml")


# Videos.


class Drawn(tiny.Hashed):
    """One that can be watched."""

    render_mode = "rgb_array"

    def render(self) -> Any:
        return np.full((16, 16, 3), 40 * len(self.actions), np.uint8)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], list[str | None]]:
    """Have environments that can be watched, with this metadata; gives the render modes that they were made for."""
    modes: list[str | None] = []

    def use(metadata: dict[str, Any]) -> list[str | None]:
        start = tiny.Environment.__init__

        def remembering(self: tiny.Environment, config: Any, context: Any) -> None:
            modes.append(context.render_mode)
            start(self, config, context)

        monkeypatch.setattr(Drawn, "metadata", metadata)
        monkeypatch.setattr(tiny.Environment, "__init__", remembering)
        monkeypatch.setattr(tiny.Environment, "make", lambda self: Drawn())
        return modes

    return use


@pytest.mark.parametrize(("metadata", "milliseconds"), [({"render_fps": 2}, 500), ({}, 33)])
def test_videos_are_as_fast_as_the_environment_says(
    run: Path, tmp_path: Path, drawn: Any, metadata: dict[str, Any], milliseconds: int
) -> None:
    """Two pictures a second where its metadata says so, else 30; one at the start and one after each step."""
    imageio = pytest.importorskip("imageio.v3")
    modes = drawn(metadata)
    video = tmp_path / "episode.gif"
    result: Evaluation = evaluate_run(run, policy="policies:zeros", episodes=2, video=video)
    assert imageio.immeta(video)["duration"] in range(milliseconds - 4, milliseconds + 1)
    assert len(imageio.imread(video, index=None)) == result.lengths.max() + 1
    assert modes == ["rgb_array"]


def test_without_a_video_nothing_is_drawn(run: Path, drawn: Any) -> None:
    """Environments are made for no render mode."""
    modes = drawn({})
    evaluate_run(run, policy="policies:zeros")
    assert modes == [None]


def test_a_video_that_cannot_be_written_is_an_error_at_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is played for it."""
    monkeypatch.setattr(module, "evaluate", lambda *args, **kwargs: pytest.fail("played"))
    with pytest.raises(FrameworkError, match=r"must end in \.mp4 or \.gif"):
        evaluate_run(run, policy="policies:zeros", video=tmp_path / "episode.txt")


# Several runs.


def test_seeds_of_one_pipeline_are_one_result(tmp_path: Path) -> None:
    """Where and how often they are evaluated or saved may differ."""
    runs = [tiny.recorded(tmp_path, run__seed=seed, evaluation__episodes=seed) for seed in (1, 2, 3)]
    check_seeds_of_one_pipeline(runs)
    check_seeds_of_one_pipeline(runs[:1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run__seed": 1}, "are runs with the same seed"),
        ({"environment__longest": 5}, r"are no runs of one pipeline: environment\.longest differ"),
        ({"run__total_steps": 128}, r"are no runs of one pipeline: run\.total_steps differ"),
        ({"sampling__rollout_length": 2, "sampling__shard": 4}, r"sampling\.rollout_length, sampling\.shard differ"),
    ],
)
def test_others_are_none(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """What differs is named, and of which runs."""
    runs = [tiny.recorded(tmp_path, run__seed=seed) for seed in (1, 2)]
    runs.append(tiny.recorded(tmp_path, **{"run__seed": 3} | changes))
    with pytest.raises(FrameworkError, match=message) as caught:
        check_seeds_of_one_pipeline(runs)
    assert str(caught.value).startswith(f"{runs[0]} and {runs[2]} ")
