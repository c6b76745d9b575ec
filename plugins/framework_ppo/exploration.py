"""Generalized state-dependent exploration, gSDE (Raffin et al., 2021, arXiv:2005.05719).

The noise of an action is a linear function of the policy's features, ``noise = features @ (std * Z)``. Its matrix Z of
standard normal numbers stays the same for some steps: exploration is smooth, and repeats itself where the state does.
Each environment has a matrix of its own in the policy's memory, so that it travels, and is there again where a run is
resumed. Over all matrices the action is Gaussian with the variance ``features^2 @ std^2`` (equation 5), which is what
the learner takes it for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from framework.interfaces import Tensors
from framework.toolkit.networks import MLP
from framework_ppo.config import PPOConfig
from framework_ppo.heads import GAIN

#: Names in the policy's memory: the matrix [N, F, dimensions], and the steps that it was used for [N].
NOISE, AGE = "exploration/noise", "exploration/age"
#: Added to variances, which would be 0 where all features are.
_EPSILON = 1e-6


class ExplorationHead(nn.Module):
    """Features [..., F] -> means and log standard deviations, [..., 2 * dimensions].

    No gradient of the deviations reaches the features, as in the paper: how far to explore shall not shape them.
    """

    def __init__(self, config: PPOConfig, features: int, dimensions: int, interval: int):
        super().__init__()
        self.hidden = MLP(features, config.actor_hidden, config.head_activation)
        self.mean = MLP(self.hidden.feature_dim, (dimensions,), "identity", GAIN)
        self.log_std = nn.Parameter(torch.full((self.hidden.feature_dim, dimensions), config.log_std_init))
        self._interval = interval

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        latent = self.hidden(features)
        mean = self.mean(latent)
        with _float32(latent):
            variance = latent.detach().to(torch.float32).square() @ self.log_std.mul(2.0).exp()
        return torch.cat((mean.to(torch.float32), (variance + _EPSILON).log().mul(0.5)), -1)

    def initial_memory(self, count: int) -> Tensors:
        """No matrix yet: the first step draws one."""
        return {NOISE: torch.zeros(count, *self.log_std.shape), AGE: torch.zeros(count, dtype=torch.int64)}

    def noise(self, features: Tensor, memory: Tensors, generator: torch.Generator) -> tuple[Tensor, Tensors]:
        """Noise [N, dimensions] for features [N, F], and the memory after it; draws the matrices that are due."""
        matrix, age = memory[NOISE], memory[AGE]
        due = age % self._interval == 0
        if due.any():
            fresh = torch.empty_like(matrix).normal_(generator=generator)
            matrix = torch.where(due.view(-1, 1, 1), fresh, matrix)
        latent = self.hidden(features)
        with _float32(latent):
            noise = torch.bmm(latent.to(torch.float32).unsqueeze(1), matrix * self.log_std.exp()).squeeze(1)
        return noise, memory | {NOISE: matrix, AGE: torch.where(due, 1, age + 1)}


def _float32(x: Tensor) -> AbstractContextManager[None]:
    """No lower precision inside: noise and the variance that it is taken to have must agree."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
