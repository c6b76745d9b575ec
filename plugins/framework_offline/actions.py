"""Actions as the environment takes them, as distributions have them, and as critics see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from framework.errors import FrameworkError
from framework.toolkit.spaces import action_parts, check_action_space, mask_groups


class ActionScale(nn.Module):
    """Between the environment's actions and those of `framework.toolkit.distributions`.

    Those are numbered from zero, and in [-1, 1] where a Box is bounded; a Box that is not is left as it is.
    """

    middle: Tensor  #: [D], or [1] for what is counted: the number of the first
    reach: Tensor  #: [D] half the range, 1 for what is counted or unbounded

    def __init__(self, space: spaces.Space[Any]):
        super().__init__()
        check_action_space(space)
        if action_parts(space):
            raise FrameworkError(
                f"bc and iql take actions of one part, and these are {space}: use another algorithm, such as ppo"
            )
        self.shape = tuple(space.shape or ())
        self.real = isinstance(space, spaces.Box)
        self.bounded = isinstance(space, spaces.Box) and space.is_bounded()
        self.groups = mask_groups(space)
        middle, reach = np.zeros(1), np.ones(1)
        if isinstance(space, spaces.Box) and self.bounded:
            low, high = space.low.reshape(-1).astype(np.float64), space.high.reshape(-1).astype(np.float64)
            middle, reach = (low + high) / 2, np.maximum((high - low) / 2, 1e-6)
        elif self.groups:
            middle = np.asarray(getattr(space, "start", 0), np.float64).reshape(-1)
        self.register_buffer("middle", torch.tensor(middle, dtype=torch.float32), persistent=False)
        self.register_buffer("reach", torch.tensor(reach, dtype=torch.float32), persistent=False)

    @property
    def width(self) -> int:
        """Length of `vector`."""
        return sum(self.groups) or int(np.prod(self.shape))

    def from_environment(self, actions: Tensor) -> Tensor:
        """Actions [B, ...] -> [B, D]; [B] of a Discrete."""
        flat = actions.reshape(len(actions), *self._flat)
        if self.real:
            return (flat - self.middle) / self.reach
        return flat - self.middle.to(torch.int64).reshape(self._start) if self.groups else flat

    def to_environment(self, actions: Tensor) -> Tensor:
        """The inverse of `from_environment`; where a Box is bounded, clipped to its bounds."""
        if self.real:
            inside = actions.clamp(-1.0, 1.0) if self.bounded else actions
            actions = inside * self.reach + self.middle
        elif self.groups:
            actions = actions + self.middle.to(torch.int64).reshape(self._start)
        return actions.reshape(len(actions), *self.shape)

    def vector(self, actions: Tensor) -> Tensor:
        """The environment's actions -> [B, width] float32: scaled, or choices one-hot, one after the other."""
        actions = self.from_environment(actions)
        if not self.groups:
            return actions.to(torch.float32)
        choices = actions.reshape(len(actions), -1).unbind(-1)
        return torch.cat([functional.one_hot(x, n) for x, n in zip(choices, self.groups, strict=True)], -1).float()

    @property
    def _flat(self) -> tuple[int, ...]:
        return (int(np.prod(self.shape)),) if self.shape else ()

    @property
    def _start(self) -> tuple[int, ...]:
        return (-1,) if self.shape else ()
