"""Auxiliary losses of encoders: PPO adds them to its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attrs import evolve
from remembering import Remembering
from small_ppo import collect, make_context, ppo, same, scale_loss, use
from torch import nn

from framework.interfaces import Encoding
from framework_ppo.minibatches import row_minibatches

WHOLE: dict[str, Any] = {"minibatch_size": 10_000, "learning_rate_schedule": "constant"}


class Sparse(nn.Module):
    """Features whose mean size is a loss of weight ``weight``, where there is something to learn."""

    feature_dim = 8

    def __init__(self, weight: float):
        super().__init__()
        self.layer, self.weight = nn.Linear(3, 8), weight

    def initial_memory(self, count):
        return {}

    def forward(self, observation, memory, first):
        features = torch.tanh(self.layer(observation["observation"]))
        losses = {"size": self.weight * features.square().mean()} if torch.is_grad_enabled() else {}
        return Encoding(features, losses=losses), memory


def sparse(weight: float, **fields: Any) -> Any:
    return make_context(encoder=lambda context: Sparse(weight), **fields)


@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
def test_they_are_part_of_the_loss(share_encoder):
    """The gradient of an update is that of the loss without them plus theirs; the metric is their mean."""
    context = sparse(0.7)
    algorithm, without = (
        ppo(context, share_encoder=share_encoder, epochs=1, max_gradient_norm=0.0, **WHOLE) for _ in range(2)
    )
    for encoder in without.policy.encoders.values():
        encoder.weight = 0.0
    batch = collect(algorithm, context)
    rows = {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}
    loss = sum(
        0.7 * encoder({"observation": rows["observation"][None]}, {}, None)[0].features.square().mean()
        for encoder in algorithm.policy.encoders.values()
    )
    parameters = [p for encoder in algorithm.policy.encoders.values() for p in encoder.parameters()]
    expected = torch.autograd.grad(loss, parameters)
    metrics = algorithm.update(batch)
    assert metrics["loss/size"] == pytest.approx(loss.item(), rel=1e-5)
    assert without.update(batch)["loss/size"] == 0.0
    plain = [p for encoder in without.policy.encoders.values() for p in encoder.parameters()]
    for parameter, plain_parameter, gradient in zip(parameters, plain, expected, strict=True):
        torch.testing.assert_close(parameter.grad - plain_parameter.grad, gradient, rtol=1e-4, atol=1e-6)
        assert gradient.abs().max() > 1e-4


def test_they_are_learned_from():
    """Over some updates the loss falls."""
    context = sparse(10.0)
    algorithm = ppo(context, learning_rate=1e-2)
    losses = [algorithm.update(collect(algorithm, context, seed=seed))["loss/size"] for seed in range(10)]
    assert losses[-1] < 0.3 * losses[0]


def test_a_scaled_loss_teaches_the_same():
    """The scale that float16 needs is theirs too."""
    policies = []
    for scaled in (False, True):
        context = sparse(1.0, precision="bfloat16")
        algorithm = ppo(context)
        if scaled:
            scale_loss(algorithm, 1024.0)
        algorithm.update(collect(algorithm, context))
        policies.append(algorithm.policy.state_dict())
    for name, value in policies[0].items():
        torch.testing.assert_close(policies[1][name], value, rtol=1e-5, atol=1e-6)


def test_they_go_with_memory():
    """Encoders with memory may have them, too."""

    class SparseMemory(Remembering):
        def forward(self, observation, memory, first):
            encoding, memory = super().forward(observation, memory, first)
            losses = {"size": encoding.features.square().mean()} if torch.is_grad_enabled() else {}
            return evolve(encoding, losses=losses), memory

    context = make_context(encoder=lambda context: SparseMemory(None, context))
    algorithm = ppo(context)
    assert algorithm.update(collect(algorithm, context))["loss/size"] > 0


def test_nothing_but_learning_computes_them():
    """Neither acting nor the values of a batch has any; an encoder without them leaves no metric."""
    context = sparse(1.0)
    algorithm = ppo(context)
    batch = collect(algorithm, context)
    targets = algorithm._estimate_targets(batch, [])
    inputs, _ = next(row_minibatches(batch, targets, 8, 1, torch.Generator(), normalize=False))
    assert list(inputs.evaluate(algorithm.policy).losses) == ["size"]
    with torch.no_grad():
        assert inputs.evaluate(algorithm.policy).losses == {}
    plain_algorithm = ppo(make_context())
    use("networks by autograd", plain_algorithm)
    metrics = plain_algorithm.update(collect(plain_algorithm, make_context()))
    assert not [name for name in metrics if name.startswith("loss/")]
    assert same({}, inputs.evaluate(plain_algorithm.policy).losses)
