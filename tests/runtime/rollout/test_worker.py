from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import tiny
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import framework
from framework.errors import PluginError
from framework.pipeline.sections import Pipeline
from framework.runtime.data.policy_snapshot import PolicySnapshot
from framework.runtime.data.shard import first_state
from framework.runtime.data.tasks import encode_tasks
from framework.runtime.rollout import worker as module
from framework.runtime.rollout.worker import Worker


def snapshot(weight: float, tasks: list[Any] | None = None) -> PolicySnapshot:
    """A version of the tiny policy."""
    return {"weights": tiny.weights(weight)} | ({} if tasks is None else {"tasks": encode_tasks(tasks)})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tiny.Hashed]:
    """All environments that are made in a test, in their order."""
    environments: list[tiny.Hashed] = []
    make = tiny.Environment.make

    def remembering(self: tiny.Environment) -> tiny.Hashed:
        environments.append(make(self))
        return environments[-1]

    monkeypatch.setattr(tiny.Environment, "make", remembering)
    return environments


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return tiny.load(tmp_path)


def test_shards_are_collected_with_the_version_that_is_named(pipeline: Pipeline) -> None:
    """Whatever was loaded before, and whatever is kept beside it."""
    worker = Worker(pipeline)
    for shard in (0, 1):
        assert worker.restore(shard, None) == []
    for version in (0, 1):
        worker.keep(version, snapshot(10.0 + version))
    for number, version in enumerate((1, 0, 0, 1)):
        for shard in (1, 0):
            trajectory = worker.collect(shard, number, version)
            assert (trajectory.shard, trajectory.number, trajectory.version) == (shard, number, version)
            assert (trajectory.arrays["extras/weight"] == 10.0 + version).all()


def test_environments_of_a_shard_are_its_own(pipeline: Pipeline) -> None:
    """Shards are numbered through, and what one of them does is nothing to another."""
    worker, alone = Worker(pipeline), Worker(pipeline)
    for collector in (worker, alone):
        collector.keep(0, snapshot(0.0))
        collector.restore(1, None)
    worker.restore(0, None)
    for number in range(3):
        worker.collect(0, number, 0)
        trajectory, expected = worker.collect(1, number, 0), alone.collect(1, number, 0)
        assert {episode["environment"] for episode in trajectory.episodes()} <= {2, 3}
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(trajectory.arrays[name], array)


@pytest.mark.parametrize("lag", [0, 1, 3, "free"])
def test_versions_that_nobody_may_name_are_let_go(tmp_path: Path, lag: Any) -> None:
    """As many are kept as trajectories may lag behind: a fixed number, or 16."""
    worker = Worker(tiny.load(tmp_path, sampling__policy_lag=lag))
    capacity = 16 if lag == "free" else lag
    for version in range(20):
        assert not worker.has(version)
        worker.keep(version, snapshot(0.0))
    assert [version for version in range(20) if worker.has(version)] == list(range(19 - capacity, 20))


def test_what_is_done_is_known(pipeline: Pipeline) -> None:
    """Trajectories of a shard are done up to the next one; those of a shard that was never restored are not."""
    worker = Worker(pipeline)
    worker.keep(0, snapshot(0.0))
    assert not worker.done(0, 0)
    worker.restore(0, None)
    assert not worker.done(0, 0)
    trajectory = worker.collect(0, 0, 0)
    assert [worker.done(0, number) for number in (0, 1)] == [True, False]
    assert not worker.done(1, 0)
    worker.collect(0, 1, 0)
    worker.restore(0, first_state(trajectory))
    assert [worker.done(0, number) for number in (0, 1)] == [True, False]


