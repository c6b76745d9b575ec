"""The updates of SAC, TD3 and TQC, against slow ones and by what they change."""

from __future__ import annotations

import copy
import math
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from small_dqn import ListReplay
from small_off_policy import KINDS, Halving, box_context, make, with_streams
from small_ppo import collect, make_context, same, tensors

from framework.errors import FrameworkError
from framework.interfaces import Stream
from framework_off_policy.minibatch import minibatch_of

every = pytest.mark.parametrize("name", KINDS)
EVERYWHERE = {"sac discrete": ("sac", Discrete(3, start=2)), **{name: (name, None) for name in KINDS}}
every_kind = pytest.mark.parametrize(("name", "space"), EVERYWHERE.values(), ids=EVERYWHERE)


def context_of(space: Any, **fields: Any) -> Any:
    return box_context(**fields) if space is None else box_context(space, **fields)


def minibatch_and_rows(algorithm: Any, context: Any, n_step: int = 2) -> tuple[Any, Any]:
    """A minibatch from a replay buffer that has seen a trajectory, and the transitions it is made of."""
    replay = ListReplay(n_step)
    replay.add(collect(algorithm, context))
    transitions, _, _ = replay.sample(12, np.random.default_rng(0))
    return minibatch_of(transitions, algorithm.policy, 0.9), transitions


def contents(batch: Any) -> dict[str, Any]:
    """All that the batch has."""
    return {name: value for name, value in attrs.asdict(batch, recurse=False).items() if value is not None}


def discounted(transitions: Any, row: int, value: Any) -> Any:
    """Rewards of the steps, and the value after them where the episode goes on, one by one."""
    steps = int(transitions.steps[row])
    total = sum(0.9**k * transitions.rewards[row, k].item() for k in range(steps))
    return total if transitions.terminated[row] else total + 0.9**steps * value


def test_targets_of_sac_are_soft_values_of_a_draw() -> None:
    """The lower target value less temperature times log-probability, n steps ahead, row by row."""
    context = box_context()
    algorithm = make("sac", context, temperature=0.3)
    minibatch, transitions = minibatch_and_rows(algorithm, context)
    generator = torch.Generator()
    generator.set_state(algorithm.generator.get_state())
    targets = algorithm.targets(minibatch)
    outputs, _ = algorithm.policy(minibatch.next_rows)
    actions, log_prob = algorithm.policy.draw(outputs, generator)
    values, _ = algorithm._target_critics(minibatch.next_rows, actions)
    for row in range(12):
        soft = min(values[row, 0, 0].item(), values[row, 1, 0].item()) - 0.3 * log_prob[row].item()
        assert targets[row].item() == pytest.approx(discounted(transitions, row, soft), abs=1e-5)


def test_targets_of_discrete_sac_are_expectations_over_legal_actions() -> None:
    """Summed over them one by one."""
    context = make_context(action=Discrete(3))
    context = attrs.evolve(context, make_replay=ListReplay)
    algorithm = make("sac", context, temperature=2.0)
    legal = torch.rand(17, 4, 3, generator=torch.Generator().manual_seed(0)) < 0.6
    legal[..., 1] = True
    replay = ListReplay(2)
    replay.add(collect(algorithm, context, action_mask=legal))
    transitions, _, _ = replay.sample(12, np.random.default_rng(0))
    minibatch = minibatch_of(transitions, algorithm.policy, 0.9)
    targets = algorithm.targets(minibatch)
    values, _ = algorithm._target_critics(minibatch.next_rows, None)
    outputs, _ = algorithm.policy(minibatch.next_rows)
    for row in range(12):
        allowed = [a for a in range(3) if transitions.next_action_mask[row, a]]
        weights = [math.exp(outputs[row, a].item()) for a in allowed]
        soft = 0.0
        for a, weight in zip(allowed, weights, strict=True):
            chance = weight / sum(weights)
            soft += chance * (values[row, :, a].min().item() - 2.0 * math.log(chance))
        assert targets[row].item() == pytest.approx(discounted(transitions, row, soft), abs=1e-4)


def test_targets_of_td3_are_of_smoothed_actions() -> None:
    """The target actor's action with clipped noise, judged by the lower target critic."""
    context = box_context()
    algorithm = make("td3", context, target_noise=0.5, target_noise_clip=0.3)
    minibatch, transitions = minibatch_and_rows(algorithm, context)
    generator = torch.Generator()
    generator.set_state(algorithm.generator.get_state())
    targets = algorithm.targets(minibatch)
    actions = torch.tanh(algorithm._target_actor(minibatch.next_rows)[0])
    noise = torch.empty(12, 3).normal_(generator=generator) * 0.5
    smoothed = (actions + noise.clamp(-0.3, 0.3)).clamp(-1, 1)
    values, _ = algorithm._target_critics(minibatch.next_rows, smoothed)
    for row in range(12):
        lowest = values[row].min().item()
        assert targets[row].item() == pytest.approx(discounted(transitions, row, lowest), abs=1e-5)


