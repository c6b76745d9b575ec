"""An encoder with a head, for policies, values and critics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Tensors
from framework.toolkit.networks import MLP
from framework.toolkit.processor import autocast


class Network(nn.Module):
    """Observations ``{name: [B, ...]}``, perhaps with vectors [B, V] -> outputs [B, outputs], float32 in any precision.

    The vectors join the encoder's features before ``hidden`` layers with ReLU and a linear one.
    """

    def __init__(self, context: Context, hidden: Sequence[int], outputs: int, *, vectors: int = 0, gain: float = 1.0):
        super().__init__()
        if context.make_encoder is None:
            raise FrameworkError("what is learned from a dataset needs an encoder")
        self.encoder = context.make_encoder()
        if self.encoder.initial_memory(1):
            raise FrameworkError("it works with encoders without memory only, as it learns from single transitions")
        self.hidden = MLP(self.encoder.feature_dim + vectors, hidden, "relu")
        self.output = MLP(self.hidden.feature_dim, (outputs,), "identity", gain=gain)
        self._autocast = autocast(context)

    def forward(self, observations: Tensors, vectors: Tensor | None = None) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Outputs, and the encoder's auxiliary losses."""
        rows = {name: x.unsqueeze(0) for name, x in observations.items()}
        leaf = next(iter(rows.values()))
        with self._autocast:
            encoding, _ = self.encoder(rows, {}, torch.ones(leaf.shape[:2], dtype=torch.bool, device=leaf.device))
            features = encoding.features[0]
            if vectors is not None:
                features = torch.cat([features, vectors.to(features.dtype)], -1)
            outputs = self.output(self.hidden(features))
        return outputs.to(torch.float32), encoding.losses
