"""Encoding of actions as network inputs, and the likelihood of predicted actions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.spaces import ActionPart, action_parts, check_action_space, mask_groups


def action_code(space: spaces.Space[Any]) -> ActionCode:
    """The code of an action space; raises `FrameworkError` where there is none."""
    check_action_space(space)
    if parts := action_parts(space):
        return Parts(parts)
    if isinstance(space, spaces.MultiBinary):
        return Bits(space)
    return Numbers(space) if isinstance(space, spaces.Box) else Choices(mask_groups(space), space.start)


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

    def __init__(self, sizes: Sequence[int], start: Any = 0):
        super().__init__()
        self._sizes = list(sizes)
        self.width = sum(sizes)
        self.register_buffer("start", torch.as_tensor(np.reshape(start, -1).astype(np.int64)))

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


class Parts(ActionCode):
    """Dict and Tuple: the codes of the parts of flat actions side by side.

    Parameters of actions that were not chosen (`framework.toolkit.spaces.ParameterizedActions`) are left out: they are
    zeros, and no prediction of them is wrong.
    """

    def __init__(self, parts: Mapping[str, ActionPart]):
        super().__init__()
        self._parts = parts
        # Choices of parts are numbered from 0.
        self._codes = nn.ModuleList(
            Choices(groups) if (groups := mask_groups(part.space)) else action_code(part.space)
            for part in parts.values()
        )
        self._widths = [code.width for code in self._codes]
        self.width = sum(self._widths)

    def forward(self, actions: Tensor) -> Tensor:
        """The codes of all parts, concatenated."""
        columns = zip(self._codes, self._parts.values(), strict=True)
        return torch.cat(
            [code(actions[:, part.columns]) * self._matters(part, actions).unsqueeze(1) for code, part in columns], -1
        )

    def loss(self, predictions: Tensor, actions: Tensor) -> Tensor:
        """The sum over the parts."""
        rows = zip(self._codes, self._parts.values(), predictions.split(self._widths, -1), strict=True)
        losses = [code.loss(x, actions[:, part.columns]) * self._matters(part, actions) for code, part, x in rows]
        return torch.stack(losses).sum(0)

    def _matters(self, part: ActionPart, actions: Tensor) -> Tensor:
        """Whether the choices that a part depends on were made, [B]."""
        matters = torch.ones(len(actions), dtype=torch.bool, device=actions.device)
        for choice, number in part.conditions:
            matters = matters & (actions[:, self._parts[choice].columns.start] == number)
        return matters
