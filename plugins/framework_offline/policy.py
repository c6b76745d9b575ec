"""The policy that is learned from a dataset."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from framework.interfaces import Batch, Context, Tensors
from framework.toolkit.distributions import DiagonalGaussian, distribution_for, mask_logits
from framework.toolkit.networks import initialization
from framework_offline.actions import ActionScale
from framework_offline.config import BCConfig
from framework_offline.networks import Network

_LOG_STD_MAX = 2.0
_GAIN = 0.01  # the initial policy is near uniform


class DatasetPolicy(nn.Module):
    """Logits of choices, or a Gaussian over real-valued actions scaled to [-1, 1], as in IQL's own implementation.

    Its mean is bounded by tanh where the Box is, its standard deviation does not depend on the observation, and what is
    drawn beyond the bounds is clipped.
    """

    def __init__(self, config: BCConfig, context: Context):
        super().__init__()
        self.scale = ActionScale(context.action_space)
        self.distribution = distribution_for(context.action_space)
        self._gaussian = isinstance(self.distribution, DiagonalGaussian)
        outputs = self.distribution.size // 2 if self._gaussian else self.distribution.size
        with initialization(config.initialization):
            self.network = Network(context, config.head_hidden, outputs, gain=_GAIN)
        self.log_std = nn.Parameter(torch.zeros(outputs)) if self._gaussian else None
        self._log_std_min = config.log_std_min

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
        parameters, _ = self.parameters_of(observation, action_mask)
        if deterministic:
            actions = self.distribution.mode(parameters)
        else:
            actions = self.distribution.sample(parameters, generator)
        return self.scale.to_environment(actions), {"parameters": parameters}, memory

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """Nothing: what was done is learned from, and not how probable it was."""
        return {}

    def action_distribution(self, extras: Tensors) -> Tensors:
        """See `framework.interfaces.DistributionPolicy`."""
        named = self.distribution.named(extras["parameters"])
        if not self._gaussian:
            return named
        return {
            "mean": named["mean"] * self.scale.reach + self.scale.middle,
            "std": named["std"] * self.scale.reach,
        }

    def log_prob(
        self, observations: Tensors, actions: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Log-probability [B] of the environment's ``actions``, and the encoder's auxiliary losses.

        A density is that of the scaled actions.
        """
        parameters, losses = self.parameters_of(observations, mask)
        return self.distribution.log_prob(parameters, self.scale.from_environment(actions)), losses

    def parameters_of(self, observations: Tensors, mask: Tensor | None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Parameters [B, P] of the distribution, and the encoder's auxiliary losses."""
        outputs, losses = self.network(observations)
        if self.log_std is not None:
            mean = torch.tanh(outputs) if self.scale.bounded else outputs
            log_std = self.log_std.clamp(self._log_std_min, _LOG_STD_MAX)
            return torch.cat([mean, log_std.expand_as(mean)], -1), losses
        return (outputs if mask is None else mask_logits(outputs, mask)), losses
