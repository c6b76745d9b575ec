import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from framework.errors import RunError
from framework.runtime.data.seeds import episode_seed, evaluation_seed
from framework.runtime.learn.evaluation import Evaluator, Film
from framework.runtime.learn.interrupt import Interrupt

STEPS = 16  #: environment steps of an update


def make_evaluator(folder: Path, interrupt: Interrupt | None = None, **overrides: Any) -> Evaluator:
    pipeline = tiny.load(folder, **{"evaluation__episodes": 3} | overrides)
    return Evaluator(pipeline, interrupt or Interrupt())


def due(evaluator: Evaluator, total: int) -> list[int]:
    """The updates after which there is an evaluation, of so many steps."""
    return [steps // STEPS for steps in range(STEPS, total + STEPS, STEPS) if evaluator.due(steps)]


@pytest.mark.parametrize(
    ("every", "total", "updates"),
    [
        (0, 64, [4]),
        (16, 64, [1, 2, 3, 4]),
        (32, 96, [2, 4, 6]),
        (24, 96, [2, 3, 5, 6]),  # crossed at 24, 48, 72, 96
        (5, 48, [1, 2, 3]),
        (40, 96, [3, 5, 6]),
        (1000, 64, [4]),
        (0, 50, [4]),  # the last update goes beyond
    ],
)
def test_evaluations_are_where_steps_are_crossed_and_at_the_end(
    tmp_path: Path, every: int, total: int, updates: list[int]
) -> None:
    """Every so many steps, whether or not updates are as long; never twice after an update."""
    evaluator = make_evaluator(tmp_path, evaluation__every_steps=every, run__total_steps=total)
    assert due(evaluator, total) == updates


def test_without_episodes_there_is_no_evaluation(tmp_path: Path) -> None:
    """Not even at the end."""
    evaluator = make_evaluator(tmp_path, evaluation__episodes=0, evaluation__every_steps=16)
    assert due(evaluator, 64) == []


def test_the_same_episodes_are_played_each_time(tmp_path: Path) -> None:
    """They follow from the seed of the run alone, and their means are named ``evaluation/...``."""
    evaluator = make_evaluator(tmp_path)
    first, second = (evaluator.evaluate(tiny.Policy()) for _ in range(2))
    seconds = [metrics.pop("time/evaluation") for metrics in (first, second)]
    assert first == second
    assert all(0 < duration < 60 for duration in seconds)
    returns, lengths = [], []
    for index in range(3):
        seed = episode_seed(evaluation_seed(3), index, 0)
        lengths.append(tiny.length(seed, 6))
        rewards = [tiny.reward(seed, None, [0] * (step + 1)) for step in range(lengths[-1])]
        returns.append(float(np.float32(rewards).astype(np.float64).sum()))
    assert first["evaluation/return"] == pytest.approx(np.mean(returns))
    assert first["evaluation/length"] == np.mean(lengths)
    assert first["evaluation/episodes"] == 3
    assert {name.partition("/")[0] for name in first} == {"evaluation"}


def test_it_is_played_as_the_pipeline_says(tmp_path: Path) -> None:
    """Actions are sampled where it says so, and tasks are those of its evaluations."""
    plain = make_evaluator(tmp_path).evaluate(tiny.Policy())
    sampled = make_evaluator(tmp_path, evaluation__deterministic=False).evaluate(tiny.Policy())
    on_tasks = make_evaluator(tmp_path, evaluation__tasks=["a", "b"]).evaluate(tiny.Policy())
    assert len({metrics["evaluation/return"] for metrics in (plain, sampled, on_tasks)}) == 3
    assert len({metrics["evaluation/length"] for metrics in (plain, sampled, on_tasks)}) == 1


def test_an_evaluation_may_be_interrupted_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From within an environment, whatever it does; its environments are closed."""
    interrupt = Interrupt()
    environments: list[tiny.Hashed] = []
    monkeypatch.setattr(tiny.Environment, "make", lambda self: environments.append(tiny.Hashed()) or environments[-1])
    monkeypatch.setattr(tiny.Hashed, "step", lambda self, action: interrupt.request())
    with pytest.raises(KeyboardInterrupt):
        make_evaluator(tmp_path, interrupt).evaluate(tiny.Policy())
    assert [environment.closed for environment in environments] == [True] * 3


def test_a_run_that_is_to_end_evaluates_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made for it."""
    interrupt = Interrupt()
    interrupt.request()
    monkeypatch.setattr(tiny.Environment, "make", lambda self: pytest.fail("made"))
    with pytest.raises(KeyboardInterrupt):
        make_evaluator(tmp_path, interrupt).evaluate(tiny.Policy())


class Filmed(tiny.Hashed):
    """Its pictures are as bright as its episode is old."""

    metadata = {"render_fps": 10}  # noqa: RUF012  as Gymnasium has it
    render_mode = "rgb_array"

    def render(self) -> Any:
        return np.full((16, 16, 3), 20 * len(self.actions), np.uint8)


def test_the_last_update_is_evaluated_too(tmp_path: Path) -> None:
    """Wherever a run is stopped."""
    assert make_evaluator(tmp_path).due(16, last=True)
    assert not make_evaluator(tmp_path, evaluation__episodes=0).due(16, last=True)


def test_some_of_the_episodes_are_filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The video has the first ones, side by side, and the results are those without it."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    plain = make_evaluator(tmp_path).evaluate(tiny.Policy())
    monkeypatch.setattr(tiny.Environment, "make", lambda self: Filmed())
    film = Film(tmp_path / "videos" / "update-1.mp4")
    filmed = make_evaluator(tmp_path, evaluation__video=2).evaluate(tiny.Policy(), film)
    assert film.problem == ""
    command = [ffmpeg, "-loglevel", "error", "-i", film.path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(command, check=True, capture_output=True).stdout
    frames = 1 + max(tiny.length(episode_seed(evaluation_seed(3), index, 0), 6) for index in range(3))
    assert len(pixels) == frames * 16 * 32 * 3
    assert {**plain, "time/evaluation": 0} == {**filmed, "time/evaluation": 0}


def test_a_video_that_cannot_be_written_harms_no_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The film says why it is missing."""
    monkeypatch.setattr(tiny.Environment, "make", lambda self: Filmed())
    (tmp_path / "videos").touch()
    film = Film(tmp_path / "videos" / "update-1.mp4")
    metrics = make_evaluator(tmp_path, evaluation__video=1).evaluate(tiny.Policy(), film)
    assert metrics["evaluation/episodes"] == 3
    assert "videos" in film.problem


def test_environments_that_cannot_be_filmed_are_refused_at_once(tmp_path: Path) -> None:
    """Before anything is trained."""
    with pytest.raises(RunError, match="the environment cannot be filmed: its render mode is None, not rgb_array"):
        make_evaluator(tmp_path, evaluation__video=1)
