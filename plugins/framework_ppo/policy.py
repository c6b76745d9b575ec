"""The policy and value networks of PPO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Encoding, Tensors
from framework.toolkit.distributions import (
    DiagonalGaussian,
    Distribution,
    Joint,
    SquashedGaussian,
    distribution_for,
    mask_logits,
)
from framework.toolkit.normalize import Standardize
from framework.toolkit.processor import autocast
from framework.toolkit.sequences import column_parts, interleave
from framework.toolkit.spaces import check_action_space
from framework.toolkit.vjp import covers, vjp
from framework_ppo.config import PPOConfig
from framework_ppo.exploration import ExplorationHead
from framework_ppo.heads import TokenHead, flat_head, std_head, value_head
from framework_ppo.views import make_encoders

#: Observations are evaluated in parts of at most this size, so that large images do not fill the memory.
_PART_BYTES = 8_000_000
_SMALLEST_PART = 64
#: What is recorded of squashed actions: they themselves do not tell it exactly.
PRE_SQUASH = "pre_squash"


class Evaluation(NamedTuple):
    """Outputs of the networks for B rows."""

    parameters: Tensor  #: [B, P] of the action distribution
    values: Tensor  #: [B], or [B, S] where there are S > 1 reward streams, that of the environment first
    losses: Tensors  #: the encoders' auxiliary losses by name, []


class ActorCritic(nn.Module):
    """Encoder, action head and value head; with ``share_encoder = false`` the value has an encoder of its own.

    Each encoder gets what its view lets through of an observation. Parameters of the action distribution,
    log-probabilities and values are float32 whatever the precision. The memory of the policy's encoder is named
    ``policy/...``, that of the value's own ``value/...``, and that of gSDE ``exploration/...``. With S > 1 reward
    streams, values have a last dimension S, wherever they stand.
    """

    def __init__(self, config: PPOConfig, context: Context):
        super().__init__()
        space = context.action_space
        self.distribution = _distribution(config, space)
        self._squashed = self.distribution if isinstance(self.distribution, SquashedGaussian) else None
        self._action_shape = tuple(space.shape or ())
        start = np.asarray(getattr(space, "start", 0)).reshape(-1).tolist()
        self._start = (start if len(start) > 1 else start[0]) if any(start) else None
        encoders, self.views = make_encoders(config, context)
        self.encoder, self.value_encoder = encoders["policy"], encoders.get("value")
        #: Whether the encoders have a memory: then observations must be evaluated in order.
        self.remembers = any(encoder.initial_memory(1) for encoder in encoders.values())
        self._gaussian = isinstance(self.distribution, DiagonalGaussian)
        deviations = getattr(self.distribution, "dimensions", 0)
        outputs = self.distribution.size - deviations
        by_token, features = config.action_head == "tokens", self.encoder.feature_dim
        self.action_head: nn.Module
        if by_token:
            self.action_head = TokenHead(self.encoder, self.views["policy"].context)
        elif config.gsde:
            interval = config.gsde_interval or context.rollout_length
            self.action_head = ExplorationHead(config, features, outputs, interval)
        else:
            self.action_head = (std_head if config.state_dependent_std else flat_head)(config, features, outputs)
        self._explores = config.gsde
        self._read = attrgetter("tokens" if by_token else "features")
        # Kept apart too, as finding a part of a module takes as long as a small layer does.
        self._acting = (self.encoder, self._read, self.action_head.forward)
        value_features, streams = (self.value_encoder or self.encoder).feature_dim, 1 + len(context.bonuses)
        self.value_head = value_head(config, value_features, streams)
        std_alone = deviations and not (config.gsde or config.state_dependent_std)
        self.log_std = nn.Parameter(torch.full((deviations,), config.log_std_init)) if std_alone else None
        normalized = normalized_leaves(context) if config.normalize_observations else {}
        self._normalized = list(normalized)
        self.normalizers = nn.ModuleList(
            Standardize(space.shape or (), config.observation_clip) for space in normalized.values()
        )
        self._autocast = autocast(context)
        #: Whether every network has a rule of `framework.toolkit.vjp`, by which it is then evaluated without gradient.
        self.closed_form = (
            context.precision == "float32"
            and not context.compile
            and covers(*self.encoders.values(), self.action_head, self.value_head)
        )

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """The encoders by what they are for: ``policy``, and ``value`` where that has its own."""
        encoders = {"policy": self.encoder, "value": self.value_encoder}
        return {use: encoder for use, encoder in encoders.items() if encoder is not None}

    # What samplers call.

    def initial_memory(self, count: int) -> Tensors:
        """The memories of the encoders, and the noise of gSDE; empty where there are none."""
        memories = {use: encoder.initial_memory(count) for use, encoder in self.encoders.items()}
        noise = self.action_head.initial_memory(count) if self._explores else {}
        return {f"{use}/{name}": x for use, memory in memories.items() for name, x in memory.items()} | noise

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
        """See `framework.interfaces.Policy.act`. Evaluates no more than the action needs.

        A value encoder of its own is evaluated only where it has a memory to keep.
        """
        encoder, read, head = self._acting
        rows, starts = self.normalized_rows(self.views["policy"](observation)), first.unsqueeze(0)
        with self._autocast:
            encoding, after = encoder(rows, _part(memory, "policy"), starts)
            outputs = head(read(encoding).squeeze(0))
        parameters = self.distribution_parameters(outputs, action_mask)
        extras = {"parameters": parameters}
        if self.remembers:
            memory = self._remember(observation, memory, starts, after)
        elif self.value_encoder is None:
            extras["value"] = self._values(encoding.features.squeeze(0))
        if deterministic:
            actions = self.distribution.mode(parameters)
        elif self._explores:
            with self._autocast:
                noise, memory = self.action_head.noise(read(encoding).squeeze(0), memory, generator)
            actions = self.distribution.mode(parameters) + noise
        else:
            actions = self.distribution.sample(parameters, generator)
        if self._squashed is not None:
            extras[PRE_SQUASH] = actions
        return self._to_environment(actions), extras, memory

    def action_distribution(self, extras: Tensors) -> Tensors:
        """See `framework.interfaces.DistributionPolicy.action_distribution`."""
        named = self.distribution.named(extras["parameters"])
        return {name: x.view(-1, *self._action_shape) for name, x in named.items()} if self._gaussian else named

    def _remember(self, observation: Tensors, memory: Tensors, first: Tensor, policy_memory: Tensors) -> Tensors:
        """The memory after a step, in the dtypes of the memory before it; the policy's is known already."""
        after = {f"policy/{name}": x for name, x in policy_memory.items()}
        if before := _part(memory, "value"):
            rows = self.normalized_rows(self.views["value"](observation))
            with self._autocast:
                _, value_memory = self.value_encoder(rows, before, first)
            after |= {f"value/{name}": x for name, x in value_memory.items()}
        return memory | {name: x.to(memory[name].dtype) for name, x in after.items()}

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """``log_probability`` [T, N], ``value`` [T + 1, N] and ``final_value`` [K], in one pass."""
        log_prob = self.distribution.log_prob(batch.extras["parameters"], self.taken(batch.actions, batch.extras))
        value, final_value = self.batch_values(batch, batch.extras.get("value"))
        return {"log_probability": log_prob, "value": value, "final_value": final_value, **recorded(batch.extras)}

    # What both call.

    def batch_values(self, batch: Batch, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Values [T + 1, N] of all observations, and [K] of the last ones of episodes.

        Without a memory, those of the first T steps may be ``known`` [T, N]. An encoder with memory goes through the
        observations of each environment in order, starting with `Batch.memory`.
        """
        steps, count = batch.rewards.shape
        if self.remembers:
            observations, first, places, final_places = interleave(
                batch.observations, batch.first, batch.final_index, batch.final_observations
            )
            parts = self._encoded_sequences(self._value_use, observations, batch.memory, first)
            values = torch.cat([self._values(encoding.features) for encoding in parts], 1)
            return values[places, torch.arange(count)], values[final_places, batch.final_index % count]
        if known is None:
            rows = {name: x.flatten(0, 1) for name, x in batch.observations.items()}
            value = self.values(rows).unflatten(0, (steps + 1, count))
        else:
            last = self.values({name: x[steps] for name, x in batch.observations.items()})
            value = torch.cat((known, last.unsqueeze(0)))
        # Encoders need not know what to do with nothing.
        ended = batch.final_index.numel() > 0
        return value, self.values(batch.final_observations) if ended else value.new_empty(0, *value.shape[2:])

    def values(self, observations: Tensors) -> Tensor:
        """``{name: [B, ...]}`` -> [B], in parts; to an encoder with memory each row is the first of an episode."""
        parts = in_parts(self.views[self._value_use](observations))
        encoded = (self._encode_constant(self._value_use, self.normalized_rows(part)) for part in parts)
        return torch.cat([self._values(encoding.features[0]) for encoding in encoded])

    def batch_parameters(self, batch: Batch) -> Tensor:
        """Parameters of the action distributions [T, N, P], as in `batch_values`."""
        shape = batch.rewards.shape
        observations = {name: x[:-1] for name, x in batch.observations.items()}
        if self.remembers:
            parts = self._encoded_sequences("policy", observations, batch.memory, batch.first[:-1])
            outputs = torch.cat([self._action_outputs(encoding) for encoding in parts], 1)
        else:
            rows = in_parts({name: x.flatten(0, 1) for name, x in self.views["policy"](observations).items()})
            encoded = (self._encode_constant("policy", self.normalized_rows(part)) for part in rows)
            outputs = torch.cat([self._action_outputs(encoding)[0] for encoding in encoded]).unflatten(0, shape)
        return self.distribution_parameters(outputs, None if batch.action_mask is None else batch.action_mask[:-1])

    def _encoded_sequences(self, use: str, observations: Tensors, memory: Tensors, first: Tensor) -> Iterator[Encoding]:
        """``{name: [L, N, ...]}`` -> encodings [L, n, ...] of some environments at a time."""
        observations = self.views[use](observations)
        for part in column_parts(observations, _PART_BYTES):
            steps = self._normalize({name: x[:, part] for name, x in observations.items()})
            start = {name: x[part] for name, x in _part(memory, use).items()}
            yield self._encode_sequences(use, steps, start, first[:, part])

    # What the learner calls.

    def evaluate(self, observations: Tensors, action_mask: Tensor | None) -> Evaluation:
        """Evaluation of B independent rows ``{name: [B, ...]}``, differentiable."""
        rows = self.normalized_rows(observations)
        return self._evaluate([self._encode(use, self.views[use](rows)) for use in self.encoders], action_mask)

    def evaluate_sequences(
        self, observations: Tensors, memory: Tensors, first: Tensor, action_mask: Tensor | None
    ) -> Evaluation:
        """As `evaluate`, for ``{name: [T, N, ...]}`` in order, after ``memory``; gives ``T * N`` rows."""
        steps = self._normalize(observations)
        encodings = [
            self._encode_sequences(use, self.views[use](steps), _part(memory, use), first) for use in self.encoders
        ]
        return self._evaluate(encodings, None if action_mask is None else action_mask.flatten(0, 1))

    def _evaluate(self, encodings: Sequence[Encoding], action_mask: Tensor | None) -> Evaluation:
        """Evaluation of the policy's encoding, and the value's where that has an encoder of its own."""
        outputs = self._action_outputs(encodings[0]).flatten(0, 1)
        parameters = self.distribution_parameters(outputs, action_mask)
        losses: Tensors = {}
        for encoding in encodings:
            for name, loss in encoding.losses.items():
                losses[name] = losses.get(name, 0.0) + loss.to(torch.float32)
        return Evaluation(parameters, self._values(encodings[-1].features.flatten(0, 1)), losses)

    def from_environment(self, actions: Tensor) -> Tensor:
        """Actions of the environment [..., *shape] -> actions of the distribution [..., k] or [...]."""
        if len(self._action_shape) > 1:
            actions = actions.flatten(-len(self._action_shape))
        if self._squashed is not None:
            return self._squashed.unsquash(actions)
        return actions if self._start is None else actions - torch.as_tensor(self._start, device=actions.device)

    def taken(self, actions: Tensor, extras: Tensors) -> Tensor:
        """As `from_environment`; exactly what was sampled, where it is recorded in ``extras``."""
        return extras[PRE_SQUASH] if self._squashed is not None else self.from_environment(actions)

    def _to_environment(self, actions: Tensor) -> Tensor:
        if self._squashed is not None:
            actions = self._squashed.squash(actions)
        if self._start is not None:
            actions = actions + torch.as_tensor(self._start, device=actions.device)
        return actions.view(-1, *self._action_shape) if len(self._action_shape) > 1 else actions

    def normalized_rows(self, observations: Tensors) -> Tensors:
        """``{name: [B, ...]}`` -> inputs of the encoders, ``{name: [1, B, ...]}``."""
        return self._normalize({name: x.unsqueeze(0) for name, x in observations.items()})

    def _normalize(self, observations: Tensors) -> Tensors:
        """``{name: [T, N, ...]}`` with the observations that are normalized."""
        if not self._normalized:
            return observations
        normalizers = zip(self._normalized, self.normalizers, strict=True)
        return observations | {
            name: normalizer(observations[name]) for name, normalizer in normalizers if name in observations
        }

    @property
    def _value_use(self) -> str:
        """Whose features values are of."""
        return "policy" if self.value_encoder is None else "value"

    def _encode(self, use: str, rows: Tensors) -> Encoding:
        """Encoding of independent rows ``{name: [1, B, ...]}``, differentiable."""
        leaf = next(iter(rows.values()))
        starts = torch.ones(leaf.shape[:2], dtype=torch.bool, device=leaf.device)
        return self._encode_sequences(use, rows, self.encoders[use].initial_memory(leaf.shape[1]), starts)

    @torch.no_grad()
    def _encode_constant(self, use: str, rows: Tensors) -> Encoding:
        """As `_encode`, without gradient."""
        if self.closed_form:
            return Encoding(vjp(self.encoders[use], rows)[0].unsqueeze(0))
        return self._encode(use, rows)

    def _encode_sequences(self, use: str, steps: Tensors, memory: Tensors, first: Tensor) -> Encoding:
        with self._autocast:
            encoding, _ = self.encoders[use](steps, memory, first)
        return encoding

    def _action_outputs(self, encoding: Encoding) -> Tensor:
        with self._autocast:
            return self.action_head(self._read(encoding))

    def distribution_parameters(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """Outputs of the action head -> parameters of the action distribution, [..., P] float32."""
        if outputs.dtype is not torch.float32:
            outputs = outputs.to(torch.float32)
        if action_mask is not None:
            outputs = mask_logits(outputs, self.legal(action_mask))
        if self.log_std is None:
            return outputs
        return torch.cat((outputs, self.log_std.expand(*outputs.shape[:-1], -1)), -1)

    def legal(self, action_mask: Tensor) -> Tensor:
        """Which outputs of the action head stand for what is legal: all but the logits that the mask forbids."""
        return self.distribution.legal(action_mask) if isinstance(self.distribution, Joint) else action_mask

    def _values(self, features: Tensor) -> Tensor:
        with self._autocast:
            values = self.value_head(features)
        return values.to(torch.float32).squeeze(-1)


def _part(memory: Tensors, use: str) -> Tensors:
    """The memory of one encoder, under the encoder's own names."""
    prefix = f"{use}/"
    return {name.removeprefix(prefix): x for name, x in memory.items() if name.startswith(prefix)}


def _distribution(config: PPOConfig, space: spaces.Space) -> Distribution:
    """The distribution of actions; raises `FrameworkError` where options are for another space."""
    options = {
        'action_distribution = "squashed"': config.action_distribution == "squashed",
        "state_dependent_std": config.state_dependent_std,
        "gsde": config.gsde,
    }
    if not isinstance(space, spaces.Box):
        for name in (name for name, chosen in options.items() if chosen):
            raise FrameworkError(f"{name} is for continuous actions, a Box, and not for {space}: leave it out")
    if config.action_distribution == "squashed":
        check_action_space(space)
        return SquashedGaussian(space)
    return distribution_for(space)


def recorded(extras: Tensors) -> Tensors:
    """What is kept of a policy's extras to tell the actions that were taken exactly."""
    return {name: x for name, x in extras.items() if name == PRE_SQUASH}


def normalized_leaves(context: Context) -> dict[str, spaces.Space]:
    """The observations that can be normalized: every Box but those of bytes with two axes or more, which are images."""
    return {
        name: space
        for name, space in sorted(context.observation_space.items())
        if isinstance(space, spaces.Box) and not (space.dtype == np.uint8 and len(space.shape) > 1)
    }


def in_parts(observations: Tensors, *others: Tensor) -> Iterator[Any]:
    """Rows of observations, and of other tensors, in parts of bounded size."""
    row_bytes = sum(x[:1].nbytes for x in observations.values())
    size = max(_SMALLEST_PART, _PART_BYTES // max(row_bytes, 1))
    parts = zip(*(x.split(size) for x in observations.values()), *(x.split(size) for x in others), strict=True)
    for part in parts:
        rows = dict(zip(observations, part, strict=False))
        yield (rows, *part[len(rows) :]) if others else rows
