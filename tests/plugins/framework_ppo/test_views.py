"""What policy and value see: encoders and observations of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from small_ppo import BACKWARD, collect, make_context, observations, ppo, use
from torch import Tensor

from framework.errors import FrameworkError
from framework.interfaces import Context
from framework.schema import OptionError
from framework_encoders.composite_config import GRUConfig
from framework_encoders.config import MLPConfig
from framework_encoders.gru import GRU
from framework_encoders.mlp import MLP
from framework_ppo.config import PPOConfig
from framework_ppo.minibatches import Rows
from framework_ppo.objective import Targets, ppo_loss

SPACES = {
    "noisy/left": Box(-1, 1, (2,), np.float32),
    "noisy/right": Box(-1, 1, (1,), np.float32),
    "state": Box(-1, 1, (3,), np.float32),
}
ASYMMETRIC: dict[str, Any] = {"policy_observations": ("noisy",), "value_encoder": {"use": "mlp", "hidden": [5]}}


def make_part(part: Any, context: Context) -> Any:
    if part["use"] == "gru":
        core = {"use": "mlp", "hidden": [4]}
        return GRU(GRUConfig(features=6, core=core), context)
    return MLP(MLPConfig(hidden=tuple(part["hidden"])), context)


def context(**fields: Any) -> Context:
    return make_context(SPACES, make_part=make_part, **fields)


def hidden_changed(rows: dict[str, Tensor]) -> dict[str, Tensor]:
    return rows | {"state": 3.0 - rows["state"]}


@pytest.mark.parametrize("normalize", [False, True], ids=["plain", "normalized"])
def test_what_only_the_critic_sees_never_reaches_the_policy(normalize: bool) -> None:
    """Changed, or left out where it acts, it changes values, and neither actions nor their distribution."""
    algorithm = ppo(context(), normalize_observations=normalize, **ASYMMETRIC)
    algorithm.update(collect(algorithm, context()))
    policy, rows = algorithm.policy, observations(SPACES, 20)
    with torch.no_grad():
        before, after = (policy.evaluate(x, None) for x in (rows, hidden_changed(rows)))
    assert torch.equal(before.parameters, after.parameters)
    assert (before.values != after.values).all()
    visible = {name: x for name, x in rows.items() if name != "state"}
    acted = []
    for x in (rows, hidden_changed(rows), visible):
        with torch.inference_mode():
            acted.append(policy.act(x, {}, torch.ones(20, dtype=torch.bool), torch.Generator().manual_seed(0))[0])
    assert torch.equal(acted[0], acted[1])
    assert torch.equal(acted[0], acted[2])


@pytest.mark.parametrize("backward", BACKWARD)
def test_gradients_of_the_policy_do_not_depend_on_it(backward: str) -> None:
    """With the same targets they are equal bit for bit; those of the value are others."""
    algorithm = ppo(context(), **ASYMMETRIC)
    use(backward, algorithm)
    policy, rows = algorithm.policy, observations(SPACES, 30)
    actions = torch.arange(30) % 3
    numbers = torch.randn(4, 30, generator=torch.Generator().manual_seed(0))
    gradients = []
    for x in (rows, hidden_changed(rows)):
        with torch.no_grad():
            algorithm._backward(ppo_loss, Rows(x, None), actions, Targets(actions, *numbers), 0.2, algorithm._config)
        gradients.append({name: p.grad.clone() for name, p in policy.named_parameters()})
    for name, gradient in gradients[0].items():
        critic = name.startswith(("value_encoder", "value_head"))
        assert torch.equal(gradient, gradients[1][name]) != critic, name


def test_weights_of_the_policy_do_not_depend_on_it() -> None:
    """Where values count for nothing, as with an objective of returns alone, whole updates leave the same policy."""
    policies = []
    for scale in (1.0, -5.0):
        algorithm = ppo(
            context(), value_coefficient=0.0, gae_lambda=1.0, gamma=0.0, normalize_advantages=False, **ASYMMETRIC
        )
        batch = collect(algorithm, context(), ends=0.0)
        batch.observations["state"] = scale * batch.observations["state"]
        batch.extras["value"] = torch.zeros_like(batch.extras["value"])
        algorithm.update(batch)
        policies.append(algorithm.policy.state_dict())
    for name, weight in policies[0].items():
        assert torch.equal(weight, policies[1][name]), name


def test_the_value_may_have_another_encoder() -> None:
    """With other widths, on all observations by default, or on those that are named."""
    policy = ppo(context(), **ASYMMETRIC).policy
    assert policy.encoder.vectors.width == 3
    assert (policy.value_encoder.vectors.width, policy.value_encoder.feature_dim) == (6, 5)
    policy = ppo(context(), value_observations=("state", "noisy/left")).policy
    assert (policy.encoder.vectors.width, policy.value_encoder.vectors.width) == (6, 5)
    both = ppo(context(), policy_observations=("state",), share_encoder=True).policy
    assert both.encoder.vectors.width == 3


@pytest.mark.parametrize("remembering", ["policy", "value", "both"])
def test_either_encoder_may_have_a_memory(remembering: str) -> None:
    """What was recorded is what the learner finds, of values and of log-probabilities."""
    gru = {"use": "gru"}
    options = ASYMMETRIC | ({} if remembering == "policy" else {"value_encoder": gru})

    def encoder(part_context: Context) -> Any:
        return make_part(gru if remembering != "value" else {"use": "mlp", "hidden": [4]}, part_context)

    made = make_context(SPACES, make_part=make_part, encoder=encoder)
    algorithm = ppo(made, **options)
    policy = algorithm.policy
    names = {"policy": {"policy"}, "value": {"value"}, "both": {"policy", "value"}}[remembering]
    assert {name.partition("/")[0] for name in policy.initial_memory(1)} == names
    batch = collect(algorithm, made)
    inputs = {name: x[:-1] for name, x in batch.observations.items()}
    with torch.no_grad():
        evaluation = policy.evaluate_sequences(inputs, batch.memory, batch.first[:-1], None)
    log_prob = policy.distribution.log_prob(evaluation.parameters, batch.actions.flatten())
    tight = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(log_prob, batch.extras["log_probability"].flatten(), **tight)
    torch.testing.assert_close(evaluation.values, batch.extras["value"][:-1].flatten(), **tight)
    assert all(np.isfinite(value) for value in algorithm.update(batch).values())


@pytest.mark.parametrize(
    ("name", "advice"), [("stat", 'did you mean "state"?'), ("camera", "there are noisy/left, noisy/right, state")]
)
@pytest.mark.parametrize("option", ["policy_observations", "value_observations"])
def test_unknown_observations_are_refused(option: str, name: str, advice: str) -> None:
    """With the option, and what was probably meant, or what there is."""
    with pytest.raises(FrameworkError) as refusal:
        ppo(context(), **{option: (name,)})
    assert f'{option} names "{name}", and no observation is called so' in str(refusal.value)
    assert advice in str(refusal.value)


def test_no_observations_are_too_few() -> None:
    """An empty list is no way to say all."""
    with pytest.raises(OptionError, match="must name at least one observation"):
        PPOConfig(policy_observations=())


@pytest.mark.parametrize("option", [{"value_encoder": "mlp"}, {"value_observations": ("state",)}])
def test_a_shared_encoder_is_one(option: dict[str, Any]) -> None:
    """What only one of both has needs two."""
    with pytest.raises(OptionError, match="share_encoder must be false"):
        PPOConfig(share_encoder=True, **option)


def test_by_default_nothing_is_left_out() -> None:
    """Nor copied: both encoders get the observation as it is."""
    policy, rows = ppo(make_context(SPACES, Discrete(2))).policy, observations(SPACES, 2)
    assert all(view(rows) is rows for view in policy.views.values())
