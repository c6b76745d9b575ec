import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from fake_client import FakeClient, Script, acknowledge, directive, message, weights, welcome, withdraw

import framework
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import fingerprints, versions
from framework.runtime.data.shard import first_state
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.link import wire
from framework.runtime.link.client import LearnerSilent, Stopped, Superseded
from framework.runtime.link.sampler import Sampler
from framework.runtime.rollout.worker import Worker


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return tiny.load(tmp_path, sampling__policy_lag=1)


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


def serve(client: FakeClient, pipeline: Pipeline, *steps: wire.Message | Script) -> Sampler:
    """A sampler that has joined and served as the script says."""
    client.script.extend([welcome(pipeline), *steps])
    sampler = Sampler(client)  # type: ignore[arg-type]
    sampler.join("run-7", "sampler-0", 2)
    with pytest.raises(Stopped):
        sampler.serve()
    return sampler


def trajectories(pipeline: Pipeline, shard: int, versions: list[int]) -> list[Trajectory]:
    """The first trajectories of a shard, as a worker collects them."""
    worker = Worker(pipeline)
    worker.restore(shard, None)
    for version in sorted(set(versions)):
        worker.keep(version, {"weights": tiny.weights(float(version))})
    return [worker.collect(shard, number, version) for number, version in enumerate(versions)]


def delivered(client: FakeClient, expected: list[Trajectory]) -> None:
    """The trajectories that were sent are these, bit for bit."""
    messages = [sending for sending in client.sent if sending.type == "trajectory"]
    assert len(messages) == len(expected)
    for sending, trajectory in zip(messages, expected, strict=True):
        assert (sending["shard"], sending["number"]) == (trajectory.shard, trajectory.number)
        assert sending.arrays.keys() == trajectory.arrays.keys()
        for name, array in trajectory.arrays.items():
            assert sending.arrays[name].tobytes() == array.tobytes()


# Joining.


def test_a_sampler_introduces_itself(client: FakeClient, pipeline: Pipeline) -> None:
    """Who it is, then what it will send and what it has built it from, which the learner compares with its own."""
    serve(client, pipeline)
    hello, ready = client.sent
    assert len(hello["session"]) == 32
    assert {name: value for name, value in hello.fields.items() if name != "session"} == {
        "protocol": wire.PROTOCOL,
        "framework": framework.__version__,
        "run": "run-7",
        "sampler": "sampler-0",
        "incarnation": 2,
        "process": os.getpid(),
        "versions": versions(),
    }
    assert ready.type == "ready"
    assert ready["specification"] == Worker(pipeline).specification.fingerprint
    assert ready["components"] == fingerprints(pipeline)


def test_a_hello_that_may_be_lost_is_said_again(client: FakeClient, pipeline: Pipeline) -> None:
    """As often as a host asks, whose connection to the learner was another one when it was said first."""
    client.script.extend([message("who"), message("who")])
    serve(client, pipeline)
    first, second, third, ready = client.sent
    assert first == second == third
    assert (first.type, ready.type) == ("hello", "ready")


def test_another_answer_than_welcome_is_an_error(client: FakeClient) -> None:
    """Nothing is built then."""
    client.script.append(weights(0))
    with pytest.raises(wire.ProtocolError, match="answered hello with weights"):
        Sampler(client).join("run-7", "sampler-0", 0)  # type: ignore[arg-type]
    assert [sending.type for sending in client.sent] == ["hello"]


