"""Observations with their past: what a network with memory evaluates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from framework.interfaces import Encoder, Encoding, Tensors


class SequenceRows(NamedTuple):
    """R observations in B sequences, of which each is evaluated after those before it.

    The first steps of each sequence are its burn-in: they only bring the memory, stored when the policy was another
    one, up to date (Kapturowski et al., 2019, section 3).
    """

    burn_in: Tensors  #: {name: [W, B, ...]}, W may be 0
    burn_in_first: Tensor  #: [W, B] bool: an episode starts with this observation
    memory: Tensors  #: {name: [B, ...]} before the burn-in
    observations: Tensors  #: {name: [L, B, ...]} after it
    first: Tensor  #: [L, B] bool
    index: Tensor  #: [R] int64: ``t * B + b`` of each of the R observations

    def encode(self, encoder: Encoder) -> Encoding:
        """Encoding whose features [1, R, F] are those of the R observations; the burn-in has no gradient."""
        memory = self.memory
        if len(self.burn_in_first):
            with torch.no_grad():
                _, memory = encoder(self.burn_in, memory, self.burn_in_first)
        encoding, _ = encoder(self.observations, memory, self.first)
        features = encoding.features.flatten(0, 1).index_select(0, self.index).unsqueeze(0)
        return Encoding(features, losses=encoding.losses)

    def slices(self, count: int) -> list[tuple[SequenceRows, Tensor]]:
        """``count`` parts of whole sequences, and which of the R observations each has [R_v].

        There are fewer parts where fewer sequences have any.
        """
        column = self.index % self.first.shape[1]
        columns = column.unique()
        return [self._take(part, column) for part in columns.tensor_split(min(count, len(columns)))]

    def _take(self, columns: Tensor, column: Tensor) -> tuple[SequenceRows, Tensor]:
        rows = torch.isin(column, columns).nonzero().squeeze(1)
        step, place = self.index[rows] // self.first.shape[1], torch.searchsorted(columns, column[rows])
        part = SequenceRows(
            {name: x.index_select(1, columns) for name, x in self.burn_in.items()},
            self.burn_in_first.index_select(1, columns),
            {name: x.index_select(0, columns) for name, x in self.memory.items()},
            {name: x.index_select(1, columns) for name, x in self.observations.items()},
            self.first.index_select(1, columns),
            step * len(columns) + place,
        )
        return part, rows
