"""Return distributions: projection, targets, losses and heads, each against a plain loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from hypothesis import given, settings
from hypothesis import strategies as st
from small_dqn import ListReplay, dqn, dqn_context, slow_projection
from small_ppo import collect, observations
from torch import Tensor

from framework_dqn.config import DQNConfig
from framework_dqn.distributional import CategoricalReturn, MeanReturn, QuantileReturn, project, return_model
from framework_dqn.network import DistributionHead
from framework_dqn.objective import (
    DistributionPredictions,
    DistributionTargets,
    categorical_loss,
    kl_divergence,
    quantile_loss,
)

WEIGHTS = torch.linspace(0.2, 1.0, 16)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(st.floats(-30, 30, width=32), st.integers(0, 9)), min_size=1, max_size=8),
    count=st.integers(2, 7),
    low=st.integers(-10, 9),
    width=st.integers(1, 20),
)
def test_projection_is_that_of_the_algorithm(rows: list[tuple[float, int]], count: int, low: int, width: int) -> None:
    """For points anywhere and any atoms; all mass is kept, and the mean of points within the atoms too."""
    points = torch.tensor([[point for point, _ in rows]])
    mass = torch.tensor([[number + 0.5 for _, number in rows]])
    mass = mass / mass.sum()
    atoms = torch.linspace(low, low + width, count)
    projected = project(points, mass, atoms)
    expected = slow_projection(points[0].tolist(), mass[0].tolist(), atoms.tolist())
    torch.testing.assert_close(projected[0], torch.tensor(expected), rtol=1e-4, atol=1e-4)
    assert projected.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert projected.min() >= 0
    mean = (points.clamp(low, low + width) * mass).sum()
    torch.testing.assert_close(projected[0] @ atoms, mean, rtol=1e-4, atol=1e-3)


def test_projection_leaves_atoms_where_they_are() -> None:
    """The distribution of the atoms themselves is its own projection, exactly; rows do not mix."""
    atoms = torch.linspace(-10, 10, 51)
    mass = torch.rand(3, 51, generator=torch.Generator().manual_seed(0)).softmax(-1)
    torch.testing.assert_close(project(atoms.expand(3, 51), mass, atoms), mass, rtol=0, atol=2e-6)


def made(distribution: str, **options: Any) -> Any:
    """An algorithm with masks and n-step returns, and 16 of its transitions."""
    replay = ListReplay(3)
    context = dqn_context(action=Discrete(4, start=2), replay=lambda: replay)
    settings = {"distribution": distribution, "atoms": 5, "v_min": -2.0, "v_max": 3.0, "gamma": 0.9, **options}
    algorithm = dqn(context, updates_per_step=8 / 64, **settings)
    mask = torch.rand(17, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 2] = True
    algorithm.update(collect(algorithm, context, action_mask=mask))
    transitions, *_ = replay.sample(16, np.random.default_rng(3))
    return algorithm, transitions


def outputs(network: Any, rows: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(rows)[0]
    return result


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("distribution", ["categorical", "quantile"])
def test_targets_are_the_papers(distribution: str, double: bool) -> None:
    """The distribution of the greedy legal action, by its mean, discounted, moved by the rewards, and projected."""
    algorithm, transitions = made(distribution, double=double)
    atoms = torch.linspace(-2, 3, 5)

    def means(values: Tensor) -> Tensor:
        return values.softmax(-1) @ atoms if distribution == "categorical" else values.mean(-1)

    with torch.no_grad():
        targets = algorithm.targets(transitions, WEIGHTS)
    following = outputs(algorithm._target, transitions.next_observations)
    judged = outputs(algorithm.policy.network, transitions.next_observations)
    assert not torch.equal(following, judged)
    for row in range(16):
        scores = means((judged if double else following)[row])
        legal = [a for a in range(4) if transitions.next_action_mask[row, a]]
        best = max(legal, key=lambda action: scores[action].item())
        steps = int(transitions.steps[row])
        reward = sum(0.9**k * transitions.rewards[row, k].item() for k in range(steps))
        discount = 0.0 if transitions.terminated[row] else 0.9**steps
        if distribution == "quantile":
            expected = [reward + discount * value for value in following[row, best].tolist()]
        else:
            points = [reward + discount * atom for atom in atoms.tolist()]
            expected = slow_projection(points, following[row, best].softmax(-1).tolist(), atoms.tolist())
        torch.testing.assert_close(targets.returns[row], torch.tensor(expected), rtol=1e-4, atol=1e-5)
    mean = targets.returns @ atoms if distribution == "categorical" else targets.returns.mean(-1)
    torch.testing.assert_close(targets.values, mean)
    assert targets.weights is WEIGHTS


def test_categorical_loss_is_the_cross_entropy() -> None:
    """As torch has it, weighted; the divergence is that less the target's entropy, also of impossible atoms."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator)
    target = torch.randn(6, 4, generator=generator).softmax(-1)
    target[0] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    weights = torch.rand(6, generator=generator)
    new, old = DistributionPredictions(torch.ones(6), logits), DistributionTargets(torch.zeros(6), weights, target)
    loss = categorical_loss(new, old, DQNConfig())
    expected = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(loss.total, (weights * expected).mean())
    torch.testing.assert_close(loss.terms["loss"], weights * expected)
    divergence = [
        sum(p * math.log(p / q) for p, q in zip(*rows, strict=True) if p > 0)
        for rows in zip(target.tolist(), logits.softmax(-1).tolist(), strict=True)
    ]
    torch.testing.assert_close(kl_divergence(new, old), torch.tensor(divergence), rtol=1e-4, atol=1e-5)
    assert torch.equal(loss.terms["td_error"], torch.ones(6))


