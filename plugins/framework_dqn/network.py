"""The Q-network: an encoder, and a plain or a dueling head, of values or of return distributions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Tensors
from framework.toolkit.networks import MLP, initialization
from framework.toolkit.processor import autocast
from framework.toolkit.vjp import Pullback, covers, rule, vjp
from framework_dqn.config import DQNConfig
from framework_dqn.distributional import return_model
from framework_dqn.noisy import NoisyMLP, noisy_layers
from framework_dqn.sequence_rows import SequenceRows


class QNetwork(nn.Module):
    """Observations ``{name: [B, ...]}`` -> Q-values [B, A], float32 in any precision.

    To an encoder with memory each of them is the first of an episode, unless they come as `SequenceRows`. With a
    `distribution`, the outputs of `forward` are its K parameters for each action, [B, A, K].
    """

    def __init__(self, config: DQNConfig, context: Context):
        super().__init__()
        if context.make_encoder is None:
            raise FrameworkError("dqn needs an encoder")
        if not isinstance(context.action_space, spaces.Discrete):
            raise FrameworkError(
                "dqn needs a Discrete action space, as it compares the values of all actions; "
                f"this one is {context.action_space}: use another algorithm, such as ppo"
            )
        with initialization(config.initialization):
            self.encoder = context.make_encoder()
            self.head = _make_head(config, self.encoder.feature_dim, int(context.action_space.n))
        #: Whether the encoder has a memory: then observations are evaluated in order.
        self.remembers = bool(self.encoder.initial_memory(1))
        self._autocast = autocast(context)
        self.return_model = return_model(config, context.device)
        self.noisy_layers = noisy_layers(self)
        #: Whether every part has a rule of `framework.toolkit.vjp`, by which it is then evaluated without gradient.
        self.closed_form = (
            context.precision == "float32"
            and not context.compile
            and not self.noisy_layers
            and covers(self.encoder, self.head)
        )

    def forward(self, observations: Tensors | SequenceRows) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Outputs and the encoder's auxiliary losses, with gradient."""
        with self._autocast:
            if isinstance(observations, SequenceRows):
                encoding = observations.encode(self.encoder)
            else:
                rows = _as_steps(observations)
                leaf = next(iter(rows.values()))
                first = torch.ones(leaf.shape[:2], dtype=torch.bool, device=leaf.device)
                encoding, _ = self.encoder(rows, self.encoder.initial_memory(leaf.shape[1]), first)
            outputs = self.head(encoding.features[0])
        return outputs.to(torch.float32), encoding.losses

    def values(self, observations: Tensors | SequenceRows) -> Tensor:
        """Q-values without gradient; call without gradient recording."""
        return self.return_model.means(self.outputs(observations))

    def outputs(self, observations: Tensors | SequenceRows) -> Tensor:
        """What `forward` gives, without gradient; call without gradient recording."""
        return vjp(self, observations)[0] if self.closed_form else self(observations)[0]

    def step(self, observations: Tensors, memory: Tensors, first: Tensor) -> tuple[Tensor, Tensors]:
        """Q-values of one step with memory, and the memory after it, in its dtypes; without gradient."""
        with self._autocast:
            encoding, after = self.encoder(_as_steps(observations), memory, first.unsqueeze(0))
            outputs = self.head(encoding.features[0])
        values = self.return_model.means(outputs.to(torch.float32))
        return values, {name: x.to(memory[name].dtype) for name, x in after.items()}


def _make_head(config: DQNConfig, features: int, actions: int) -> nn.Module:
    layers = partial(NoisyMLP, std=config.noisy_std) if config.noisy else MLP
    if config.distribution != "none":
        return DistributionHead(features, config.head_hidden, actions, config.atoms, layers, dueling=config.dueling)
    return (DuelingHead if config.dueling else Head)(features, config.head_hidden, actions, layers)


