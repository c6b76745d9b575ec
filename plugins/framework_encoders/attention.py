"""Pre-norm transformer blocks over tokens of which some may be absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.networks import orthogonal


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017, arXiv:1706.03762)."""

    def __init__(self, width: int, heads: int, gain: float = 1.0):
        super().__init__()
        self._heads, self._width = heads, width
        self.projections = nn.Linear(width, 3 * width)  # of queries, keys and values
        for weight in self.projections.weight.chunk(3):
            nn.init.orthogonal_(weight)
        nn.init.zeros_(self.projections.bias)
        self.output = orthogonal(nn.Linear(width, width), gain)

    def forward(self, queries: Tensor, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """[B, Q, width] and [B, K, width] -> [B, Q, width]; see `attend` for ``present`` [B, K]."""
        if queries is tokens:
            parts = self.projections(tokens).chunk(3, -1)
        else:
            sizes = (self._width, 2 * self._width)
            weights, biases = self.projections.weight.split(sizes), self.projections.bias.split(sizes)
            query, keys_and_values = map(functional.linear, (queries, tokens), weights, biases)
            parts = (query, *keys_and_values.chunk(2, -1))
        attended = attend(*(x.unflatten(-1, (self._heads, -1)).transpose(1, 2) for x in parts), present)
        return self.output(attended.transpose(1, 2).flatten(2))


def attend(queries: Tensor, keys: Tensor, values: Tensor, present: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention: [B, H, Q, D] and twice [B, H, K, D] -> [B, H, Q, D].

    Tokens for which ``present`` [B, K] is false are masked, in gradients too; where all tokens of a row are, the result
    is zero.
    """
    if present is None:
        return functional.scaled_dot_product_attention(queries, keys, values)
    any_present = present.any(-1)[:, None, None, None]
    # A softmax over nothing has no value: where no token is present all are taken, and the result is dropped.
    mask = present[:, None, None, :] | ~any_present
    return functional.scaled_dot_product_attention(queries, keys, values, mask) * any_present


class FeedForward(nn.Module):
    """Two fully connected layers with a GELU between them and a residual connection, pre-norm."""

    def __init__(self, width: int, expansion: int, gain: float = 1.0):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden = orthogonal(nn.Linear(width, expansion * width))
        self.output = orthogonal(nn.Linear(expansion * width, width), gain)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> the same shape."""
        return x + self.output(functional.gelu(self.hidden(self.norm(x))))


class Block(nn.Module):
    """Transformer block: self-attention, then a feed-forward layer, each pre-norm with a residual connection.

    Pre-norm as in Xiong et al. (2020, arXiv:2002.04745), which needs no warm-up of the learning rate.
    ``gain`` is that of the weights that write to the residual stream; 1 / sqrt(2 * depth) keeps its scale.
    """

    def __init__(self, width: int, heads: int, expansion: int, gain: float = 1.0):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, gain)
        self.feed_forward = FeedForward(width, expansion, gain)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """[B, K, width] -> the same shape."""
        normed = self.norm(x)
        return self.feed_forward(x + self.attention(normed, normed, present))


class CrossBlock(nn.Module):
    """Cross-attention block: as `Block`, but queries attend to other tokens."""

    def __init__(self, width: int, heads: int, expansion: int, gain: float = 1.0):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.tokens_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, gain)
        self.feed_forward = FeedForward(width, expansion, gain)

    def forward(self, queries: Tensor, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """[B, Q, width] and [B, K, width] -> [B, Q, width]."""
        attended = self.attention(self.norm(queries), self.tokens_norm(tokens), present)
        return self.feed_forward(queries + attended)


def pooled(tokens: Tensor, present: Tensor | None = None) -> Tensor:
    """Mean of the tokens that are present, [B, K, width] -> [B, width]; zero where none are."""
    if present is None:
        return tokens.mean(1)
    masked = torch.where(present.unsqueeze(-1), tokens, 0.0)
    return masked.sum(1) / present.sum(1, keepdim=True).clamp(min=1)
