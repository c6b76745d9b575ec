"""A transformer over the tokens of an observation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoding, Tensors
from framework.toolkit.networks import MLP
from framework_encoders.attention import Block, pooled
from framework_encoders.composite_config import TransformerConfig
from framework_encoders.tokens import Grid, Ids, Numbers, Placed, Vector, are_integers, check_integers, kind_of

Leaves = Mapping[str, spaces.Space]


class Transformer(nn.Module):
    """Pre-norm self-attention over all tokens of an observation (Vaswani et al., 2017, arXiv:1706.03762).

    Feature vectors [tokens, features], ids [tokens] and images give several tokens, any other leaf gives one. Without
    positional embeddings the tokens are an unordered set. `Encoding.tokens` has those of the leaf of tokens alone (all,
    where there is no such leaf), zero where they are padding.
    """

    def __init__(self, config: TransformerConfig, context: Context):
        super().__init__()
        leaves = context.observation_space
        self._main, self._padding, self._types = _roles(config, leaves)
        self._names = sorted(leaves.keys() - {self._padding, self._types}, key=lambda name: (name != self._main, name))
        self.sources = nn.ModuleList(_source(name, leaves[name], config) for name in self._names)
        self.types = None if self._types is None else Ids(self._types, leaves[self._types], config.width)
        counts = [source.count for source in self.sources]
        self._main_count = sum(counts) if self._main is None else counts[0]
        for name in (self._padding, self._types):
            if name is not None and leaves[name].shape != (self._main_count,):
                raise FrameworkError(
                    f"{self._main!r} has {self._main_count} tokens, so {name!r} cannot be {leaves[name]}"
                )
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.expansion, (2 * config.depth) ** -0.5) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self._readout = config.readout
        flat = config.readout == "flatten"
        self.flat = MLP(sum(counts) * config.width, (config.width,), "relu") if flat else None
        self.feature_dim = config.width

    def initial_memory(self, count: int) -> Tensors:
        """None: stateless."""
        return {}

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F] and tokens [T, N, K, F]."""
        rows = {name: x.flatten(0, 1) for name, x in observation.items()}
        tokens, present = self._tokens(rows)
        for block in self.blocks:
            tokens = block(tokens, present)
        tokens = self.norm(tokens)
        if present is not None:
            tokens = torch.where(present.unsqueeze(-1), tokens, 0.0)
        if self.flat is not None:
            features = self.flat(tokens.flatten(1))
        else:
            features = pooled(tokens, present) if self._readout == "mean" else tokens[:, 0]
        shape = first.shape
        main_tokens = tokens[:, : self._main_count].unflatten(0, shape)
        mask = None if present is None else present[:, : self._main_count].unflatten(0, shape)
        return Encoding(features.unflatten(0, shape), main_tokens, token_mask=mask), memory

    def _tokens(self, rows: Tensors) -> tuple[Tensor, Tensor | None]:
        """All tokens [B, K, width], those of the leaf of tokens first, and which are present [B, K]; None for all."""
        padding = None
        if self._padding is not None:
            padding = check_integers(self._padding, rows[self._padding]) != 0
        tokens = []
        for name, source in zip(self._names, self.sources, strict=True):
            x = rows[name]
            if name == self._main and padding is not None and x.is_floating_point():
                # Nothing times zero is zero, but for what is not a number: it must not get as far as the gradients.
                x = x.masked_fill(padding.unsqueeze(-1), 0.0)
            tokens.append(source(x))
        if self.types is not None:
            tokens[0] = tokens[0] + self.types(rows[self._types])
        joined = tokens[0] if len(tokens) == 1 else torch.cat(tokens, 1)
        if padding is None:
            return joined, None
        return joined, functional.pad(~padding, (0, joined.shape[1] - self._main_count), value=True)


def _roles(config: TransformerConfig, leaves: Leaves) -> tuple[str | None, str | None, str | None]:
    """The leaves of tokens, padding and types; raises `FrameworkError` where the options do not fit the leaves."""
    named = {key: name for key in ("tokens", "padding", "types") if (name := getattr(config, key)) is not None}
    for key, name in named.items():
        if name not in leaves:
            raise FrameworkError(f'{key} = "{name}" is no observation; there are {", ".join(sorted(leaves))}')
        if key != "tokens" and not are_integers(leaves[name]):
            raise FrameworkError(f'{key} = "{name}" must be integers, one for each token, not {leaves[name]}')
    candidates = [name for name in leaves if name not in named.values() and kind_of(leaves[name]) != "vector"]
    main = config.tokens or (candidates[0] if len(candidates) == 1 else None)
    if main is None and named:
        choice = f"one of {', '.join(sorted(candidates))}" if candidates else "of which there are none"
        raise FrameworkError(
            f"{' and '.join(named)} tell about tokens: set tokens to the observation with them, {choice}"
        )
    return main, config.padding, config.types


def _source(name: str, space: spaces.Space, config: TransformerConfig) -> nn.Module:
    """The embedding of a leaf."""
    kind, holds_tokens = kind_of(space), name == config.tokens
    if kind == "ids" or (holds_tokens and are_integers(space)):
        source: nn.Module = Ids(name, space, config.width)
    elif kind == "image":
        source = Grid(space, config.width, config.patch, config.layout, config.scale)
    elif kind == "numbers":
        source = Numbers(space, config.width)
    elif holds_tokens:
        raise FrameworkError(
            f'tokens = "{name}" must be numbers [tokens, features], integers [tokens] or an image, not {space}'
        )
    else:
        return Vector(space, config.width)
    placed = kind != "numbers" if config.positions is None else config.positions
    return Placed(source, config.width) if placed else source