class Head(nn.Module):
    """Features [B, F] -> [B, outputs]: hidden layers with ReLU, then a linear one, made by ``layers``."""

    def __init__(self, features: int, hidden: Sequence[int], outputs: int, layers: Callable[..., nn.Module] = MLP):
        super().__init__()
        self.hidden = layers(features, hidden, "relu")
        self.output = layers(hidden[-1] if hidden else features, (outputs,), "identity", gain=1.0)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.output.forward(self.hidden.forward(features))


class DuelingHead(nn.Module):
    """Dueling head: ``V + A - mean(A)`` of the state's value and the actions' advantages.

    Wang et al. (2016, arXiv:1511.06581), equation 9.
    """

    def __init__(self, features: int, hidden: Sequence[int], actions: int, layers: Callable[..., nn.Module] = MLP):
        super().__init__()
        self.value = Head(features, hidden, 1, layers)
        self.advantage = Head(features, hidden, actions, layers)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, A]."""
        return _joined(self.value(features), self.advantage(features))


class DistributionHead(nn.Module):
    """Features [B, F] -> [B, A, K], K parameters of each action's return distribution.

    A dueling head joins value and advantages for each of them (Hessel et al., 2018, arXiv:1710.02298).
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int],
        actions: int,
        atoms: int,
        layers: Callable[..., nn.Module] = MLP,
        *,
        dueling: bool = False,
    ):
        super().__init__()
        self._atoms = atoms
        self.value = Head(features, hidden, atoms, layers) if dueling else None
        self.advantage = Head(features, hidden, actions * atoms, layers)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.joined(None if self.value is None else self.value(features), self.advantage(features))

    def joined(self, value: Tensor | None, advantages: Tensor) -> Tensor:
        """V [B, K] and A [B, A * K] -> [B, A, K], or A alone."""
        advantages = advantages.unflatten(-1, (-1, self._atoms))
        return advantages if value is None else value.unsqueeze(-2) + advantages - advantages.mean(-2, keepdim=True)


def _joined(value: Tensor, advantage: Tensor) -> Tensor:
    """V [B, 1] and A [B, A] -> Q-values [B, A], see `DuelingHead`."""
    return value + advantage - advantage.mean(-1, keepdim=True)


def _as_steps(observations: Tensors) -> Tensors:
    """``{name: [B, ...]}`` -> ``{name: [1, B, ...]}``, as encoders take them."""
    return {name: x.unsqueeze(0) for name, x in observations.items()}


@rule(QNetwork)
def _(network: QNetwork, observations: Tensors) -> tuple[Tensor, Pullback]:
    features, encoder_pullback = vjp(network.encoder, _as_steps(observations))
    values, head_pullback = vjp(network.head, features)
    return values, lambda gradient: encoder_pullback(head_pullback(gradient))


@rule(Head)
def _(head: Head, features: Tensor) -> tuple[Tensor, Pullback]:
    hidden, hidden_pullback = vjp(head.hidden, features, input_gradient=True)
    values, output_pullback = vjp(head.output, hidden, input_gradient=True)
    return values, lambda gradient: hidden_pullback(output_pullback(gradient))


@rule(DuelingHead)
def _(head: DuelingHead, features: Tensor) -> tuple[Tensor, Pullback]:
    value, value_pullback = vjp(head.value, features)
    advantage, advantage_pullback = vjp(head.advantage, features)

    def pullback(gradient: Tensor) -> Tensor:
        d_advantage = gradient - gradient.mean(-1, keepdim=True)
        return value_pullback(gradient.sum(-1, keepdim=True)) + advantage_pullback(d_advantage)

    return _joined(value, advantage), pullback


@rule(DistributionHead)
def _(head: DistributionHead, features: Tensor) -> tuple[Tensor, Pullback]:
    advantages, advantage_pullback = vjp(head.advantage, features)
    if head.value is None:
        return head.joined(None, advantages), lambda gradient: advantage_pullback(gradient.flatten(1))
    value, value_pullback = vjp(head.value, features)

    def pullback(gradient: Tensor) -> Tensor:
        d_advantages = gradient - gradient.mean(-2, keepdim=True)
        return value_pullback(gradient.sum(-2)) + advantage_pullback(d_advantages.flatten(1))

    return head.joined(value, advantages), pullback