def test_targets_of_tqc_are_the_smaller_quantiles() -> None:
    """Of all critics, sorted, less temperature times log-probability; all samples of a row are discounted alike."""
    context = box_context()
    algorithm = make("tqc", context, quantiles=5, dropped_quantiles=2, critics=3, temperature=0.3)
    minibatch, transitions = minibatch_and_rows(algorithm, context)
    generator = torch.Generator()
    generator.set_state(algorithm.generator.get_state())
    targets = algorithm.targets(minibatch)
    assert targets.shape == (12, 9)
    actions, log_prob = algorithm.policy.draw(algorithm.policy(minibatch.next_rows)[0], generator)
    quantiles, _ = algorithm._target_critics(minibatch.next_rows, actions)
    for row in range(12):
        kept = sorted(quantiles[row].flatten().tolist())[:9]
        expected = [discounted(transitions, row, value - 0.3 * log_prob[row].item()) for value in kept]
        assert targets[row].tolist() == pytest.approx(expected, abs=1e-5)


@every_kind
def test_an_update_learns_and_touches_nothing_else(name: str, space: Any) -> None:
    """Actor, critics and targets change; batch, torch's own generator and NumPy's stay as they are."""
    context = with_streams(context_of(space), Stream("new", Halving(), 0.5, 0.99))
    algorithm = make(name, context)
    batch = collect(algorithm, context)
    before = copy.deepcopy(contents(batch))
    networks = copy.deepcopy({key: dict(module.state_dict()) for key, module in algorithm.networks().items()})
    generator, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    metrics = algorithm.update(batch)
    assert metrics["gradient_steps"] == 8
    assert all(math.isfinite(value) for value in metrics.values())
    assert {"critic_loss", "q_mean", "td_error", "actor_loss", "actor_gradient_norm"} <= metrics.keys()
    assert same(tensors(before), tensors(contents(batch)))
    for key, module in algorithm.networks().items():
        assert not same(networks[key], dict(module.state_dict())), key
    assert torch.equal(torch.get_rng_state(), generator)
    assert (np.random.get_state()[1] == numpy_state).all()


@every_kind
def test_a_restored_algorithm_goes_on_bit_for_bit(name: str, space: Any) -> None:
    """A state taken in mid-run, with bonus, statistics, dropout and buffer, makes another's next updates equal."""
    options = {"updates_per_step": 3.3 / 64, "policy_delay": 2, "normalize_observations": True, "dropout": 0.1}
    first, second = (
        make(
            name,
            with_streams(
                context_of(space, seed=seed, replay=lambda: ListReplay(2, prioritized=True)),
                Stream("new", Halving(), 0.5, 0.99),
            ),
            **options,
        )
        for seed in (1, 2)
    )
    context = context_of(space)
    for seed in range(3):
        first.update(collect(first, context, seed=seed))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for seed in range(3, 6):
        batch = collect(first, context, seed=seed)
        assert torch.equal(collect(second, context, seed=seed).actions, batch.actions)
        assert first.update(batch) == second.update(batch)
    one, two = first.state_dict(), second.state_dict()
    assert same(tensors(one["networks"]), tensors(two["networks"]))
    assert one["rng"] == two["rng"]
    assert torch.equal(one["generator"], two["generator"])
    assert one["parts"]["replay"]["priorities"] == two["parts"]["replay"]["priorities"]


@every
def test_the_policy_alone_is_that_of_the_algorithm(name: str) -> None:
    """With the same first weights; it needs neither buffer nor bonuses."""
    algorithm, config = KINDS[name]
    context = box_context()
    alone = algorithm.make_policy(config(), attrs.evolve(context, make_replay=None))
    assert same(dict(alone.state_dict()), dict(algorithm(config(), context).policy.state_dict()))


@every
def test_actor_and_critics_start_apart(name: str) -> None:
    """No weight of one is that of the other, though both are drawn from one seed."""
    algorithm = make(name, box_context(), actor_hidden=(16,), critic_hidden=(16,))
    actor = algorithm.policy.encoder.layers.weights[0][0]
    critics = algorithm.critics.encoder.layers.weights[0][0]
    assert actor.shape == critics.shape
    assert not torch.isclose(actor, critics).any()


