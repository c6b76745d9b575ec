"""A transformer over the last steps of an episode, over another encoder."""

from __future__ import annotations

import math

import torch
from attrs import evolve
from torch import Tensor, nn
from torch.nn import functional

from framework.interfaces import Context, Encoding, Tensors
from framework.toolkit.networks import orthogonal
from framework_encoders.attention import FeedForward
from framework_encoders.composite_config import TransformerMemoryConfig
from framework_encoders.recurrent import stateless_core


class TransformerMemory(nn.Module):
    """Transformer layers over the last ``window`` steps of the episode.

    As in Transformer-XL (Dai et al., 2019, arXiv:1901.02860) the memory holds each layer's inputs at the last
    ``window - 1`` steps, without gradient, and positions are relative: so one pass over T steps equals T passes over
    one step each. Layers are pre-norm, which makes transformers train in reinforcement learning (Parisotto et al.,
    2020, arXiv:1910.06764).

    Memory: ``inputs`` [N, depth, window - 1, width], zero where ``seen`` [N, window - 1] is false, as no step of this
    episode was there. Both end with the last step.
    """

    def __init__(self, config: TransformerMemoryConfig, context: Context):
        super().__init__()
        self.core = stateless_core(config.core, context)
        self.feature_dim = config.width
        self.project = orthogonal(nn.Linear(self.core.feature_dim, config.width), 1.0)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self._past = config.window - 1

    def initial_memory(self, count: int) -> Tensors:
        """No past steps: zeros for ``count`` environments."""
        weight = self.project.weight
        return {
            "inputs": weight.new_zeros(count, len(self.layers), self._past, self.feature_dim),
            "seen": torch.zeros(count, self._past, dtype=torch.bool, device=weight.device),
        }

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F] and the memory after T."""
        encoding, _ = self.core(observation, {}, first)
        bands = Bands(memory["seen"], first)
        x = bands.filled(self.project(encoding.features).to(torch.float32).transpose(0, 1))
        kept = []
        for layer, past in zip(self.layers, memory["inputs"].detach().unbind(1), strict=True):
            inputs = torch.cat((past, x), 1)  # [N, past + T, width]
            kept.append(inputs[:, bands.steps : bands.steps + bands.past].detach())
            x = layer(inputs, bands)
        features = self.norm(x)[:, : bands.steps].transpose(0, 1)
        last_inputs = torch.stack(kept, 1) * bands.seen[:, None, :, None]
        return evolve(encoding, features=features), {"inputs": last_inputs, "seen": bands.seen}


class Bands:
    """Attention mask: each step attends to itself and at most ``past`` steps before it, of the same episode.

    Steps are queried in blocks of B, at most ``past + 1`` of them, so that the work grows with T and not its square:
    a block's queries see the ``past + B`` steps that end with the block. T is filled up to whole blocks; below it
    stands for the number of steps after that.
    """

    seen: Tensor  #: [N, past] bool: which of the last steps belong to the episode that goes on after T

    def __init__(self, seen: Tensor, first: Tensor):
        """``seen`` [N, past]: which of the steps before belong to the episode that goes on; ``first`` [T, N]."""
        self.steps, self.past = len(first), seen.shape[1]
        self.blocks = -(-self.steps // (self.past + 1))
        self.block = -(-self.steps // self.blocks)
        self._filling = self.blocks * self.block - self.steps
        # Episodes are numbered from the one that goes on; what belongs to none of them has a number of its own.
        episodes = torch.cat((torch.where(seen, 0, -1), first.cumsum(0).t()), 1)
        self.seen = episodes[:, -self.past :] == episodes[:, -1:]
        keys = functional.pad(episodes, (0, self._filling), value=-2).unfold(1, self.past + self.block, self.block)
        queries = keys[:, :, self.past :]
        step = torch.arange(self.past + self.block, device=seen.device)
        distance = step[self.past :].unsqueeze(1) - step
        hidden = (keys.unsqueeze(2) != queries.unsqueeze(3)) | (distance < 0) | (distance > self.past)
        #: [N * blocks, 1, B, past + B]: what a query does not attend to
        self.hidden = hidden.flatten(0, 1).unsqueeze(1)

    def filled(self, x: Tensor) -> Tensor:
        """[N, steps, width] -> [N, T, width]."""
        return functional.pad(x, (0, 0, 0, self._filling)) if self._filling else x

    def queries(self, x: Tensor) -> Tensor:
        """[N, T, heads, D] -> [N * blocks, heads, B, D]."""
        return x.reshape(-1, self.block, *x.shape[2:]).transpose(1, 2)

    def keys(self, x: Tensor) -> Tensor:
        """[N, past + T, heads, D] -> [N * blocks, heads, past + B, D]."""
        return x.unfold(1, self.past + self.block, self.block).flatten(0, 1).transpose(2, 3)

    def in_order(self, x: Tensor) -> Tensor:
        """[N * blocks, heads, B, D] -> [N, T, heads, D]."""
        return x.transpose(1, 2).reshape(-1, self.blocks * self.block, x.shape[1], x.shape[3])

    def aligned(self, scores: Tensor) -> Tensor:
        """Relative shift: scores by distance [..., B, past + 1], farthest first -> by key [..., B, past + B].

        Row ``i`` is moved ``i`` places to the right, by filling rows up and reading them again one place shorter.
        What comes to stand beyond the distances is of no meaning, and hidden.
        """
        rows = functional.pad(scores, (0, self.block)).flatten(-2)[..., : -self.block]
        return rows.reshape(*scores.shape[:-1], self.past + self.block)


class Layer(nn.Module):
    """Transformer layer: ``x + attention(norm(x))``, then a `FeedForward`."""

    def __init__(self, config: TransformerMemoryConfig):
        super().__init__()
        width, self._heads = config.width, config.heads
        gain = (2 * config.depth) ** -0.5  # so that what layers add to one sum does not grow with their number
        self.norm = nn.LayerNorm(width)
        self.queries = orthogonal(nn.Linear(width, width), 1.0)
        # No bias: no softmax notices that of keys, and that of values is the output's.
        self.keys_and_values = orthogonal(nn.Linear(width, 2 * width, bias=False), 1.0)
        self.positions = nn.Embedding(config.window, width)
        nn.init.normal_(self.positions.weight, std=(width // self._heads) ** -0.5)
        self.output = orthogonal(nn.Linear(width, width), gain)
        self.feed_forward = FeedForward(width, config.expansion, gain)

    def forward(self, inputs: Tensor, bands: Bands) -> Tensor:
        """Inputs [N, past + T, width] of past and current steps -> outputs [N, T, width]."""
        normed = self.norm(inputs)
        query = bands.queries(self._by_head(self.queries(normed[:, bands.past :])))
        key, value = (bands.keys(self._by_head(x)) for x in self.keys_and_values(normed).chunk(2, -1))
        # Each key's score is query * (key + position), the position being that of its distance (Shaw et al., 2018).
        query = query * query.shape[-1] ** -0.5
        distances = query @ self._by_head(self.positions.weight).permute(1, 2, 0)
        mask = bands.aligned(distances).masked_fill(bands.hidden, -math.inf)
        attended = functional.scaled_dot_product_attention(query, key, value, mask, scale=1.0)
        x = inputs[:, bands.past :] + self.output(bands.in_order(attended).flatten(-2))
        mixed: Tensor = self.feed_forward(x)
        return mixed

    def _by_head(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., heads, D]."""
        return x.view(*x.shape[:-1], self._heads, -1)
