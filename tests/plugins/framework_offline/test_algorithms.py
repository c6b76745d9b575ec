"""What gradient steps do: targets, target critics, what is learned, and what is saved."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from small_offline import ACTIONS, bc, iql, offline_context

from framework.errors import FrameworkError, RunError
from framework.runtime.disk import checkpoint
from framework.testing.compare import difference
from framework.testing.experience import Experience


@pytest.mark.parametrize("make", [bc, iql])
@pytest.mark.parametrize("name", ACTIONS)
def test_it_learns_from_what_is_stored(make: Any, name: str) -> None:
    """Of any kind of actions; metrics are finite."""
    algorithm = make(offline_context(ACTIONS[name]), learning_rate=0.01)
    weights = [parameter.detach().clone() for parameter in algorithm.policy.parameters()]
    first = algorithm.update_offline(10, 0.0)
    last = [algorithm.update_offline(20, 0.5) for _ in range(3)][-1]
    assert all(np.isfinite(value) for value in last.values())
    assert all(not torch.equal(*pair) for pair in zip(weights, algorithm.policy.parameters(), strict=True))
    assert make is iql or last["loss"] < first["loss"]
    assert (last["gradient_steps"], last["replay_size"]) == (20.0, 128.0)


@pytest.mark.parametrize("make", [bc, iql])
def test_masks_are_heeded(make: Any) -> None:
    """Losses stay finite where the buffer tells what was legal."""
    metrics = make(offline_context(masked=True)).update_offline(10, 0.0)
    assert all(np.isfinite(value) for value in metrics.values())


def test_bc_finds_the_distribution_of_the_actions() -> None:
    """Its probabilities become the frequencies of the actions in the buffer."""
    context = offline_context(batches=8)
    algorithm = bc(context, learning_rate=0.02, minibatch_size=64)
    replay = algorithm._minibatches.replay
    for row in replay.rows:
        row["observation"] = {name: torch.zeros_like(x) for name, x in row["observation"].items()}
    algorithm.update_offline(250, 0.0)
    actions = torch.stack([row["action"] for row in replay.rows])
    logits, _ = algorithm.policy.network({name: x[None] for name, x in replay.rows[0]["observation"].items()})
    frequencies = torch.bincount(actions, minlength=3) / len(actions)
    torch.testing.assert_close(logits.softmax(-1)[0], frequencies, atol=0.06, rtol=0)


def test_iql_prefers_what_was_rewarded() -> None:
    """Action 1 pays, and was taken as often as the others: the policy takes it."""
    algorithm = iql(offline_context(batches=8), learning_rate=0.01, minibatch_size=64, gamma=0.0, expectile=0.7)
    for row in algorithm._minibatches.replay.rows:
        row["reward"] = float(row["action"] == 1)
    algorithm.update_offline(200, 0.0)
    observations = [row["observation"] for row in algorithm._minibatches.replay.rows[:50]]
    rows = {name: torch.stack([x[name] for x in observations]) for name in observations[0]}
    logits, _ = algorithm.policy.network(rows)
    assert (logits.argmax(-1) == 1).float().mean() > 0.95


def test_targets_are_n_step_returns() -> None:
    """Scaled rewards, and what follows by V unless the episode terminated; Q by the smaller target critic."""
    algorithm = iql(offline_context(), gamma=0.9, reward_scale=0.5)
    transitions, _, _ = algorithm._minibatches.replay.sample(30, np.random.default_rng(0))
    targets = algorithm.targets(transitions, torch.ones(30))
    values = algorithm._networks.value(transitions.next_observations)[0][:, 0]
    vectors = algorithm.policy.scale.vector(transitions.actions)
    q_values = [network(transitions.observations, vectors)[0][:, 0] for network in algorithm._target.networks]
    for row in range(30):
        steps = int(transitions.steps[row])
        expected = sum(0.9**k * 0.5 * transitions.rewards[row, k].item() for k in range(steps))
        if not transitions.terminated[row]:
            expected += 0.9**steps * values[row].item()
        assert targets.returns[row].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert targets.q_values[row].item() == pytest.approx(min(q[row].item() for q in q_values))
    assert set(transitions.steps.tolist()) >= {1, 3}
    assert transitions.terminated.any()


def test_target_critics_follow() -> None:
    """By ``target_tau`` of the way after each gradient step."""
    algorithm = iql(offline_context(), target_tau=0.25)
    before = deepcopy(algorithm._target.state_dict())
    algorithm.update_offline(1, 0.0)
    now = algorithm._networks.critics.state_dict()
    for name, value in algorithm._target.state_dict().items():
        torch.testing.assert_close(value, 0.75 * before[name] + 0.25 * now[name])


@pytest.mark.parametrize("make", [bc, iql])
def test_a_saved_state_goes_on_the_same(make: Any) -> None:
    """Bit for bit, through a checkpoint, also in the midst of a gradient step that is owed."""
    context = offline_context(ACTIONS["box"])
    algorithm, again = make(context, updates_per_step=0.4), make(context, updates_per_step=0.4)
    algorithm.update_offline(11, 0.0)
    again.load_state_dict(checkpoint.decode(checkpoint.encode(algorithm.state_dict())))
    assert algorithm.update_offline(11, 0.1) == again.update_offline(11, 0.1)
    assert not difference(dict(algorithm.policy.state_dict()), dict(again.policy.state_dict()))


def test_iql_goes_on_online() -> None:
    """What is collected is added to the buffer, and learned from as before."""
    context = offline_context()
    algorithm = iql(context)
    algorithm.update_offline(10, 0.0)
    metrics = algorithm.update(next(Experience(context, algorithm.policy)))
    assert (metrics["replay_size"], metrics["gradient_steps"]) == (128 + 64, 64)


def test_bc_refuses_to_go_online() -> None:
    """Before anything is learned, with what to do."""
    with pytest.raises(FrameworkError, match=r"let run.offline_steps be as many as run.total_steps, or take iql"):
        bc(attrs.evolve(offline_context(), offline_steps=999))
    with pytest.raises(RunError, match="imitates a dataset"):
        bc(offline_context()).update(next(Experience(offline_context(), bc(offline_context()).policy)))


@pytest.mark.parametrize("make", [bc, iql])
def test_an_objective_of_ones_own(make: Any) -> None:
    """Has the arguments of the default."""
    default = "framework_offline.objective:bc_loss" if make is bc else "framework_offline.objective:iql_loss"
    context = offline_context()
    assert make(context, objective=default).update_offline(3, 0.0) == make(context).update_offline(3, 0.0)


@pytest.mark.parametrize("make", [bc, iql])
def test_the_policy_alone_starts_equal(make: Any) -> None:
    """What samplers act with has the algorithm's first weights."""
    context = offline_context()
    algorithm = make(context)
    alone = algorithm.make_policy(algorithm._config, attrs.evolve(context, make_replay=None))
    assert not difference(dict(alone.state_dict()), dict(algorithm.policy.state_dict()))
