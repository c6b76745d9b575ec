"""Encoding of actions as network inputs, and the likelihood of predicted actions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.spaces import check_action_space


def action_code(space: spaces.Space[Any]) -> ActionCode:
    """The code of an action space; raises `FrameworkError` where there is none."""
    check_action_space(space)
    if isinstance(space, spaces.MultiBinary):
        return Bits(space)
    return Numbers(space) if isinstance(space, spaces.Box) else Choices(space)


class ActionCode(nn.Module):
    """Actions [B, ...] as the environment took them -> vectors [B, width], and the loss of predictions [B, width]."""

    width: int

    @abstractmethod
    def forward(self, actions: Tensor) -> Tensor:
        """Encoded actions, [B, width] float32."""

    @abstractmethod
    def loss(self, predictions: Tensor, actions: Tensor) -> Tensor:
        """Negative log-likelihood of the actions, [B], in nats."""


class Choices(ActionCode):
    """Discrete and MultiDiscrete: one-hot; predictions are logits, and parts are independent."""

    start: Tensor

    def __init__(self, space: spaces.Discrete[Any] | spaces.MultiDiscrete[Any]):
        super().__init__()
        self._sizes = [int(n) for n in np.reshape(space.n if isinstance(space, spaces.Discrete) else space.nvec, -1)]
        self.width = sum(self._sizes)
        self.register_buffer("start", torch.as_tensor(np.reshape(space.start, -1).astype(np.int64)))

    def forward(self, actions: Tensor) -> Tensor:
        """One-hot vectors, concatenated."""
        columns = self._columns(actions)
        return torch.cat([functional.one_hot(a, n) for a, n in zip(columns, self._sizes, strict=True)], -1).float()

    def loss(self, predictions: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy."""
        parts = zip(predictions.split(self._sizes, -1), self._columns(actions), strict=True)
        return torch.stack([functional.cross_entropy(z, a, reduction="none") for z, a in parts]).sum(0)

    def _columns(self, actions: Tensor) -> tuple[Tensor, ...]:
        return (actions.reshape(len(actions), -1).to(torch.int64) - self.start).unbind(1)


class Bits(ActionCode):
    """MultiBinary: unchanged; predictions are logits."""

    def __init__(self, space: spaces.MultiBinary):
        super().__init__()
        self.width = int(np.prod(space.shape))

    def forward(self, actions: Tensor) -> Tensor:
        """Bits as 0.0 or 1.0."""
        return actions.flatten(1).float()

    def loss(self, predictions: Tensor, actions: Tensor) -> Tensor:
        """Cross-entropy."""
        losses = functional.binary_cross_entropy_with_logits(predictions, self(actions), reduction="none")
        return losses.sum(-1)


class Numbers(ActionCode):
    """Box: actions clipped to the bounds, as the environment takes them, and scaled to [-1, 1] where both are finite.

    Predictions are means of unit-variance Gaussians; the constant of the likelihood is left out.
    """

    low: Tensor
    high: Tensor

    def __init__(self, space: spaces.Box):
        super().__init__()
        self.width = int(np.prod(space.shape))
        for name in ("low", "high"):
            self.register_buffer(name, torch.as_tensor(np.reshape(getattr(space, name), -1).astype(np.float32)))

    def forward(self, actions: Tensor) -> Tensor:
        """Clipped and scaled actions."""
        actions = actions.flatten(1).float().clamp(self.low, self.high)
        half = 0.5 * (self.high - self.low)
        scaled = half.isfinite() & (half > 0)
        middle = torch.where(scaled, 0.5 * (self.high + self.low), 0.0)
        return (actions - middle) / torch.where(scaled, half, 1.0)

    def loss(self, predictions: Tensor, actions: Tensor) -> Tensor:
        """Half the squared error."""
        return 0.5 * (predictions - self(actions)).square().sum(-1)
