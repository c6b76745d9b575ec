"""The gradients in closed form against those of autograd."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from small_dqn import ListReplay
from small_off_policy import box_context, make
from small_ppo import collect

from framework_encoders.config import MLPConfig
from framework_encoders.mlp import MLP
from framework_off_policy.autograd import Autograd
from framework_off_policy.closed_form import ClosedForm
from framework_off_policy.minibatch import minibatch_of
from framework_off_policy.objective import CriticTargets, critic_loss

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sac": ("sac", {}),
    "sac of one critic without layers": ("sac", {"critics": 1, "critic_hidden": ()}),
    "sac with bounded deviation": ("sac", {"log_std_min": -0.02, "log_std_max": 0.02, "activation": "tanh"}),
    "td3": ("td3", {"policy_delay": 1}),
    "tqc": ("tqc", {"quantiles": 5, "critics": 3, "huber_delta": 0.3}),
}


@pytest.mark.parametrize("encoder", [(), (8,)], ids=["plain", "encoder"])
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_autograd(case: str, encoder: tuple[int, ...]) -> None:
    """Of critics and actor, with equal noise: equal predictions, and equal gradients of all parameters."""
    name, options = CASES[case]
    context = box_context(encoder=lambda context: MLP(MLPConfig(hidden=encoder), context))
    algorithm = make(name, context, **options)
    assert isinstance(algorithm._backward, ClosedForm)
    replay = ListReplay()
    replay.add(collect(algorithm, context))
    transitions, _, _ = replay.sample(20, np.random.default_rng(0))
    minibatch = minibatch_of(transitions, algorithm.policy, 0.9)
    optimizers = algorithm._actor_optimizer, algorithm._critic_optimizer
    critic_objective, actor_objective = algorithm.default_objectives()
    results = []
    for backward in (algorithm._backward, Autograd(algorithm, optimizers)):
        algorithm.generator.manual_seed(0)
        with torch.no_grad():
            old = CriticTargets(algorithm.targets(minibatch), torch.linspace(0.1, 1.0, 20))
            critics = backward.critics(critic_objective, minibatch, old, algorithm._config)
            actor = backward.actor(actor_objective, minibatch, algorithm._config)
        gradients = [optimizer.gradients.clone() for optimizer in optimizers]
        assert all(gradient.abs().max() > 0 for gradient in gradients)
        results.append([*critics, *actor, *gradients])
    for closed, reference in zip(*results, strict=True):
        torch.testing.assert_close(closed, reference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [{"layer_norm": True}, {"dropout": 0.1}, {"activation": "elu"}],
    ids=["layer norm", "dropout", "activation"],
)
def test_what_is_not_covered_goes_through_autograd(options: dict[str, Any]) -> None:
    """As do Discrete actions."""
    assert type(make("sac", box_context(), **options)._backward) is Autograd
    assert type(make("sac", box_context(Discrete(3)))._backward) is Autograd


def test_other_objectives_go_through_autograd() -> None:
    """One that is the default under another name gives the same weights, but for rounding."""

    def mine(*arguments: Any) -> Any:
        return critic_loss(*arguments)

    weights = []
    for path in (None, "mine"):
        context = attrs.evolve(box_context(), find_function=lambda _: mine)
        algorithm = make("sac", context, critic_objective=path)
        algorithm.update(collect(algorithm, context))
        weights.append(algorithm._critic_optimizer.parameters.clone())
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-5)
