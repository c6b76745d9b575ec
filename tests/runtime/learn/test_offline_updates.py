"""Updates before anything is collected: `[run] offline_steps`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import runs
import tiny

from framework.errors import PipelineError, PluginError, RunError
from framework.runtime.learn.ranks import Rank, check
from framework.runtime.session import Session

OFFLINE = {"algorithm__use": "tiny_offline:Offline", "run__offline_steps": 32}


def run(folder: Path, **overrides: object) -> Path:
    """The directory of a run to its end: by default two updates offline, and two online."""
    session = Session(tiny.load(folder, **{**OFFLINE, **overrides}), root=folder)
    for _ in session.updates():
        pass
    return session.directory


@pytest.mark.parametrize("lag", [0, 1, 2, "free"])
def test_the_first_steps_are_not_collected(tmp_path: Path, lag: int | str) -> None:
    """They count as steps, but no episode ends in them; then trajectories come, never older than the lag."""
    directory = run(tmp_path, run__total_steps=96, sampling__policy_lag=lag)
    lines = runs.metrics(directory)
    assert [(line["update"], line["steps"]) for line in lines] == [(n, 16 * n) for n in range(1, 7)]
    assert [line.get("progress") for line in lines] == [0.0, 16 / 96, None, None, None, None]
    assert [line["episodes"] > 0 for line in lines] == [False, False, True, True, True, True]
    assert lines[2]["lag"] == 0
    if lag != "free":
        assert [line["lag"] for line in lines[2:]] == [min(n, lag) for n in range(4)]
    [begun] = runs.events(directory, "online")
    assert (begun["updates"], begun["steps"]) == (2, 32)


@pytest.mark.parametrize("samplers", [2])
def test_what_is_collected_afterwards_does_not_depend_on_who_does(
    tmp_path: Path, samplers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samplers start after the last update offline, and the run is the same bit for bit."""
    monkeypatch.setenv("PYTHONPATH", str(Path(tiny.__file__).parent))
    runs.assert_equal_runs(run(tmp_path / "one"), run(tmp_path / "many", runtime__samplers=samplers))


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_resumed_run_equals_a_straight_one(tmp_path: Path, done: int) -> None:
    """Wherever it was interrupted: offline, between the phases, or online."""
    straight = run(tmp_path / "straight")
    session = Session(tiny.load(tmp_path / "resumed", **OFFLINE), root=tmp_path)
    with closing(session.updates()) as updates:
        for _ in range(done):
            next(updates)
    for _ in Session(session.pipeline, root=tmp_path, resume=session.directory).updates():
        pass
    runs.assert_equal_runs(straight, session.directory)


def test_a_run_without_samplers(tmp_path: Path) -> None:
    """Where all steps are offline, nothing is started or collected; evaluations are played at their interval."""
    directory = run(
        tmp_path,
        run__offline_steps=64,
        runtime__samplers=2,
        evaluation__episodes=2,
        evaluation__every_steps=32,
    )
    assert not runs.events(directory, "sampler_joined")
    assert not runs.events(directory, "online")
    assert not list(runs.lines(directory, "episodes.jsonl"))
    assert [line["steps"] for line in runs.metrics(directory) if "evaluation/return" in line] == [32, 64]


def test_more_steps_go_on_online(tmp_path: Path) -> None:
    """A run whose steps were all offline, resumed for more of them, is the run that had them from the start."""
    directory = run(tmp_path / "first", run__total_steps=32)
    more = tiny.load(tmp_path / "more", **{**OFFLINE, "run__total_steps": 64})
    for _ in Session(more, root=tmp_path, resume=directory).updates():
        pass
    straight = run(tmp_path / "straight")
    assert runs.final_weights(directory) == runs.final_weights(straight)
    assert list(runs.lines(directory, "episodes.jsonl")) == list(runs.lines(straight, "episodes.jsonl"))


def test_once_online_a_run_stays_so(tmp_path: Path) -> None:
    """A resumed run that has collected something collects on, whatever offline_steps says by then."""
    directory = run(tmp_path / "first")
    more = tiny.load(tmp_path / "more", **{**OFFLINE, "run__total_steps": 96, "run__offline_steps": 96})
    for _ in Session(more, root=tmp_path, resume=directory).updates():
        pass
    assert [line.get("progress") is None for line in runs.metrics(directory)] == [False] * 2 + [True] * 4


def test_algorithms_and_replays_that_cannot_are_refused(tmp_path: Path) -> None:
    """By the check, before anything is built."""
    with pytest.raises(PipelineError, match='needs an algorithm that supports "offline", unlike tiny:Algorithm'):
        tiny.load(tmp_path, run__offline_steps=1)
    replay = '[replay]\nuse = "tiny_offline:Replay"\n'
    with pytest.raises(PipelineError, match='needs a replay that supports "offline", which holds a dataset'):
        tiny.load(tmp_path, replay, **OFFLINE)


def test_several_processes_are_refused(tmp_path: Path) -> None:
    """What is learned offline is not shared out."""
    with pytest.raises(PipelineError, match="one process: run it without torchrun"):
        check(Rank(0, 2, 0, 0), tiny.load(tmp_path, **OFFLINE))


def test_metrics_that_are_no_numbers_end_the_run(tmp_path: Path) -> None:
    """As they do online."""
    with pytest.raises(RunError, match="update 1, offline: loss is nan"):
        run(tmp_path, algorithm__use="tiny_offline:Diverging")


def test_an_algorithm_without_what_it_declares_is_named(tmp_path: Path) -> None:
    """It is the plugin's fault."""
    with pytest.raises(PluginError, match=r"tiny_offline:Lying declares .* but has no update_offline"):
        run(tmp_path, algorithm__use="tiny_offline:Lying")
