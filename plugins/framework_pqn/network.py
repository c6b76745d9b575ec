"""The Q-network: an encoder, and a head with layer normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Tensors
from framework.toolkit.networks import MLP, LayerNormMLP, initialization
from framework.toolkit.observations import ObservationNormalizer
from framework.toolkit.processor import autocast
from framework.toolkit.vjp import Pullback, covers, rule, vjp
from framework_pqn.config import PQNConfig


class Evaluation(NamedTuple):
    """What the network makes of T steps of N environments."""

    values: Tensor  #: [T, N, A] Q-values, float32 in any precision
    memory: Tensors  #: {name: [N, ...]} after the last step
    losses: Mapping[str, Tensor]  #: the encoder's auxiliary losses by name, []


class QNetwork(nn.Module):
    """Observations ``{name: [T, N, ...]}`` in order -> Q-values of all actions [T, N, A]."""

    def __init__(self, config: PQNConfig, context: Context):
        super().__init__()
        if context.make_encoder is None:
            raise FrameworkError("pqn needs an encoder")
        if not isinstance(context.action_space, spaces.Discrete):
            raise FrameworkError(
                "pqn needs a Discrete action space, as it compares the values of all actions; "
                f"this one is {context.action_space}: use another algorithm, such as ppo"
            )
        with initialization(config.initialization):
            self.encoder = context.make_encoder()
            self.head = Head(self.encoder.feature_dim, config, int(context.action_space.n))
        #: Whether the encoder has a memory: then observations must be evaluated in order.
        self.remembers = bool(self.encoder.initial_memory(1))
        self.normalizer: ObservationNormalizer | None = None
        if config.normalize_observations:
            self.normalizer = ObservationNormalizer(context.observation_space, config.observation_clip)
        self._autocast = autocast(context)
        #: Whether every part has a rule of `framework.toolkit.vjp`, by which it is then evaluated without gradient.
        self.closed_form = context.precision == "float32" and not context.compile and covers(self.encoder)

    def forward(self, observations: Tensors, memory: Tensors, first: Tensor) -> Evaluation:
        """Evaluation after ``memory`` {name: [N, ...]}; ``first`` [T, N] tells where episodes start."""
        with self._autocast:
            encoding, after = self.encoder(self.normalized(observations), memory, first)
            values = self.head(encoding.features)
        # A memory keeps its dtype whatever the precision, as it travels.
        after = {name: x.to(memory[name].dtype) for name, x in after.items()}
        return Evaluation(values.to(torch.float32), after, encoding.losses)

    def constant(self, observations: Tensors, memory: Tensors, first: Tensor) -> tuple[Tensor, Tensors]:
        """Q-values [T, N, A] and memory after T, without gradient; call without gradient recording."""
        if not self.closed_form:
            evaluation = self(observations, memory, first)
            return evaluation.values, evaluation.memory
        rows = {name: x.flatten(0, 1).unsqueeze(0) for name, x in observations.items()}
        return vjp(self, rows)[0].unflatten(0, first.shape), memory

    def normalized(self, observations: Tensors) -> Tensors:
        """What the encoder sees."""
        return observations if self.normalizer is None else self.normalizer(observations)


class Head(nn.Module):
    """Features [..., F] -> Q-values [..., A]: hidden layers with ReLU, normalized before it, then a linear one."""

    def __init__(self, features: int, config: PQNConfig, actions: int):
        super().__init__()
        self.hidden = (LayerNormMLP if config.layer_norm else MLP)(features, config.head_hidden, "relu")
        self.output = MLP(self.hidden.feature_dim, (actions,), "identity", gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.output.forward(self.hidden.forward(features))


@rule(QNetwork)
def _(network: QNetwork, observations: Tensors) -> tuple[Tensor, Pullback]:
    """Of ``{name: [1, B, ...]}``, to an encoder without memory: values [B, A]."""
    features, encoder_pullback = vjp(network.encoder, network.normalized(observations))
    values, head_pullback = vjp(network.head, features)
    return values, lambda gradient: encoder_pullback(head_pullback(gradient))


@rule(Head)
def _(head: Head, features: Tensor) -> tuple[Tensor, Pullback]:
    hidden, hidden_pullback = vjp(head.hidden, features, input_gradient=True)
    values, output_pullback = vjp(head.output, hidden, input_gradient=True)
    return values, lambda gradient: hidden_pullback(output_pullback(gradient))