@pytest.mark.parametrize(("native", "steps"), [("false", 70), ("true", 0)])
def test_what_cannot_be_played_again_needs_no_record(tmp_path: Path, native: str, steps: int) -> None:
    """Actions are recorded as the pipeline says, and not at all where environments reset themselves."""
    text = runs.CARTPOLE.replace('id = "CartPole-v1"', f'id = "CartPole-v1"\nnative = {native}')
    pipeline = framework.load(runs.write(tmp_path, text), {"sampling.max_replay_steps": 70})
    assert Worker(pipeline).max_replay_steps == steps


def test_snapshots_are_part_of_trajectories(tmp_path: Path) -> None:
    """Where the environment offers them; what is recorded for those who cannot load them is limited as ever."""
    worker = Worker(tiny.load(tmp_path, environment__use="snapshotting:Environment"))
    assert worker.max_replay_steps == 100_000
    assert "snapshots/data" in worker.specification.arrays


def test_what_is_forgotten_begins_anew(pipeline: Pipeline, made: list[tiny.Hashed]) -> None:
    """Its environments are closed; restored, a shard gives what it gave; versions have to be kept again."""
    worker = Worker(pipeline)
    for shard in (0, 1):
        worker.restore(shard, None)
    worker.keep(0, snapshot(1.0))
    first = [worker.collect(shard, 0, 0) for shard in (0, 1)]
    worker.forget()
    assert all(environment.closed for environment in made)
    assert not worker.has(0)
    assert not worker.done(0, 0)
    worker.keep(0, snapshot(1.0))
    for shard in (0, 1):
        assert worker.restore(shard, None) == []
        again = worker.collect(shard, 0, 0)
        for name, array in first[shard].arrays.items():
            np.testing.assert_array_equal(again.arrays[name], array)


def test_trajectories_come_in_order(pipeline: Pipeline) -> None:
    """One that is not next is an error in whoever grants, and not collected."""
    worker = Worker(pipeline)
    worker.keep(0, snapshot(0.0))
    worker.restore(0, None)
    with pytest.raises(RuntimeError, match="trajectory 1 of shard 0 was granted, but 0 is next"):
        worker.collect(0, 1, 0)
    assert worker.collect(0, 0, 0).number == 0


@pytest.mark.parametrize("curriculum", ["", tiny.CURRICULUM], ids=["without", "with"])
def test_the_specification_is_that_of_what_is_collected(tmp_path: Path, curriculum: str) -> None:
    """It is made from a single step, and every trajectory fits it; another length is another specification."""
    worker = Worker(tiny.load(tmp_path, curriculum))
    tasks = ["a", "b"] if curriculum else None
    worker.keep(0, snapshot(0.0, tasks))
    worker.restore(0, None)
    for number in range(4):
        trajectory = worker.collect(0, number, 0)
        worker.specification.check(trajectory.arrays)
        assert ("tasks" in trajectory.arrays) == bool(curriculum)
    longer = Worker(tiny.load(tmp_path, curriculum, sampling__rollout_length=5))
    assert longer.specification.fingerprint != worker.specification.fingerprint
    assert Worker(tiny.load(tmp_path, curriculum)).specification.fingerprint == worker.specification.fingerprint


def test_the_example_leaves_no_trace(pipeline: Pipeline, made: list[tiny.Hashed]) -> None:
    """The environments that the specification was made with are those of the first shard, at its very beginning."""
    worker = Worker(pipeline)
    assert len(made) == 2
    worker.keep(0, snapshot(0.0))
    worker.restore(1, None)
    assert len(made) == 2
    worker.restore(0, None)
    assert len(made) == 4
    assert worker.collect(1, 0, 0).arrays["extras/after"][0].tolist() == [1.0, 1.0]


