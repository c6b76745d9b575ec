"""Observations as sequences, with the final observation of each episode in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from framework.interfaces import Batch, Tensors


class Interleaved(NamedTuple):
    """Sequences of L observations for N environments: those of a batch, and the final ones of episodes."""

    observations: Tensors  #: {name: [L, N, ...]}; shorter sequences are padded with an observation
    first: Tensor  #: [L, N] bool
    places: Tensor  #: [T + 1, N] int64: the rows of the batch's observations
    final_places: Tensor  #: [K] int64: the rows of the final observations, each in the column of its environment


def interleave(batch: Batch) -> Interleaved:
    """The sequences that an encoder with memory needs for the values of all observations, final ones included."""
    steps, count = batch.rewards.shape
    step, column = batch.final_index // count, batch.final_index % count
    before = batch.first.new_zeros((steps + 1, count), dtype=torch.int64)
    before[step + 1, column] = 1
    before = before.cumsum(0)  # episodes that ended before each observation
    places = torch.arange(steps + 1, device=before.device).unsqueeze(1) + before
    final_places = places[step, column] + 1
    length = int(places.max()) + 1
    columns = torch.arange(count, device=before.device).expand_as(places)
    first = batch.first.new_zeros((length, count))
    first[places, columns] = batch.first
    observations = {}
    for name, x in batch.observations.items():
        longer = x[-1:].repeat(length, *[1] * (x.ndim - 1))
        longer[places, columns] = x
        longer[final_places, column] = batch.final_observations[name]
        observations[name] = longer
    return Interleaved(observations, first, places, final_places)


def column_parts(observations: Tensors, most_bytes: int) -> Iterator[slice]:
    """Ranges of columns of ``{name: [L, N, ...]}``, each of at most so many bytes or of one column."""
    leaf = next(iter(observations.values()))
    column_bytes = sum(x[:, :1].nbytes for x in observations.values())
    size = max(1, most_bytes // max(column_bytes, 1))
    return (slice(start, start + size) for start in range(0, leaf.shape[1], size))
