"""Heads: from the encoding to the parameters of the action distribution, and to values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoder
from framework.toolkit.networks import MLP
from framework.toolkit.spaces import TokenDiscrete, array_spec
from framework.toolkit.vjp import Pullback, rule, vjp
from framework_ppo.config import PPOConfig

#: Gain of initial weights for actions: the initial policy is near uniform.
GAIN = 0.01


class DeepHead(nn.Module):
    """Hidden layers, then a linear one: features [..., F] -> outputs [..., P]."""

    def __init__(self, features: int, hidden: Sequence[int], outputs: int, activation: str, gain: float):
        super().__init__()
        self.hidden = MLP(features, hidden, activation)
        self.output = MLP(self.hidden.feature_dim, (outputs,), "identity", gain)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        outputs: Tensor = self.output(self.hidden(features))
        return outputs


@rule(DeepHead)
def _(head: DeepHead, features: Tensor, *, input_gradient: bool = False) -> tuple[Tensor, Pullback]:
    hidden, hidden_pullback = vjp(head.hidden, features, input_gradient=input_gradient)
    outputs, output_pullback = vjp(head.output, hidden, input_gradient=True)
    return outputs, lambda gradient: hidden_pullback(output_pullback(gradient))


def value_head(config: PPOConfig, features: int, streams: int) -> nn.Module:
    """Features [..., F] -> a value of each reward stream, [..., S]."""
    return _head(features, config.critic_hidden, streams, config.head_activation, config.value_gain)


def flat_head(config: PPOConfig, features: int, outputs: int) -> nn.Module:
    """Features [..., F] -> outputs [..., P]."""
    return _head(features, config.actor_hidden, outputs, config.head_activation, GAIN)


def std_head(config: PPOConfig, features: int, dimensions: int) -> nn.Module:
    """Features [..., F] -> means and log standard deviations, [..., 2 * dimensions]."""
    head = flat_head(config, features, 2 * dimensions)
    output = head.output if isinstance(head, DeepHead) else head
    with torch.no_grad():
        output.layers[0].bias[dimensions:] = config.log_std_init
    return head


def _head(features: int, hidden: Sequence[int], outputs: int, activation: str, gain: float) -> nn.Module:
    if not hidden:
        return MLP(features, (outputs,), "identity", gain)
    return DeepHead(features, hidden, outputs, activation, gain)


class TokenHead(nn.Module):
    """Tokens [..., K, F] -> logits [..., actions]: that of each action from its token, with the weights of its verb.

    So what is learned about opening the first result holds for the others.
    """

    places: Tensor  #: [actions] int64, in the logits of all verbs on all tokens

    def __init__(self, encoder: Encoder, context: Context):
        super().__init__()
        space = context.action_space
        if not isinstance(space, TokenDiscrete):
            raise FrameworkError(
                'action_head = "tokens" needs actions that say which token they are about (TokenDiscrete), not'
                f' {space}: use action_head = "flat"'
            )
        tokens = _tokens_of(encoder, context)
        if tokens is None or tokens.shape[-2] <= max(space.tokens):
            count = "none" if tokens is None else tokens.shape[-2]
            raise FrameworkError(
                f'action_head = "tokens" needs an encoder with at least {max(space.tokens) + 1} tokens, such as'
                f" transformer; this one has {count}"
            )
        verbs = max(space.verbs) + 1
        self.verbs = MLP(tokens.shape[-1], (verbs,), "identity", gain=GAIN)
        places = torch.tensor(space.tokens) * verbs + torch.tensor(space.verbs)
        self.register_buffer("places", places, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        return self.verbs(tokens).flatten(-2).index_select(-1, self.places)


def _tokens_of(encoder: Encoder, context: Context) -> Tensor | None:
    """The encoder's tokens of an arbitrary observation."""
    observation = {
        name: torch.from_numpy(_any_value(space))[None, None] for name, space in context.observation_space.items()
    }
    with torch.no_grad():
        encoding, _ = encoder(observation, encoder.initial_memory(1), torch.ones(1, 1, dtype=torch.bool))
    return encoding.tokens


def _any_value(space: spaces.Space) -> np.ndarray:
    dtype, shape = array_spec(space)
    if isinstance(space, spaces.Box):
        return np.clip(np.zeros(shape), space.low, space.high).astype(dtype)
    return np.zeros(shape, dtype) + np.asarray(getattr(space, "start", 0), dtype)
