"""Critics: an encoder, and several networks side by side that judge its features and an action."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoder, Tensors
from framework.toolkit.networks import ACTIVATIONS, initialization, orthogonal
from framework.toolkit.processor import autocast
from framework.toolkit.vjp import covers
from framework_off_policy.config import ActorCriticConfig


class Ensemble(nn.Module):
    """E multilayer perceptrons of one shape, [B, inputs] -> [E, B, outputs]: each layer is one matrix product.

    With ``layer_norm`` and ``dropout`` hidden layers are as in DroQ (Hiraoka et al., 2022, arXiv:2110.02034): linear,
    dropout, layer norm, activation.
    """

    def __init__(
        self,
        count: int,
        sizes: Sequence[int],
        activation: str,
        *,
        layer_norm: bool = False,
        dropout: float = 0.0,
    ):
        """``sizes`` are those of the input, of all hidden layers, and of the output."""
        super().__init__()
        self.count, self.sizes, self.activation, self.dropout = count, tuple(sizes), activation, dropout
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        self.gains, self.shifts = nn.ParameterList(), nn.ParameterList()
        for index, (inputs, outputs) in enumerate(pairwise(sizes)):
            last = index == len(sizes) - 2
            gain = 1.0 if last else math.sqrt(2.0)
            members = [orthogonal(nn.Linear(inputs, outputs), gain) for _ in range(count)]
            self.weights.append(torch.stack([layer.weight.detach() for layer in members]))
            # Vectors, so that weight decay spares them.
            self.biases.append(torch.cat([layer.bias.detach() for layer in members]))
            if layer_norm and not last:
                self.gains.append(torch.ones(count * outputs))
                self.shifts.append(torch.zeros(count * outputs))
        #: Weight [E, outputs, inputs] and bias [E * outputs] of each layer: finding them through the module takes long.
        self.layers = list(zip(self.weights, self.biases, strict=True))
        self.norms = list(zip(self.gains, self.shifts, strict=True))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See the class; ``generator`` draws which units are dropped, and without one none are."""
        count, activate = self.count, ACTIVATIONS[self.activation]
        x = x.expand(count, *x.shape)
        for index, (weight, bias) in enumerate(self.layers):
            x = torch.baddbmm(bias.view(count, 1, -1), x, weight.transpose(1, 2))
            if index < len(self.layers) - 1:
                if self.dropout and generator is not None:
                    kept = torch.empty_like(x).bernoulli_(1.0 - self.dropout, generator=generator)
                    x = x * kept.div_(1.0 - self.dropout)
                if self.norms:
                    gain, shift = self.norms[index]
                    x = functional.layer_norm(x, x.shape[-1:])
                    x = torch.addcmul(shift.view(count, 1, -1), x, gain.view(count, 1, -1))
                x = activate(x)
        return x


class Critics(nn.Module):
    """Observations and actions -> [B, E, outputs], float32 in any precision.

    The critics share an encoder, which is not the actor's; actions join its features. Without actions (``actions`` 0)
    they judge observations alone, so that ``outputs`` may be one for each of Discrete actions.
    """

    def __init__(self, config: ActorCriticConfig, context: Context, *, actions: int, outputs: int):
        super().__init__()
        with initialization(config.initialization):
            self.encoder = make_encoder(context)
            self.ensemble = Ensemble(
                config.critics,
                (self.encoder.feature_dim + actions, *config.critic_hidden, outputs),
                config.activation,
                layer_norm=config.layer_norm,
                dropout=config.dropout,
            )
        self._autocast = autocast(context)
        self.trained_encoder = any(parameter.requires_grad for parameter in self.encoder.parameters())
        #: Whether every part can be differentiated in closed form.
        self.closed_form = context.precision == "float32" and not context.compile and covers(self.encoder)

    def forward(
        self, rows: Tensors, actions: Tensor | None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Values and the encoder's auxiliary losses; ``rows`` are normalized ``{name: [1, B, ...]}``."""
        with self._autocast:
            features, losses = encode(self.encoder, rows)
            inputs = features if actions is None else torch.cat((features, actions), -1)
            values = self.ensemble(inputs, generator)
        return values.to(torch.float32).transpose(0, 1), losses


def make_encoder(context: Context) -> Encoder:
    """The pipeline's encoder; raises `FrameworkError` where it has a memory, or there is none."""
    if context.make_encoder is None:
        raise FrameworkError("actor and critics need an encoder")
    encoder = context.make_encoder()
    if encoder.initial_memory(1):
        raise FrameworkError(
            "sac, td3 and tqc work with encoders without memory only, as they learn from single transitions"
        )
    return encoder


def encode(encoder: Encoder, rows: Tensors) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Features [B, F] of independent rows ``{name: [1, B, ...]}``, and auxiliary losses."""
    leaf = next(iter(rows.values()))
    first = torch.ones(leaf.shape[:2], dtype=torch.bool, device=leaf.device)
    encoding, _ = encoder(rows, {}, first)
    return encoding.features[0], encoding.losses
