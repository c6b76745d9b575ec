"""An encoder with memory that is small and slow, and plain to see."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from framework.interfaces import Context, Encoding
from framework_encoders.vectors import Vectors


class Remembering(nn.Module):
    """``h[t] = tanh(W x[t] + U h[t - 1])``, the first ``h`` of an episode being that of no memory, 0."""

    supports = ("memory",)
    feature_dim = 8

    def __init__(self, config: Any, context: Context):
        super().__init__()
        self.vectors = Vectors(context.observation_space)
        self.inputs = nn.Linear(self.vectors.width, self.feature_dim)
        self.recurrence = nn.Linear(self.feature_dim, self.feature_dim, bias=False)
        nn.init.orthogonal_(self.recurrence.weight)

    def initial_memory(self, count: int) -> dict[str, Tensor]:
        return {"h": torch.zeros(count, self.feature_dim)}

    def forward(
        self, observation: dict[str, Tensor], memory: dict[str, Tensor], first: Tensor
    ) -> tuple[Encoding, dict[str, Tensor]]:
        h, steps = memory["h"], []
        for x, starts in zip(self.inputs(self.vectors(observation)), first, strict=True):
            h = torch.tanh(x + self.recurrence(h * ~starts.unsqueeze(-1)))
            steps.append(h)
        return Encoding(torch.stack(steps)), {"h": h}