def test_quantile_loss_is_the_sum_over_quantiles() -> None:
    """Weighted, of the mean over the target's returns; ``huber_delta`` is its threshold."""
    generator = torch.Generator().manual_seed(0)
    quantiles, samples = torch.randn(3, 2, generator=generator), 2.0 * torch.randn(3, 2, generator=generator)
    weights = torch.tensor([0.5, 1.0, 0.1])
    old = DistributionTargets(samples.mean(-1), weights, samples)
    loss = quantile_loss(DistributionPredictions(quantiles.mean(-1), quantiles), old, DQNConfig(huber_delta=0.5))
    for row in range(3):
        total = 0.0
        for level, quantile in zip((0.25, 0.75), quantiles[row].tolist(), strict=True):
            for sample in samples[row].tolist():
                error = sample - quantile
                huber = 0.5 * error**2 if abs(error) <= 0.5 else 0.5 * (abs(error) - 0.25)
                total += abs(level - float(error < 0)) * huber / 2
        assert loss.terms["loss"][row].item() == pytest.approx(weights[row].item() * total, abs=1e-6)
    torch.testing.assert_close(loss.total, loss.terms["loss"].mean())


@pytest.mark.parametrize("distribution", ["categorical", "quantile"])
def test_priorities_and_acting(distribution: str) -> None:
    """Divergences or errors of means are the priorities; the greedy action has the greatest mean."""
    algorithm, transitions = made(distribution, dueling=True)
    rows = transitions.observations
    predicted = outputs(algorithm.policy.network, rows)
    actions = torch.arange(16) % 4
    model = algorithm._returns
    new = model.predict(predicted, actions)
    with torch.no_grad():
        old = algorithm.targets(transitions, WEIGHTS)
    torch.testing.assert_close(new.outputs, torch.stack([predicted[i, i % 4] for i in range(16)]))
    priorities = kl_divergence(new, old) if distribution == "categorical" else (new.values - old.values).abs()
    assert torch.equal(model.priorities(new, old), priorities)
    with torch.inference_mode():
        taken, *_ = algorithm.policy.act(rows, {}, torch.ones(16), torch.Generator(), deterministic=True)
    assert torch.equal(taken, model.means(predicted).argmax(-1) + 2)


def test_dueling_heads_join_each_atom() -> None:
    """Over the actions, the mean of each of the K outputs is the value's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = DistributionHead(4, (6,), 3, 5, dueling=True)
    features = torch.linspace(-1, 1, 8).view(2, 4)
    assert head(features).shape == (2, 3, 5)
    assert head.value is not None
    torch.testing.assert_close(head(features).mean(-2), head.value(features))
    assert head(features).std(-2).min() > 0


def test_each_distribution_has_its_model() -> None:
    """With its default loss, and atoms from ``v_min`` to ``v_max``."""
    options = {"none": MeanReturn, "categorical": CategoricalReturn, "quantile": QuantileReturn}
    for distribution, kind in options.items():
        model = return_model(DQNConfig(distribution=distribution, atoms=3, v_min=0.0, v_max=4.0), "cpu")
        assert type(model) is kind
    logits = torch.tensor([[[0.0, 0.0, math.log(2.0)]]])
    atoms = CategoricalReturn(torch.linspace(0, 4, 3))
    assert atoms.means(logits).item() == pytest.approx(2.5)


@pytest.mark.parametrize("distribution", ["categorical", "quantile"])
def test_the_distribution_of_random_rewards_is_learned(distribution: str) -> None:
    """One-step episodes that pay 0 or 1 at even odds: half the mass at each, not all of it at the mean."""
    context = dqn_context()
    options = {"distribution": distribution, "atoms": 5, "v_min": -1.0, "v_max": 3.0, "huber_delta": 0.05}
    algorithm = dqn(context, learning_rate=0.01, updates_per_step=0.5, minibatch_size=64, **options)
    everywhere = torch.ones(16, 4, dtype=torch.bool)
    for seed in range(6):
        rewards = (torch.arange(64) % 2).view(16, 4).float()
        ends = {"terminated": everywhere, "truncated": ~everywhere}
        algorithm.update(collect(algorithm, context, seed=seed, ends=1.0, rewards=lambda _, r=rewards: r, **ends))
    rows = observations(context.observation_space, 8)
    predicted = outputs(algorithm.policy.network, rows).mean(0).mean(0)
    if distribution == "categorical":
        torch.testing.assert_close(predicted.softmax(-1), torch.tensor([0, 0.5, 0.5, 0, 0]), atol=0.08, rtol=0)
    else:
        assert predicted[0].item() == pytest.approx(0.0, abs=0.15)
        assert predicted[-1].item() == pytest.approx(1.0, abs=0.15)
