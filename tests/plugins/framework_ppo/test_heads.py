"""Actions read from the tokens that they are about; hidden layers of heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from small_ppo import VECTOR, collect, make_context, observations, ppo

from framework.errors import FrameworkError
from framework.schema import OptionError
from framework.toolkit.spaces import TokenDiscrete, flat_space
from framework_encoders.composite_config import TransformerConfig
from framework_encoders.transformer import Transformer
from framework_ppo.autograd import Autograd
from framework_ppo.closed_form import ClosedForm
from framework_ppo.minibatches import Rows
from framework_ppo.objective import Targets, ppo_loss

ROWS = Box(-1, 1, (5, 3), np.float32)
#: Two things that can be done to tokens 1 and 3, and one to token 0.
ACTIONS = TokenDiscrete((0, 1, 3, 1, 3), (2, 0, 0, 1, 1))


def transformer(context):
    return Transformer(TransformerConfig(width=8, depth=1, heads=2), context)


def token_context(observation=ROWS, action=ACTIONS, encoder=transformer):
    return make_context(observation, action, encoder=encoder)


@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
def test_each_logit_is_that_of_its_verb_on_its_token(share_encoder):
    """Written out action by action; and what acted is what the learner finds."""
    algorithm = ppo(token_context(), action_head="tokens", share_encoder=share_encoder)
    batch = collect(algorithm, token_context())
    policy = algorithm.policy
    rows = {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}
    with torch.no_grad():
        encoding, _ = policy.encoder({"observation": rows["observation"][None]}, {}, torch.ones(1, 64).bool())
        layer = policy.action_head.verbs.layers[0]
        expected = torch.stack(
            [
                encoding.tokens[0, :, token] @ layer.weight[verb] + layer.bias[verb]
                for token, verb in zip(ACTIONS.tokens, ACTIONS.verbs, strict=True)
            ],
            -1,
        )
        evaluation = policy.evaluate(rows, None)
    torch.testing.assert_close(evaluation.parameters, expected)
    log_prob = policy.distribution.log_prob(expected, batch.actions.flatten())
    torch.testing.assert_close(batch.extras["log_probability"].flatten(), log_prob, rtol=1e-5, atol=1e-5)
    assert all(np.isfinite(value) for value in algorithm.update(batch).values())


def test_swapped_tokens_swap_their_actions():
    """To a set of tokens, what holds for one holds for the other."""
    policy = ppo(token_context(), action_head="tokens").policy
    rows = torch.rand(7, 5, 3)
    swapped = rows[:, [0, 3, 2, 1, 4]]
    with torch.no_grad():
        parameters, swapped_parameters = (policy.evaluate({"observation": x}, None).parameters for x in (rows, swapped))
    torch.testing.assert_close(swapped_parameters, parameters[:, [0, 2, 1, 4, 3]])


def test_what_does_not_fit_is_refused():
    """Actions without tokens, an encoder without tokens, and one with too few, before anything runs."""
    with pytest.raises(FrameworkError, match=r"TokenDiscrete.*Discrete\(3\)"):
        ppo(token_context(action=Discrete(3)), action_head="tokens")
    with pytest.raises(FrameworkError, match=r"at least 4 tokens.*has none"):
        ppo(token_context(VECTOR, encoder=None), action_head="tokens")
    with pytest.raises(FrameworkError, match=r"at least 4 tokens.*has 3"):
        ppo(token_context(Box(0, 1, (3, 2), np.float32)), action_head="tokens")


def test_any_observation_will_do():
    """Ids that do not start at zero, and numbers that never are zero."""
    space = flat_space(Dict({"ids": MultiDiscrete([3] * 5, start=[2] * 5), "more": Box(1, 2, (2,), np.float32)}))
    ppo(token_context(space), action_head="tokens")


def test_heads_may_have_hidden_layers():
    """Of widths of their own; the defaults have none."""
    policy = ppo(make_context(), actor_hidden=(8, 4), critic_hidden=(5,), head_activation="relu").policy
    shapes = {name: tuple(x.shape) for name, x in policy.named_parameters() if "head" in name and "weight" in name}
    assert shapes == {
        "action_head.hidden.layers.0.weight": (8, 16),
        "action_head.hidden.layers.1.weight": (4, 8),
        "action_head.output.layers.0.weight": (3, 4),
        "value_head.hidden.layers.0.weight": (5, 16),
        "value_head.output.layers.0.weight": (1, 5),
    }
    features = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    (first, second), output = policy.action_head.hidden.layers, policy.action_head.output.layers[0]
    torch.testing.assert_close(policy.action_head(features), output(second(first(features).relu()).relu()))
    plain = ppo(make_context()).policy
    assert [name for name, _ in plain.named_parameters() if "head" in name] == [
        f"{head}_head.layers.0.{kind}" for head in ("action", "value") for kind in ("weight", "bias")
    ]


@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("state_dependent_std", [False, True], ids=["std alone", "std by state"])
def test_the_closed_form_of_deep_heads_is_autograds(share_encoder, state_dependent_std):
    """Of each parameter, below and above the hidden layers, and of the deviations that the head gives."""
    options = {"actor_hidden": (8, 4), "critic_hidden": (5,), "state_dependent_std": state_dependent_std}
    context = make_context(action=Box(-1, 1, (2,), np.float32))
    algorithm = ppo(context, share_encoder=share_encoder, entropy_coefficient=0.1, **options)
    policy = algorithm.policy
    rows = Rows(observations(context.observation_space, 40), None)
    numbers = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    actions = numbers[3:].t().contiguous()
    gradients = []
    for way in (Autograd, ClosedForm):
        with torch.no_grad():
            way(policy, algorithm._optimizer, None)(
                ppo_loss, rows, actions, Targets(actions, *numbers[:3], numbers[3]), 0.2, algorithm._config
            )
        gradients.append({name: parameter.grad.clone() for name, parameter in policy.named_parameters()})
    assert policy.closed_form
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-4, atol=1e-6)
        assert expected.abs().max() > 0


def test_tokens_leave_no_room_for_hidden_layers():
    """As those would mix what each action is read from."""
    with pytest.raises(OptionError, match="are layers over all features"):
        ppo(token_context(), action_head="tokens", actor_hidden=(8,))
