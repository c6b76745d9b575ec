"""The modalities of an observation: groups of leaves, with an encoder each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from attrs import evolve
from gymnasium import spaces
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoder, Encoding, Tensors
from framework.toolkit.networks import orthogonal
from framework_encoders.composite_config import MultimodalConfig, TransformerConfig
from framework_encoders.config import MLPConfig
from framework_encoders.mlp import MLP
from framework_encoders.tokens import check_integers, kind_of
from framework_encoders.transformer import Transformer

Leaves = Mapping[str, spaces.Space]

#: The modality of all leaves without tokens of their own.
VECTORS = "vectors"


class Encoded(NamedTuple):
    """The encoding of one modality."""

    tokens: Tensor  #: [B, K, width]
    present: Tensor | None  #: [B, K] bool: which of them are present; None where all are
    encoding: Encoding


class Modality(nn.Module):
    """Some leaves of an observation, and their encoder. An encoder without tokens gives its features as one token."""

    def __init__(self, name: str, leaves: Leaves, config: MultimodalConfig, context: Context):
        super().__init__()
        self.name, self.leaves = name, leaves
        self._flag = config.present.get(name)
        self.encoder = _encoder(name, config, evolve(context, observation_space=leaves))
        if self.encoder.initial_memory(1):
            raise FrameworkError(
                f"the encoder of {name!r} has memory, which multimodal keeps none of: put the memory on top, with "
                'use = "gru" and core = { use = "multimodal" }'
            )
        self.projection = orthogonal(nn.Linear(self.encoder.feature_dim, config.width), 1.0)

    def forward(self, observation: Tensors, first: Tensor) -> Encoded:
        """``{name: [T, N, ...]}`` -> tokens of B = T * N rows; zero where the modality is absent."""
        leaves = {name: observation[name] for name in self.leaves}
        there = None
        if self._flag is not None:
            there = (check_integers(self._flag, observation[self._flag]) != 0).reshape(*first.shape, -1).any(-1)
            leaves = {name: _masked(x, there) for name, x in leaves.items()}
        encoding, _ = self.encoder(leaves, {}, first)
        encoded = encoding.features.unsqueeze(2) if encoding.tokens is None else encoding.tokens
        tokens = self.projection(encoded).flatten(0, 1)
        present = None if encoding.token_mask is None else encoding.token_mask.flatten(0, 1)
        if there is not None:
            tokens_there = there.flatten().unsqueeze(1).expand(tokens.shape[:2])
            present = tokens_there if present is None else present & tokens_there
        if present is not None:
            tokens = torch.where(present.unsqueeze(-1), tokens, 0.0)
        return Encoded(tokens, present, encoding)


def modalities(config: MultimodalConfig, leaves: Leaves) -> dict[str, dict[str, spaces.Space]]:
    """The leaves of each modality, by its name.

    First those that the options name, then each leaf of tokens or images, then `VECTORS` with all others. Raises
    `FrameworkError` where the options do not fit the leaves.
    """
    for name, flag in config.present.items():
        if not isinstance(leaves.get(flag), spaces.Discrete | spaces.MultiBinary):
            reason = f"not {leaves[flag]}" if flag in leaves else f"and one of {_listed(leaves)}"
            raise FrameworkError(f'present.{name} = "{flag}" must be a Discrete or MultiBinary observation, {reason}')
    free = {name: leaves[name] for name in sorted(leaves) if name not in config.present.values()}
    groups: dict[str, dict[str, spaces.Space]] = {}
    named = dict.fromkeys((*config.parts, *config.present, *(config.align or ())))
    for name in named:
        if group := {leaf: space for leaf, space in free.items() if leaf == name or leaf.startswith(f"{name}/")}:
            groups[name] = group
            free = {leaf: space for leaf, space in free.items() if leaf not in group}
    alone = [name for name, space in free.items() if kind_of(space) != "vector"]
    groups |= {name: {name: free.pop(name)} for name in alone}
    if free:
        groups[VECTORS] = groups.get(VECTORS, {}) | free
    if missing := [name for name in named if name not in groups]:
        raise FrameworkError(f"there is no modality {missing[0]!r}, but {_listed(groups)}, of {_listed(leaves)}")
    return groups


def _encoder(name: str, config: MultimodalConfig, context: Context) -> Encoder:
    if name in config.parts:
        if context.make_part is None:
            raise FrameworkError("multimodal needs a context that makes parts")
        return context.make_part(config.parts[name], context)
    kinds = {kind_of(space) for space in context.observation_space.values()}
    if kinds == {"vector"}:
        return MLP(MLPConfig(hidden=(config.width,), activation="relu"), context)
    # A grid has many tokens, which its convolutions have already told about their neighbours.
    depth = 0 if "image" in kinds else 1
    options = TransformerConfig(width=config.width, heads=config.heads, expansion=config.expansion, depth=depth)
    return Transformer(options, context)


def _masked(x: Tensor, there: Tensor) -> Tensor:
    """``x`` [T, N, ...], zero where it is absent: absent sensors may report NaN."""
    if not x.is_floating_point():
        return x
    return x.masked_fill(~there.view(*there.shape, *(1,) * (x.ndim - 2)), 0.0)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