def test_building_takes_as_long_as_it_takes(
    client: FakeClient, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner that said nothing meanwhile was not silent: nobody listened."""
    make = tiny.Environment.make

    def slow(self: tiny.Environment) -> Any:
        client.now += 60.0
        return make(self)

    monkeypatch.setattr(tiny.Environment, "make", slow)
    serve(client, pipeline, lambda silent: None)
    assert client.names() == []


# Collecting.


def test_what_is_granted_is_collected(client: FakeClient, pipeline: Pipeline) -> None:
    """With the version that is named, in the order in which it was granted; the timing is that of the trajectory."""
    serve(client, pipeline, weights(0), weights(1), directive(1, 0, 0), directive(0, 0, 1), directive(1, 1, 1))
    assert client.names() == [(1, 0, 0), (0, 0, 1), (1, 1, 1)]
    (left,), (first, second) = trajectories(pipeline, 0, [1]), trajectories(pipeline, 1, [0, 1])
    delivered(client, [first, left, second])
    acting, stepping, total = client.sent[-1]["timing"]
    assert 0 < acting + stepping < total


def test_tasks_come_with_the_weights(client: FakeClient, tmp_path: Path) -> None:
    """New episodes are played on them."""
    pipeline = tiny.load(tmp_path, tiny.CURRICULUM)
    tasks = np.frombuffer(b'["only"]', np.uint8)
    version = message("weights", {"weights": tiny.weights(0.0), "tasks": tasks}, version=0)
    serve(client, pipeline, version, directive(0, 0, 0))
    assert client.names() == [(0, 0, 0)]
    assert set(json.loads(client.sent[-1].arrays["tasks"].tobytes())) == {"only"}


def test_shards_are_restored_where_they_are_to_be(client: FakeClient, pipeline: Pipeline) -> None:
    """From the state that comes with the directive; what others collected before is played again."""
    first, second, third = trajectories(pipeline, 1, [0, 0, 1])
    state = first_state(first)
    serve(client, pipeline, weights(0), weights(1), directive(1, 1, 0, state), directive(1, 2, 1))
    delivered(client, [second, third])


def test_environments_that_are_lost_are_told(
    client: FakeClient, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the trajectory in which they start new episodes, by their numbers in the run."""
    (first,) = trajectories(pipeline, 1, [0])
    monkeypatch.setattr(tiny, "shown", lambda seed, task, actions: np.full(4, 0.5, np.float32))
    serve(client, pipeline, weights(0), directive(1, 1, 0, first_state(first)))
    assert client.names() == ["not_replayable", (1, 1, 0)]
    assert client.sent[2]["shard"] == 1
    assert client.sent[2].arrays["environments"].tolist() == [2, 3]
    assert client.sent[2].arrays["environments"].dtype == np.int64


def test_directives_that_come_twice_are_worked_on_once(client: FakeClient, pipeline: Pipeline) -> None:
    """While the first one waits, and when its work is done, too."""
    twice = [directive(0, 0, 0), directive(0, 1, 0)]
    names_before: list[Any] = []
    serve(
        client,
        pipeline,
        weights(0),
        *twice,
        *twice,
        lambda silent: names_before.append(client.names()),
        *twice,
        lambda silent: None,
    )
    assert names_before == [[(0, 0, 0), (0, 1, 0)]]
    assert client.names() == names_before[0]


def test_messages_are_heard_between_trajectories(client: FakeClient, pipeline: Pipeline) -> None:
    """What is withdrawn while another is collected is not collected any more."""
    collect = Worker.collect

    def collecting(self: Worker, shard: int, number: int, version: int) -> Trajectory:
        if (shard, number) == (0, 0):
            client.script.appendleft(withdraw(0, 1))
        return collect(self, shard, number, version)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "collect", collecting)
        serve(client, pipeline, weights(0), directive(0, 0, 0), directive(0, 1, 0), directive(1, 0, 0))
    assert client.names() == [(0, 0, 0), (1, 0, 0)]


def test_what_is_withdrawn_is_forgotten(client: FakeClient, pipeline: Pipeline) -> None:
    """With all that follows it in the shard, and nothing else; granted anew, it is collected."""
    grants = [directive(0, 0, 0), directive(0, 1, 0), directive(0, 2, 0), directive(1, 0, 0), directive(1, 1, 0)]
    serve(client, pipeline, weights(0), weights(1), *grants, withdraw(0, 1), directive(0, 1, 1))
    assert client.names() == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1)]


# Weights.


def test_weights_that_are_missing_are_asked_for(client: FakeClient, pipeline: Pipeline) -> None:
    """Again and again until they come; what else comes meanwhile is not lost."""
    serve(
        client,
        pipeline,
        weights(0),
        directive(0, 0, 1),
        lambda silent: client.script.extendleft([weights(1), directive(1, 0, 0)]),
    )
    assert client.names() == ["pull", "pull", "pull", (0, 0, 1), (1, 0, 0)]
    assert client.sent[2]["version"] == 1
    assert (client.sent[5].arrays["extras/weight"] == 1.0).all()


def test_work_of_a_version_that_is_gone_is_given_up(client: FakeClient, pipeline: Pipeline) -> None:
    """The learner withdraws it instead of sending weights, and grants it with a newer one."""
    script = [withdraw(0, 0), weights(5), directive(0, 0, 5)]
    serve(client, pipeline, directive(0, 0, 0), lambda silent: client.script.extendleft(script[::-1]))
    assert client.names() == ["pull", "pull", (0, 0, 5)]


def test_versions_that_nobody_may_name_are_let_go(client: FakeClient, pipeline: Pipeline) -> None:
    """At a lag of 1 those before the last; one of them would have to be asked for."""
    steps = [weights(0), weights(1), weights(2), directive(0, 0, 1), directive(1, 0, 0)]
    serve(client, pipeline, *steps, lambda silent: client.script.appendleft(withdraw(1, 0)))
    assert client.names() == [(0, 0, 1), "pull", "pull"]


# Nothing to do.


def idle(client: FakeClient) -> None:
    """Nothing comes for longer than an idle sampler waits."""
    client.now += 1.5


def test_an_idle_sampler_asks(client: FakeClient, pipeline: Pipeline) -> None:
    """Each time when it has heard nothing for a while, and not before."""
    serve(client, pipeline, lambda silent: None, idle, idle, message("alive"), lambda silent: None)
    assert client.names() == ["alive", "alive"]