def test_the_actor_waits_for_the_critics() -> None:
    """It takes one step in ``policy_delay`` of theirs; TD3's targets wait with it, SAC's do not."""
    for name, waits in (("sac", False), ("td3", True)):
        algorithm = make(name, box_context(), policy_delay=16, updates_per_step=0.125)
        before = copy.deepcopy(algorithm.networks())
        metrics = algorithm.update(collect(algorithm, box_context()))
        assert "actor_loss" not in metrics
        assert same(dict(before["policy"].state_dict()), dict(algorithm.policy.state_dict()))
        target = dict(algorithm._target_critics.state_dict())
        assert same(dict(before["target_critics"].state_dict()), target) == waits
        assert "actor_loss" in algorithm.update(collect(algorithm, box_context()))


def test_rewards_are_scaled_before_bonuses_are_added() -> None:
    """What is stored is the scaled reward plus each bonus times its weight."""
    replay = ListReplay()
    context = with_streams(box_context(replay=lambda: replay), Stream("new", Halving(), 0.25, 0.99))
    algorithm = make("td3", context, reward_scale=3.0)
    batch = collect(algorithm, context)
    assert algorithm.update(batch)["bonus/new/reward"] == 1.0
    stored = torch.tensor([row["reward"] for row in replay.rows])
    torch.testing.assert_close(stored, (3.0 * batch.rewards + 0.25).flatten())


def test_learning_starts_late_with_random_actions() -> None:
    """Until then no gradient step is taken and the policy's actions are uniform; then both end."""
    context = box_context()
    algorithm = make("sac", context, learning_starts=100)
    assert algorithm.policy.uniform
    assert algorithm.update(collect(algorithm, context))["gradient_steps"] == 0
    assert algorithm.policy.uniform
    assert algorithm.update(collect(algorithm, context, seed=1))["gradient_steps"] == 8
    assert not algorithm.policy.uniform


def test_observations_are_normalized_for_all_networks() -> None:
    """The policy's statistics are those of all observations so far, and scale and shift change nothing more."""
    results = []
    for scale, shift in ((1.0, 0.0), (8.0, 64.0)):
        context = box_context(observation=Box(-1e3, 1e3, (3,), np.float32))
        algorithm = make("sac", context, normalize_observations=True)
        batch = collect(algorithm, context)
        batch.observations = {name: x * scale + shift for name, x in batch.observations.items()}
        batch.final_observations = {name: x * scale + shift for name, x in batch.final_observations.items()}
        results.append(algorithm.update(batch))
        rows = batch.observations["observation"][:-1].reshape(-1, 3)
        torch.testing.assert_close(
            next(iter(algorithm.policy.normalizer.leaves.values())).mean, rows.mean(0), rtol=1e-4, atol=1e-4
        )
    assert results[0] == pytest.approx(results[1], rel=1e-2, abs=1e-3)


def test_the_temperature_may_be_fixed() -> None:
    """Then it stays; learned, it falls where the entropy is above its target."""
    for learned in (False, True):
        algorithm = make("sac", box_context(), learn_temperature=learned, temperature=0.5, target_entropy=-100.0)
        algorithm.update(collect(algorithm, box_context()))
        assert (algorithm.temperature().item() == pytest.approx(0.5)) != learned


def test_priorities_are_the_mean_errors_of_the_critics() -> None:
    """What the buffer gets are absolute TD errors, so that prioritized replay takes nothing more."""
    replay = ListReplay(prioritized=True)
    algorithm = make("tqc", box_context(replay=lambda: replay))
    algorithm.update(collect(algorithm, box_context()))
    assert len({round(priority, 6) for priority in replay.priorities}) > 16


@every
def test_objectives_are_options(name: str) -> None:
    """Functions of a file are found by name, and what they tell is recorded."""
    names = []

    def find(path: str) -> Any:
        from framework_off_policy import objective

        names.append(path)
        return getattr(objective, path)

    context = attrs.evolve(box_context(), find_function=find)
    options = {"td3": "deterministic_actor_loss"}.get(name, "soft_actor_loss")
    critics = "quantile_critic_loss" if name == "tqc" else "critic_loss"
    algorithm = make(name, context, actor_objective=options, critic_objective=critics)
    assert names == [critics, options]
    assert "critic_loss" in algorithm.update(collect(algorithm, context))


@every
def test_a_pipeline_without_replay_is_refused(name: str) -> None:
    """With what to add."""
    with pytest.raises(FrameworkError, match=rf"{name} learns from a replay buffer: add \[replay\]"):
        make(name, attrs.evolve(box_context(), make_replay=None))