def test_what_cannot_be_replayed_is_not_used_twice(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments that reset themselves have played on for the specification: a shard gets new ones."""
    vectors: list[SyncVectorEnv] = []

    def make_vector(self: Any, count: int) -> SyncVectorEnv:
        vectors.append(SyncVectorEnv([tiny.Hashed] * count, autoreset_mode=AutoresetMode.NEXT_STEP))
        return vectors[-1]

    monkeypatch.setattr(tiny.Environment, "native", True, raising=False)
    monkeypatch.setattr(tiny.Environment, "make_vector", make_vector, raising=False)
    worker = Worker(pipeline)
    worker.keep(0, snapshot(0.0))
    worker.restore(0, None)
    assert len(vectors) == 2
    trajectory = worker.collect(0, 0, 0)
    assert len(vectors[0].envs[0].unwrapped.actions) == 1
    assert worker.restore(1, first_state(trajectory)) == [2, 3]
    worker.close()
    assert all(environment.unwrapped.closed for vector in vectors for environment in vector.envs)


def test_a_lent_policy_is_the_workers_own(pipeline: Pipeline) -> None:
    """It has the weights that were asked for, and the next trajectory those of its version again."""
    worker = Worker(pipeline)
    worker.keep(0, snapshot(1.0))
    worker.restore(0, None)
    worker.collect(0, 0, 0)
    lent: Any = worker.lend_policy(snapshot(5.0)["weights"])
    assert lent.weight.item() == 5.0
    assert (worker.collect(0, 1, 0).arrays["extras/weight"] == 1.0).all()
    assert lent.weight.item() == 1.0


def test_everything_is_closed(pipeline: Pipeline, made: list[tiny.Hashed], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environments of all shards, and what some of them raise is told for each."""
    worker = Worker(pipeline)
    for shard in (0, 1):
        worker.restore(shard, None)
    close = tiny.Hashed.close

    def failing(self: tiny.Hashed) -> None:
        close(self)
        if self is made[2]:
            raise OSError("gone")

    monkeypatch.setattr(tiny.Hashed, "close", failing)
    assert worker.close() == ["environment 0 failed in close: OSError: gone"]
    assert len(made) == 4
    assert all(environment.closed for environment in made)


@pytest.mark.parametrize("method", ["reset", "step"])
def test_what_was_made_is_closed_where_the_rest_fails(
    pipeline: Pipeline, made: list[tiny.Hashed], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """A simulator that an environment started does not outlive a worker that was never made, whatever was raised."""

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny.Hashed, method, interrupted)
    with pytest.raises(KeyboardInterrupt):
        Worker(pipeline)
    assert [environment.closed for environment in made] == [True, True]


@pytest.mark.parametrize(
    ("precision", "emulated", "acting"),
    [
        ("float32", False, "float32"),
        ("float16", False, "float32"),
        ("bfloat16", True, "float32"),
        ("bfloat16", False, "bfloat16"),
    ],
)
def test_policies_act_in_what_the_processor_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, emulated: bool, acting: str
) -> None:
    """No CPU has arithmetic for float16, and some have none for bfloat16."""
    precisions: list[str] = []

    def make_policy(config: Any, context: Any) -> tiny.Policy:
        precisions.append(context.precision)
        return tiny.Policy()

    monkeypatch.setattr(tiny.Algorithm, "make_policy", staticmethod(make_policy))
    monkeypatch.setattr(module, "emulates_bfloat16", lambda device: emulated)
    Worker(tiny.load(tmp_path, runtime__precision=precision))
    assert precisions == [acting]


@pytest.fixture
def default_dtype() -> Iterator[None]:
    """torch's default dtype is float32 again afterwards."""
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("default_dtype")
@pytest.mark.parametrize("method", ["make", "reset"])
def test_environments_leave_the_default_dtype_alone(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Networks would be made with it, in some processes and not in others."""
    owner = tiny.Environment if method == "make" else tiny.Hashed
    original = getattr(owner, method)

    def meddling(self: Any, **kwargs: Any) -> Any:
        torch.set_default_dtype(torch.float64)
        return original(self, **kwargs)

    monkeypatch.setattr(owner, method, meddling)
    with pytest.raises(PluginError, match=r"torch's default dtype to torch\.float64"):
        Worker(pipeline)
