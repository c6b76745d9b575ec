"""Sequences of observations for encoders with memory, with the final observation of each episode in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from framework.interfaces import Tensors


class Interleaved(NamedTuple):
    """Sequences of L observations for N environments: of T + 1 rows, and final ones of episodes among them."""

    observations: Tensors  #: {name: [L, N, ...]}; shorter sequences are padded with an observation
    first: Tensor  #: [L, N] bool
    places: Tensor  #: [T + 1, N] int64: the rows of the observations
    final_places: Tensor  #: [K] int64: the rows of the final observations, each in the column of its environment


def interleave(observations: Tensors, first: Tensor, final_index: Tensor, final_observations: Tensors) -> Interleaved:
    """The sequences that an encoder with memory needs for the values of all observations, final ones included.

    Args:
        observations: ``{name: [T + 1, N, ...]}``, as in `framework.interfaces.Batch`; so are the other arguments.
        first: [T + 1, N] bool.
        final_index: [K] int64, ``t * N + n`` of the steps that the final observations come after.
        final_observations: ``{name: [K, ...]}``.
    """
    rows, count = first.shape
    step, column = final_index // count, final_index % count
    before = first.new_zeros((rows, count), dtype=torch.int64)
    before[step + 1, column] = 1
    before = before.cumsum(0)  # episodes that ended before each observation
    places = torch.arange(rows, device=before.device).unsqueeze(1) + before
    final_places = places[step, column] + 1
    length = int(places.max()) + 1
    columns = torch.arange(count, device=before.device).expand_as(places)
    longer_first = first.new_zeros((length, count))
    longer_first[places, columns] = first
    interleaved = {}
    for name, x in observations.items():
        longer = x[-1:].repeat(length, *[1] * (x.ndim - 1))
        longer[places, columns] = x
        longer[final_places, column] = final_observations[name]
        interleaved[name] = longer
    return Interleaved(interleaved, longer_first, places, final_places)


def column_parts(observations: Tensors, most_bytes: int) -> Iterator[slice]:
    """Ranges of columns of ``{name: [L, N, ...]}``, each of at most so many bytes or of one column."""
    leaf = next(iter(observations.values()))
    column_bytes = sum(x[:, :1].nbytes for x in observations.values())
    size = max(1, most_bytes // max(column_bytes, 1))
    return (slice(start, start + size) for start in range(0, leaf.shape[1], size))
