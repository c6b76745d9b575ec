"""The policy and value networks of PPO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, ExplicitEncoder
from framework.toolkit.distributions import DiagonalGaussian, distribution_for, mask_logits
from framework.toolkit.networks import MLP
from framework.toolkit.normalize import Standardize
from framework_ppo.config import PPOConfig

Tensors = dict[str, Tensor]

#: Observations are evaluated in parts of at most this size, so that large images do not fill the memory.
_PART_BYTES = 8_000_000
_SMALLEST_PART = 64


class ActorCritic(nn.Module):
    """Encoder, action head and value head; with ``share_encoder = false`` the value has an encoder of its own.

    Parameters of the action distribution, log-probabilities and values are float32 whatever the precision.
    """

    def __init__(self, config: PPOConfig, context: Context):
        super().__init__()
        if context.make_encoder is None:
            raise FrameworkError("ppo needs an encoder")
        space = context.action_space
        self.distribution = distribution_for(space)
        self._action_shape = tuple(space.shape or ())
        start = np.asarray(getattr(space, "start", 0)).reshape(-1).tolist()
        self._start = (start if len(start) > 1 else start[0]) if any(start) else None
        self.encoder = context.make_encoder()
        self.value_encoder = None if config.share_encoder else context.make_encoder()
        if self.encoder.initial_memory(1):
            raise FrameworkError("ppo works with encoders without memory only")
        self._gaussian = isinstance(self.distribution, DiagonalGaussian)
        outputs = self.distribution.size // 2 if self._gaussian else self.distribution.size
        self.action_head = MLP(self.encoder.features, (outputs,), "identity", gain=0.01)
        # Kept apart too, as finding a part of a module takes as long as a small layer does.
        self._acting = (self.encoder, self.action_head.forward)
        self.value_head = MLP((self.value_encoder or self.encoder).features, (1,), "identity", gain=1.0)
        self.log_std = nn.Parameter(torch.full((outputs,), config.log_std_init)) if self._gaussian else None
        normalized = normalized_leaves(context) if config.normalize_observations else {}
        self._normalized = list(normalized)
        self.normalizers = nn.ModuleList(
            Standardize(space.shape or (), config.observation_clip) for space in normalized.values()
        )
        self._autocast = _autocast(context)
        #: Whether `vjp` works; else `evaluate` and autograd do.
        self.explicit = context.precision == "float32" and all(
            isinstance(encoder, ExplicitEncoder)
            for encoder in (self.encoder, self.value_encoder)
            if encoder is not None
        )

    # What samplers call.

    def initial_memory(self, count: int) -> Tensors:
        """None: stateless."""
        return {}

    def act(
        self,
        observation: Tensors,
        memory: Tensors,
        first: Tensor,
        generator: torch.Generator,
        *,
        action_mask: Tensor | None = None,
        deterministic: bool = False,
    ) -> tuple[Tensor, Tensors, Tensors]:
        """See `framework.interfaces.Policy.act`. Computes what choosing the action needs, and no more."""
        encoder, head = self._acting
        with self._autocast:
            encoding, memory = encoder(self._rows(observation), memory, first.unsqueeze(0))
            features = encoding.features.squeeze(0)
            outputs = head(features)
        parameters = self._distribution_parameters(outputs, action_mask)
        extras = {"parameters": parameters}
        if self.value_encoder is None:
            extras["value"] = self._values(features)
        if deterministic:
            actions = self.distribution.mode(parameters)
        else:
            actions = self.distribution.sample(parameters, generator)
        return self._to_environment(actions), extras, memory

    def complete(self, batch: Batch) -> Tensors:
        """``log_probability`` [T, N], ``value`` [T + 1, N] and ``final_value`` [K], in one pass."""
        steps, count = batch.rewards.shape
        log_prob = self.distribution.log_prob(batch.extras["parameters"], self.from_environment(batch.actions))
        if self.value_encoder is None:
            last = self.values({name: x[steps] for name, x in batch.observations.items()})
            value = torch.cat((batch.extras["value"], last.unsqueeze(0)))
        else:
            rows = {name: x.flatten(0, 1) for name, x in batch.observations.items()}
            value = self.values(rows).view(steps + 1, count)
        # Encoders need not know what to do with nothing.
        ended = batch.final_index.numel() > 0
        final_value = self.values(batch.final_observations) if ended else value.new_empty(0)
        return {"log_probability": log_prob, "value": value, "final_value": final_value}

    # What the learner calls; B rows of any environments and times.

    def evaluate(self, observations: Tensors, action_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """``{name: [B, ...]}`` -> parameters of the action distribution [B, P] and values [B], with gradient."""
        rows = self._rows(observations)
        features = self._encode(self.encoder, rows)
        with self._autocast:
            outputs = self.action_head(features)
        other = features if self.value_encoder is None else self._encode(self.value_encoder, rows)
        return self._distribution_parameters(outputs, action_mask), self._values(other)

    def vjp(
        self, observations: Tensors, action_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Callable[[Tensor, Tensor], None]]:
        """`evaluate` without autograd, and what turns the gradients of both results into the parameters' ``grad``."""
        rows = self._rows(observations)
        features, encoder_pullback = self.encoder.vjp(rows)
        outputs, action_pullback = self.action_head.vjp(features, input_gradient=True)
        other, value_encoder_pullback = (features, None) if self.value_encoder is None else self.value_encoder.vjp(rows)
        values, value_pullback = self.value_head.vjp(other, input_gradient=True)

        def pullback(d_parameters: Tensor, d_values: Tensor) -> None:
            if self.log_std is not None:
                d_parameters, d_log_std = d_parameters.chunk(2, -1)
                if self.log_std.grad is not None:
                    torch.sum(d_log_std, 0, out=self.log_std.grad)
            elif action_mask is not None:
                d_parameters = d_parameters.masked_fill(~action_mask, 0.0)
            d_features = action_pullback(d_parameters)
            d_other = value_pullback(d_values.unsqueeze(-1))
            if value_encoder_pullback is None:
                encoder_pullback(d_features.add_(d_other))
            else:
                encoder_pullback(d_features)
                value_encoder_pullback(d_other)

        return self._distribution_parameters(outputs, action_mask), values.squeeze(-1), pullback

    def values(self, observations: Tensors) -> Tensor:
        """``{name: [B, ...]}`` -> [B], in parts."""
        encoder = self.encoder if self.value_encoder is None else self.value_encoder
        parts = in_parts(observations)
        return torch.cat([self._values(self._encode(encoder, self._rows(part))) for part in parts])

    def from_environment(self, actions: Tensor) -> Tensor:
        """Actions as the environment takes them [..., *shape] -> as the distribution knows them [..., k] or [...]."""
        if len(self._action_shape) > 1:
            actions = actions.flatten(-len(self._action_shape))
        return actions if self._start is None else actions - torch.as_tensor(self._start, device=actions.device)

    def _to_environment(self, actions: Tensor) -> Tensor:
        if self._start is not None:
            actions = actions + torch.as_tensor(self._start, device=actions.device)
        return actions.view(-1, *self._action_shape) if len(self._action_shape) > 1 else actions

    def _rows(self, observations: Tensors) -> Tensors:
        """What encoders see: ``{name: [1, B, ...]}``, normalized."""
        rows = {name: x.unsqueeze(0) for name, x in observations.items()}
        if self._normalized:
            for name, normalizer in zip(self._normalized, self.normalizers, strict=True):
                rows[name] = normalizer(rows[name])
        return rows

    def _encode(self, encoder: nn.Module, rows: Tensors) -> Tensor:
        """Features [B, F] of rows that have nothing to do with one another."""
        if self.explicit and not torch.is_grad_enabled():
            return encoder.vjp(rows)[0]
        some = next(iter(rows.values()))
        with self._autocast:
            encoding, _ = encoder(rows, {}, torch.ones(some.shape[:2], dtype=torch.bool, device=some.device))
        return encoding.features[0]

    def _distribution_parameters(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        if outputs.dtype is not torch.float32:
            outputs = outputs.to(torch.float32)
        if self.log_std is not None:
            return torch.cat((outputs, self.log_std.expand_as(outputs)), -1)
        return outputs if action_mask is None else mask_logits(outputs, action_mask)

    def _values(self, features: Tensor) -> Tensor:
        with self._autocast:
            values = self.value_head(features)
        return values.to(torch.float32).squeeze(-1)


def normalized_leaves(context: Context) -> dict[str, spaces.Space]:
    """The observations that can be normalized: every Box but those of bytes with two axes or more, which are images."""
    return {
        name: space
        for name, space in sorted(context.observation_space.items())
        if isinstance(space, spaces.Box) and not (space.dtype == np.uint8 and len(space.shape) > 1)
    }


def in_parts(observations: Tensors, *others: Tensor) -> Iterator[Any]:
    """Rows of observations (and of other tensors beside them) in parts that are small enough for the memory's sake."""
    row_bytes = sum(x[:1].nbytes for x in observations.values())
    size = max(_SMALLEST_PART, _PART_BYTES // max(row_bytes, 1))
    parts = zip(*(x.split(size) for x in observations.values()), *(x.split(size) for x in others), strict=True)
    for part in parts:
        rows = dict(zip(observations, part, strict=False))
        yield (rows, *part[len(rows) :]) if others else rows


def _autocast(context: Context) -> AbstractContextManager[Any]:
    if context.precision == "float32":
        return nullcontext()
    device = torch.device(context.device).type
    if context.precision == "float16" and device == "cpu":
        raise FrameworkError('precision = "float16" needs a GPU; use "bfloat16" or "float32" on a CPU')
    return torch.autocast(device, getattr(torch, context.precision))
