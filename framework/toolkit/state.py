"""What algorithms share when they are made, saved and restored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What draws from torch's global generator in here starts from ``seed``; afterwards it is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of each, such as of a module's ``state_dict``, whose tensors training goes on to change."""
    return {name: tensor.clone() for name, tensor in tensors.items()}
