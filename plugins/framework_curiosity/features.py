"""Inputs of a bonus's networks: whitened observations, and an encoder of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoder, Tensors
from framework.toolkit.networks import MLP
from framework.toolkit.normalize import RunningMoments, Standardize

CLIP = 5.0


class Whitening(nn.Module):
    """Observations at mean 0 and standard deviation 1, clipped to ±5 (Burda et al., 2018, arXiv:1810.12894, 2.4).

    It applies to every Box of floats or bytes; other leaves are choices or may be symbols, and stay as they are.
    ``space`` is the whitened space: its leaves are float32, and images of two axes have a channel axis before them.
    """

    def __init__(self, space: Mapping[str, spaces.Space[Any]]):
        super().__init__()
        self.space = {name: _whitened(leaf) if _is_whitened(leaf) else leaf for name, leaf in space.items()}
        self._names = [name for name, leaf in sorted(space.items()) if _is_whitened(leaf)]
        shapes = [tuple(space[name].shape or ()) for name in self._names]
        self.moments = nn.ModuleList(RunningMoments(shape) for shape in shapes)
        self.standardize = nn.ModuleList(Standardize(shape, CLIP) for shape in shapes)

    def take_in(self, observations: Tensors) -> None:
        """Update the statistics with rows ``{name: [B, ...]}``."""
        for name, moments, standardize in zip(self._names, self.moments, self.standardize, strict=True):
            moments.update(observations[name])
            standardize.set(moments)

    def forward(self, observations: Tensors) -> Tensors:
        """Observations ``{name: [B, ...]}`` -> whitened observations of `space`."""
        whitened = dict(observations)
        for name, standardize in zip(self._names, self.standardize, strict=True):
            rows = standardize(observations[name])
            whitened[name] = rows.view(len(rows), *self.space[name].shape)
        return whitened


class Features(nn.Module):
    """A stateless encoder of independent rows, ``{name: [B, ...]}`` -> [B, F].

    ``part`` names it as pipelines do; None is the pipeline's encoder, initialized anew. Raises `FrameworkError` where
    it has a memory, or there is none.
    """

    def __init__(self, part: str | dict[str, Any] | None, context: Context):
        super().__init__()
        self.encoder = _make(part, context)
        self.feature_dim = self.encoder.feature_dim
        if self.encoder.initial_memory(1):
            raise FrameworkError(
                "a bonus judges single observations, so its encoder cannot have a memory: "
                'name one without in its table, such as encoder = "mlp"'
            )

    def forward(self, observations: Tensors) -> Tensor:
        """See the class."""
        rows = {name: x.unsqueeze(0) for name, x in observations.items()}
        leaf = next(iter(rows.values()))
        first = torch.ones(leaf.shape[:2], dtype=torch.bool, device=leaf.device)
        features: Tensor = self.encoder(rows, {}, first)[0].features[0]
        return features


def regressor(inputs: int, hidden: tuple[int, ...], outputs: int, gain: float = math.sqrt(2.0)) -> nn.Module:
    """An MLP with ReLU and a linear output, [..., inputs] -> [..., outputs]."""
    layers = MLP(inputs, hidden, "relu")
    return nn.Sequential(layers, MLP(layers.feature_dim, (outputs,), "identity", gain))


@contextmanager
def seeded(seed: int, name: str) -> Iterator[torch.Generator]:
    """Networks made inside are initialized from the run's seed and a name; yields a generator for later draws.

    Equal seeds give equal networks only under equal names. Torch's global generator is left as it was.
    """
    initial, later = np.random.SeedSequence([seed, *name.encode()]).generate_state(2, np.uint64).tolist()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(initial)
        yield torch.Generator().manual_seed(later)


def _make(part: str | dict[str, Any] | None, context: Context) -> Encoder:
    if part is not None and context.make_part is not None:
        return context.make_part(part, context)
    if part is None and context.make_encoder is not None:
        return context.make_encoder(context)
    raise FrameworkError("a bonus needs an encoder, which its context cannot make")


def _is_whitened(leaf: spaces.Space[Any]) -> bool:
    return isinstance(leaf, spaces.Box) and (leaf.dtype == np.uint8 or np.issubdtype(leaf.dtype, np.floating))


def _whitened(leaf: spaces.Space[Any]) -> spaces.Box:
    shape = tuple(leaf.shape or ())
    if leaf.dtype == np.uint8 and len(shape) == 2:
        shape = (1, *shape)
    return spaces.Box(-CLIP, CLIP, shape, np.float32)
