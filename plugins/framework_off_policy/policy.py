"""Actors, which are the policies that samplers act with."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Tensors
from framework.toolkit.distributions import Categorical, mask_logits
from framework.toolkit.networks import MLP, initialization
from framework.toolkit.observations import ObservationNormalizer
from framework.toolkit.processor import autocast
from framework.toolkit.vjp import covers
from framework_off_policy.config import ActorCriticConfig, SACConfig, TD3Config
from framework_off_policy.critic import encode, make_encoder
from framework_off_policy.squashed import log_prob, squash


class Actor(nn.Module, ABC):
    """Encoder, hidden layers and a linear head; before learning starts its actions are uniformly random.

    The learner says when that is over, and owns the statistics by which observations are normalized; both travel with
    the weights.
    """

    uniform: Tensor  #: [] bool: whether actions are uniformly random

    def __init__(self, config: ActorCriticConfig, context: Context, outputs: int):
        super().__init__()
        with initialization(config.initialization):
            self.encoder = make_encoder(context)
            self.hidden = MLP(self.encoder.feature_dim, config.actor_hidden, config.activation)
            self.head = MLP(self.hidden.feature_dim, (outputs,), "identity", gain=0.01)
        normalized = context.observation_space if config.normalize_observations else {}
        self.normalizer = ObservationNormalizer(normalized, config.observation_clip)
        self.register_buffer("uniform", torch.tensor(config.learning_starts > 0))
        self._autocast = autocast(context)
        self.trained_encoder = any(parameter.requires_grad for parameter in self.encoder.parameters())
        #: Whether every network has a rule of `framework.toolkit.vjp`.
        self.closed_form = context.precision == "float32" and not context.compile and covers(self.encoder)

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
        """See `framework.interfaces.Policy.act`."""
        outputs, _ = self(self.normalized(observation))
        if deterministic:
            actions = self.mode(outputs, action_mask)
        elif self.uniform:
            actions = self.random(outputs, action_mask, generator)
        else:
            actions = self.explore(outputs, action_mask, generator)
        return self.to_environment(actions), {}, memory

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """Nothing: the learner computes all it needs itself, with newer weights."""
        return {}

    def forward(self, rows: Tensors) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Outputs of the head [B, outputs] float32, and the encoder's auxiliary losses.

        ``rows`` are normalized ``{name: [1, B, ...]}``.
        """
        with self._autocast:
            features, losses = encode(self.encoder, rows)
            outputs = self.head.forward(self.hidden.forward(features))
        return outputs.to(torch.float32), losses

    def normalized(self, observations: Tensors) -> Tensors:
        """``{name: [B, ...]}`` -> inputs of the encoders, ``{name: [1, B, ...]}``."""
        rows: Tensors = self.normalizer({name: x.unsqueeze(0) for name, x in observations.items()})
        return rows

    # What differs between actors. Actions are inside those of the networks: [B, k] in [-1, 1], or [B] from zero.

    @abstractmethod
    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """The actions of evaluations."""

    @abstractmethod
    def random(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """Uniformly random actions, as many as there are outputs."""

    @abstractmethod
    def explore(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """The actions that data is collected with."""

    @abstractmethod
    def to_environment(self, actions: Tensor) -> Tensor:
        """The networks' actions -> those of the environment."""

    @abstractmethod
    def from_environment(self, actions: Tensor) -> Tensor:
        """Actions of the environment -> those of the networks."""


class BoxActor(Actor):
    """An actor of real actions, which are scaled from [-1, 1] to the bounds of the space."""

    center: Tensor
    half_range: Tensor

    def __init__(self, config: ActorCriticConfig, context: Context, outputs_per_action: int):
        space = context.action_space
        self.dimensions = math.prod(space.shape)
        super().__init__(config, context, outputs_per_action * self.dimensions)
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        for name, value in (("center", (low + high) / 2), ("half_range", (high - low) / 2)):
            tensor = torch.from_numpy(value.astype(np.float32))
            self.register_buffer(name, tensor, persistent=False)

    def random(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """Uniform within the bounds."""
        return outputs.new_empty(len(outputs), self.dimensions).uniform_(-1.0, 1.0, generator=generator)

    def to_environment(self, actions: Tensor) -> Tensor:
        """[B, k] -> [B, *shape]."""
        return torch.addcmul(self.center, actions.view(-1, *self.center.shape), self.half_range)

    def from_environment(self, actions: Tensor) -> Tensor:
        """[B, *shape] -> [B, k]."""
        return ((actions - self.center) / self.half_range).clamp_(-1.0, 1.0).flatten(1)


class Draw(NamedTuple):
    """Actions drawn by reparametrization, with their log-probabilities: both differentiable."""

    actions: Tensor  #: [B, k]
    log_prob: Tensor  #: [B] of the density over [-1, 1]^k


class GaussianActor(BoxActor):
    """A normal distribution squashed by tanh, whose deviation depends on the observation.

    Haarnoja et al. (2018, arXiv:1801.01290, appendix C).
    """

    def __init__(self, config: SACConfig, context: Context):
        super().__init__(config, context, 2)
        self.log_std_bounds = config.log_std_min, config.log_std_max

    def parameters_of(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the head -> mean and log standard deviation [B, k] each, before squashing."""
        mean, log_std = outputs.chunk(2, -1)
        return mean, log_std.clamp(*self.log_std_bounds)

    def draw(self, outputs: Tensor, generator: torch.Generator) -> Draw:
        """One action for each row."""
        mean, log_std = self.parameters_of(outputs)
        noise = torch.empty_like(mean).normal_(generator=generator)
        raw = torch.addcmul(mean, noise, log_std.exp())
        return Draw(squash(raw), log_prob(raw, noise, log_std))

    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """The squashed mean."""
        return squash(outputs[:, : self.dimensions])

    def explore(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """A draw."""
        mean, log_std = self.parameters_of(outputs)
        return squash(torch.addcmul(mean, torch.empty_like(mean).normal_(generator=generator), log_std.exp()))


class TanhActor(BoxActor):
    """One action for each observation, to which noise is added for exploration (Fujimoto et al., 2018)."""

    def __init__(self, config: TD3Config, context: Context):
        super().__init__(config, context, 1)
        self._noise = config.exploration_noise

    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """The action."""
        return squash(outputs)

    def explore(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """The action with normal noise, within the bounds."""
        noise = torch.empty_like(outputs).normal_(generator=generator)
        return squash(outputs).add_(noise, alpha=self._noise).clamp_(-1.0, 1.0)


class CategoricalActor(Actor):
    """A categorical distribution over Discrete actions; illegal ones have probability 0."""

    def __init__(self, config: SACConfig, context: Context):
        self.actions = int(context.action_space.n)
        super().__init__(config, context, self.actions)
        self._start = int(context.action_space.start)
        self._distribution = Categorical(self.actions)

    def mode(self, outputs: Tensor, action_mask: Tensor | None) -> Tensor:
        """The most probable action."""
        return self._distribution.mode(_masked(outputs, action_mask))

    def random(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """Any legal action."""
        return self._distribution.sample(_masked(torch.zeros_like(outputs), action_mask), generator)

    def explore(self, outputs: Tensor, action_mask: Tensor | None, generator: torch.Generator) -> Tensor:
        """A draw."""
        return self._distribution.sample(_masked(outputs, action_mask), generator)

    def probabilities(self, outputs: Tensor, action_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Probabilities and log-probabilities [B, A]; both are 0 where an action is illegal."""
        log_probs = torch.log_softmax(_masked(outputs, action_mask), -1)
        probs = log_probs.exp()
        return probs, log_probs if action_mask is None else log_probs.masked_fill(~action_mask, 0.0)

    def to_environment(self, actions: Tensor) -> Tensor:
        """[B], from the space's ``start``."""
        return actions + self._start if self._start else actions

    def from_environment(self, actions: Tensor) -> Tensor:
        """[B], from zero."""
        return actions - self._start if self._start else actions


def _masked(logits: Tensor, action_mask: Tensor | None) -> Tensor:
    return logits if action_mask is None else mask_logits(logits, action_mask)


def check_box(context: Context, algorithm: str) -> None:
    """Raise `FrameworkError` unless actions are a Box with finite bounds."""
    space: spaces.Space[Any] = context.action_space
    if not isinstance(space, spaces.Box):
        raise FrameworkError(
            f"{algorithm} needs continuous actions, a Box, and here they are {space}: use sac, dqn or ppo"
        )
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise FrameworkError(
            f"{algorithm} scales its actions to the bounds of the space, so these must be finite, the lower below the "
            f"upper: here the space is {space}; bound it by a wrapper, such as gymnasium's RescaleAction"
        )