def test_what_is_not_acknowledged_is_sent_again(client: FakeClient, pipeline: Pipeline) -> None:
    """When nothing else is to be done, as often as that, and the same bytes; what was acknowledged is not."""
    serve(
        client,
        pipeline,
        weights(0),
        directive(0, 0, 0),
        directive(0, 1, 0),
        directive(1, 0, 0),
        lambda silent: None,
        acknowledge(0, 0),
        acknowledge(1, 7),
        idle,
        idle,
        acknowledge(0, 1),
        idle,
        acknowledge(1, 0),
        idle,
    )
    assert [(sending["shard"], sending["number"]) for sending in client.resent] == [
        (0, 1),
        (1, 0),
        (0, 1),
        (1, 0),
        (1, 0),
    ]
    assert client.resent[0] is client.sent[3]
    assert client.names()[3:] == ["alive"] * 4


def test_the_learner_may_be_gone(client: FakeClient, pipeline: Pipeline) -> None:
    """A sampler without work finds out."""

    def long_silence(silent: FakeClient) -> None:
        client.now += 31.0

    client.script.extend([welcome(pipeline), long_silence])
    sampler = Sampler(client)  # type: ignore[arg-type]
    sampler.join("run-7", "sampler-0", 0)
    with pytest.raises(LearnerSilent):
        sampler.serve()


def test_a_trajectory_may_take_longer_than_silence(
    client: FakeClient, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a slow environment was played nobody listened: the learner has time to answer before it is given up."""
    collect = Worker.collect

    def slow(self: Worker, *numbers: int) -> Trajectory:
        client.now += 40.0
        return collect(self, *numbers)

    monkeypatch.setattr(Worker, "collect", slow)
    serve(client, pipeline, weights(0), directive(0, 0, 0), lambda silent: None, acknowledge(0, 0))
    assert client.names() == [(0, 0, 0)]


def test_messages_that_are_none_of_a_learners_are_refused(client: FakeClient, pipeline: Pipeline) -> None:
    """By their name."""
    client.script.extend([welcome(pipeline), message("pull", version=0)])
    sampler = Sampler(client)  # type: ignore[arg-type]
    sampler.join("run-7", "sampler-0", 0)
    with pytest.raises(wire.ProtocolError, match="a learner does not send pull messages"):
        sampler.serve()


# Another connection, or another learner.


def test_who_asks_is_answered(client: FakeClient, pipeline: Pipeline) -> None:
    """As often as it asks, with the same session; what is not acknowledged is sent again, once."""
    serve(
        client,
        pipeline,
        weights(0),
        directive(0, 0, 0),
        lambda silent: None,
        message("who"),
        message("who"),
        welcome(pipeline, ready=True),
        welcome(pipeline, ready=True),
        directive(0, 0, 0),
        directive(0, 1, 0),
    )
    assert client.names() == [(0, 0, 0), "hello", "hello", (0, 1, 0)]
    assert client.sent[3].fields == client.sent[4].fields == client.sent[0].fields
    assert [(sending["shard"], sending["number"]) for sending in client.resent] == [(0, 0)]


def test_a_learner_that_knows_nothing_of_it_grants_anew(client: FakeClient, pipeline: Pipeline) -> None:
    """Shards are restored, versions sent, work done before is done again; nothing is sent that nobody asked for."""
    first, second = trajectories(pipeline, 0, [0, 0])
    serve(
        client,
        pipeline,
        weights(0),
        directive(0, 0, 0),
        directive(0, 1, 0),
        directive(1, 0, 0),
        message("who"),
        welcome(pipeline),
        directive(0, 0, 0),
        lambda silent: client.script.appendleft(weights(0)),
        directive(0, 1, 0),
    )
    assert client.names() == ["hello", "ready", "pull", "pull", (0, 0, 0), (0, 1, 0)]
    assert client.sent[3].fields == client.sent[1].fields
    assert client.resent == []
    delivered(client, [first, second])


def test_a_learner_with_another_pipeline_takes_other_samplers(
    client: FakeClient, pipeline: Pipeline, tmp_path: Path
) -> None:
    """This one has built what is not wanted any more, and ends."""
    changed = tiny.load(tmp_path, sampling__policy_lag=0)
    client.script.extend([welcome(pipeline), message("who"), welcome(changed)])
    sampler = Sampler(client)  # type: ignore[arg-type]
    sampler.join("run-7", "sampler-0", 2)
    with pytest.raises(Superseded):
        sampler.serve()


# Closing.


def test_closing_closes_the_environments(
    client: FakeClient, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have been made; before joining there are none."""
    environments: list[tiny.Hashed] = []
    monkeypatch.setattr(tiny.Environment, "make", lambda self: environments.append(tiny.Hashed()) or environments[-1])
    Sampler(client).close()  # type: ignore[arg-type]
    serve(client, pipeline, weights(0), directive(0, 0, 0)).close()
    assert environments
    assert all(environment.closed for environment in environments)
