from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import tiny
import torch
import trajectories
from tiny_runs import STEPS, Run

from framework.errors import PipelineError
from framework.runtime.data.shard import first_state
from framework.runtime.data.trajectory import Trajectory, collate
from framework.runtime.disk.checkpoint import load
from framework.runtime.learn import learner as module
from framework.runtime.learn import prepare
from framework.runtime.learn.evaluation import Evaluator
from framework.runtime.link.source import Accepted, Event
from framework.runtime.rollout.worker import Worker


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> list[Trajectory]:
    """All trajectories that workers collect in a test."""
    collected: list[Trajectory] = []
    collect = Worker.collect

    def remembering(self: Worker, *numbers: int) -> Trajectory:
        collected.append(collect(self, *numbers))
        return collected[-1]

    monkeypatch.setattr(Worker, "collect", remembering)
    return collected


# Updates.


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_updates_learn_from_a_trajectory_of_every_shard(
    tmp_path: Path, collected: list[Trajectory], monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    """Update k from the k-th of each, in the order of the shards, collected with what update k - lag had learned."""
    batches: list[Any] = []
    update = tiny.Algorithm.update

    def remembering(self: tiny.Algorithm, batch: Any) -> Any:
        batches.append(batch)
        return update(self, batch)

    monkeypatch.setattr(tiny.Algorithm, "update", remembering)
    updates = Run(tmp_path, sampling__policy_lag=lag).end()
    assert [(update.number, update.steps) for update in updates] == [
        (number, number * STEPS) for number in (1, 2, 3, 4)
    ]
    weight = np.float32(0.0)
    weights = [weight]
    for number, batch in enumerate(batches):
        version = max(0, number - lag)
        of_update = [
            trajectory
            for shard in (0, 1)
            for trajectory in collected
            if (trajectory.shard, trajectory.number) == (shard, number)
        ]
        assert [trajectory.version for trajectory in of_update] == [version, version]
        assert (batch.extras["weight"] == float(weights[version])).all()
        expected = collate(of_update)
        assert torch.equal(batch.rewards, expected.rewards)
        assert torch.equal(batch.observations["observation"], expected.observations["observation"])
        assert (batch.progress, batch.lag) == (number / 4, min(number, lag))
        weight += np.float32(batch.rewards.sum())
        weights.append(weight)
    assert len(batches) == 4


def test_each_update_is_a_line(tmp_path: Path) -> None:
    """Its number and steps, the means of the last episodes, the lag, the algorithm's own metrics, and times."""
    run = Run(tmp_path)
    updates = run.end()
    lines = list(runs.lines(run.directory, "metrics.jsonl"))
    assert [update.metrics for update in updates] == lines
    episodes = list(runs.lines(run.directory, "episodes.jsonl"))
    for number, line in enumerate(lines, 1):
        ended = [episode for episode in episodes if episode["update"] <= number]
        assert (line["update"], line["steps"], line["updates"]) == (number, number * STEPS, float(number))
        assert line["lag"] == min(number - 1, 1)
        assert line["episodes"] == len(ended) > 0
        for name in ("return", "length", "success"):
            assert line[name] == pytest.approx(np.mean([episode[name] for episode in ended]))
        assert 0 <= line["time/waiting"] <= line["time/seconds"]
        assert {"loss", "time/updating", "time/steps_per_second", "time/acting", "time/total"} <= line.keys()
        assert not {"dropped", "step"} & line.keys()
    assert {episode["steps"] for episode in episodes} == {STEPS, 2 * STEPS, 3 * STEPS, 4 * STEPS}
    finished = [f"update_finished {number}" for number in (1, 2, 3, 4)]
    assert run.lifecycle.heard == [*finished, "checkpoint_saved update-00000004"]


def test_a_run_has_at_least_its_steps(tmp_path: Path) -> None:
    """The last update may go beyond."""
    assert [update.steps for update in Run(tmp_path, run__total_steps=40).end()] == [16, 32, 48]


def test_curricula_hear_of_the_episodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With their tasks, and with scores where the algorithm gives them; their metrics are in the line."""
    batches: list[Any] = []
    update = tiny.Curriculum.update

    def hearing(self: tiny.Curriculum, episodes: Any) -> dict[str, float]:
        batches.append(list(episodes))
        return update(self, episodes)

    monkeypatch.setattr(tiny.Curriculum, "update", hearing)
    run = Run(tmp_path, tiny.CURRICULUM, algorithm__use="tiny:Scored")
    updates = run.end()
    recorded = list(runs.lines(run.directory, "episodes.jsonl"))
    ended = [episode for episodes in batches for episode in episodes]
    assert ended == [{name: line[name] for name in line.keys() - {"update", "steps"}} for line in recorded]
    for episodes in batches:
        assert sorted(episode["score"] for episode in episodes) == list(range(len(episodes)))
    assert all(isinstance(episode["task"], int) for episode in ended)
    assert updates[-1].metrics["curriculum/heard"] == len(ended)


def scripted(*news: Any) -> tuple[Callable[..., Any], list[Any]]:
    """Takes the place of `open_source`; what the learner asks of its source is in the list."""
    upcoming, requests = iter(news), list[Any]()

    class Source:
        def publish(self, version: int, snapshot: Any) -> None:
            requests.append(("publish", version))

        def release(self, count: int) -> None:
            if count:
                requests.append(("release", count))

        def receive(self, timeout: float) -> Any:
            return next(upcoming)

        def complete(self) -> None:
            requests.append("complete")

    @contextmanager
    def opened(*args: Any) -> Iterator[Source]:
        yield Source()
        requests.append("closed")

    return opened, requests


def accepted(shard: int, number: int, version: int) -> Accepted:
    trajectory = trajectories.make(10 * number + shard, shard=shard, number=number, version=version)
    return Accepted(trajectory, first_state(trajectory))


def test_what_is_too_old_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted and given back; its episodes ended all the same, and its shard stands where it left it."""
    news = [accepted(0, 0, 0), accepted(1, 0, 0), None, accepted(0, 1, 0), accepted(1, 1, 1)]
    news += [accepted(0, 2, 0), accepted(1, 2, 1), accepted(1, 3, 2)]
    opened, requests = scripted(*news)
    monkeypatch.setattr(module, "open_source", opened)
    run = Run(tmp_path, sampling__policy_lag="free", sampling__max_lag=1, run__total_steps=48)
    updates = run.end()
    assert [(update.metrics["dropped"], update.metrics["lag"]) for update in updates] == [(0, 0), (0, 1), (1, 1)]
    published = [("publish", number) for number in range(4)]
    assert requests == [
        *(published[0], ("release", 2), published[1], ("release", 2), published[2]),
        *(("release", 1), ("release", 2), published[3], "complete", "closed"),
    ]
    ended = sum(len(arrival.trajectory.episodes()) for arrival in news if arrival)
    assert updates[-1].metrics["episodes"] == ended
    shards = load(run.directory / "checkpoints" / "update-00000003", "shards")
    assert {shard: int(arrays["number"][0]) for shard, arrays in shards.items()} == {"0": 3, "1": 4}


def test_events_of_the_source_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order in which they come."""
    opened, _ = scripted(Event("first", {"shard": 3}), accepted(0, 0, 0), Event("second", {}), accepted(1, 0, 0))
    monkeypatch.setattr(module, "open_source", opened)
    run = Run(tmp_path, run__total_steps=STEPS)
    run.end()
    recorded = list(runs.lines(run.directory, "events.jsonl"))
    assert [line["event"] for line in recorded] == ["first", "second"]
    assert recorded[0]["shard"] == 3


# Evaluations and checkpoints.


def test_evaluations_follow_their_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are due, with the weights that the update left; the best so far is saved, and no other."""
    returns = iter([1.0, 3.0, 3.0, 2.0])
    weights: list[float] = []

    def evaluate(self: Any, policy: Any, film: Any) -> dict[str, float]:
        weights.append(policy.weight.item())
        return {"evaluation/return": next(returns), "time/evaluation": 0.5}

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    run = Run(tmp_path, evaluation__episodes=1, evaluation__every_steps=STEPS)
    updates = run.end()
    lines = list(runs.lines(run.directory, "metrics.jsonl"))
    assert [line.get("evaluation/return") for line in lines] == [None, 1.0, None, 3.0, None, 3.0, None, 2.0]
    assert [update.evaluation for update in updates] == lines[1::2]
    assert lines[3] == {"update": 2, "steps": 32, "evaluation/return": 3.0, "time/evaluation": 0.5}
    state = load(run.directory / "checkpoints" / "update-00000004")
    stored = [snapshot["weights"].view(np.float32).item() for snapshot in state["versions"].values()]
    assert stored == weights[2:]
    assert (state["best"], run.names("best-")) == (3.0, ["best-00000002"])
    assert run.lifecycle.heard[:4] == [
        "update_finished 1",
        "evaluation_finished 1",
        "checkpoint_saved best-00000001",
        "update_finished 2",
    ]


def test_checkpoints_are_saved_when_they_are_due_and_at_the_end(tmp_path: Path) -> None:
    """After every update where the pipeline says so; none is saved twice."""
    run = Run(tmp_path, checkpoint__every_seconds=0.0, checkpoint__keep=2, run__total_steps=48)
    run.end()
    assert run.names() == ["update-00000002", "update-00000003"]
    saved = [message for message in run.lifecycle.heard if message.startswith("checkpoint")]
    assert saved == [f"checkpoint_saved update-{number:08d}" for number in (1, 2, 3)]


# Before the first update.


@pytest.fixture
def threads() -> Iterator[None]:
    """torch has as many threads afterwards as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_learner_has_as_many_threads_as_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its first weights are made, as a sampler makes them: with one."""
    counts: dict[str, int] = {}
    start, update = tiny.Algorithm.__init__, tiny.Algorithm.update

    def starting(self: tiny.Algorithm, *args: Any) -> None:
        counts["weights"] = torch.get_num_threads()
        start(self, *args)

    def learning(self: tiny.Algorithm, batch: Any) -> dict[str, float]:
        counts["update"] = torch.get_num_threads()
        return update(self, batch)

    monkeypatch.setattr(tiny.Algorithm, "__init__", starting)
    monkeypatch.setattr(tiny.Algorithm, "update", learning)
    torch.set_num_threads(4)
    Run(tmp_path, runtime__threads=2).end()
    assert counts == {"weights": 1, "update": 2}


def test_a_device_that_is_not_there_is_no_reason_to_start_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found out first."""
    monkeypatch.setattr(tiny.Environment, "make", lambda self: pytest.fail("made"))
    with pytest.raises(PipelineError, match=r"runtime.device: 'cuda:99' cannot be used here"):
        Run(tmp_path, runtime__device="cuda:99").end()


@pytest.mark.parametrize(("precision", "count"), [("bfloat16", 1), ("float32", 0)])
def test_emulated_arithmetic_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, count: int
) -> None:
    """It is right, and many times slower."""
    monkeypatch.setattr(module, "emulates_bfloat16", lambda device: True)
    run = Run(tmp_path, runtime__precision=precision)
    run.end()
    assert len(runs.events(run.directory, "bfloat16_emulated")) == count


def test_weights_of_another_run_are_loaded_at_the_start_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event tells; where a checkpoint is gone on from, it has them."""
    initial_state = prepare.initial_state
    announced: list[bool] = []

    def telling(*args: Any, tell: Any) -> Any:
        announced.append(tell is not None)
        if tell is not None:
            tell("MLP from elsewhere")
        return initial_state(*args, tell=tell)

    monkeypatch.setattr(prepare, "initial_state", telling)
    run = Run(tmp_path)
    run.end()
    Run(tmp_path, "", run.directory).end()
    assert announced == [True, False]
    assert [event["what"] for event in runs.events(run.directory, "weights_loaded")] == ["MLP from elsewhere"]
