"""A transformer over the last steps of an episode, on top of another encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.interfaces import Context, Encoding
from framework_encoders.memory_config import TransformerMemoryConfig
from framework_encoders.recurrent import stateless_core

Tensors = dict[str, Tensor]


class TransformerMemory(nn.Module):
    """Layers of attention over the last ``window`` steps of the episode.

    As in Transformer-XL (Dai et al., 2019, arXiv:1901.02860) the memory holds what each layer took at the last
    ``window - 1`` steps, no gradient flows through it, and positions are relative: so that a pass over T steps and T
    passes over one step each give the same. Norms come before attention and fully connected layers, which for
    reinforcement learning is what makes transformers train (Parisotto et al., 2020, arXiv:1910.06764).

    Memory: ``inputs`` [N, depth, window - 1, width], zero where ``seen`` [N, window - 1] is false, as no step of this
    episode was there. Both end with the last step.
    """

    def __init__(self, config: TransformerMemoryConfig, context: Context):
        super().__init__()
        self.core = stateless_core(config.core, context)
        self.features = config.width
        self.project = nn.Linear(self.core.features, config.width)
        self.layers = nn.ModuleList(
            Layer(config.width, config.heads, config.window, config.depth) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(config.width)
        self._past = config.window - 1

    def initial_memory(self, count: int) -> Tensors:
        """No step seen: ``count`` environments, zeros."""
        weight = self.project.weight
        return {
            "inputs": weight.new_zeros(count, len(self.layers), self._past, self.features),
            "seen": torch.zeros(count, self._past, dtype=torch.bool, device=weight.device),
        }

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F] and the memory after T."""
        encoding, _ = self.core(observation, {}, first)
        # Episodes are numbered from the one that the memory is of; what is no step of it belongs to none.
        episodes = first.cumsum(0).t()
        episodes = torch.cat((torch.where(memory["seen"], 0, -1), episodes), 1)  # [N, past + T]
        seen = episodes[:, -self._past :] == episodes[:, -1:]

        x = self.project(encoding.features).to(torch.float32).transpose(0, 1)
        bands = Bands(episodes, self._past)
        kept = []
        for layer, past in zip(self.layers, memory["inputs"].detach().unbind(1), strict=True):
            known = torch.cat((past, x), 1)  # [N, past + T, width]
            kept.append(known[:, -self._past :].detach())
            x = layer(known, bands)
        features = self.norm(x).transpose(0, 1)
        inputs = torch.stack(kept, 1) * seen[:, None, :, None]
        return Encoding(features, encoding.tokens, encoding.losses), {"inputs": inputs, "seen": seen}


class Bands:
    """Which steps each step attends to: those of its own episode, itself and at most ``past`` before it.

    Steps are queried in blocks of B, at most ``past + 1`` of them, so that the work grows with T and not its square:
    a block's queries see the ``past + B`` steps that end with the block. T is filled up to whole blocks.
    """

    def __init__(self, episodes: Tensor, past: int):
        """``episodes`` [N, past + T]: a number for each step, the same for those of one episode."""
        steps = episodes.shape[1] - past
        self.past, self.steps = past, steps
        self.block = min(steps, past + 1)
        self.blocks = -(-steps // self.block)
        self.filling = self.blocks * self.block - steps
        # Steps that fill a block up attend to themselves alone: nothing to attend to would give NaN.
        episodes = functional.pad(episodes, (0, self.filling), value=-2)
        keys = episodes.unfold(1, past + self.block, self.block)
        queries = keys[:, :, past:]
        ahead = torch.arange(past + self.block, device=episodes.device) - torch.arange(
            self.block, device=episodes.device
        ).unsqueeze(1)
        #: [N * blocks, 1, B, past + B]
        self.hidden = (
            ((keys.unsqueeze(2) != queries.unsqueeze(3)) | (ahead < 0) | (ahead > past)).flatten(0, 1).unsqueeze(1)
        )

    def queries(self, x: Tensor) -> Tensor:
        """[N, T, heads, D] -> [N * blocks, heads, B, D]."""
        x = functional.pad(x, (0, 0, 0, 0, 0, self.filling))
        return x.unflatten(1, (self.blocks, self.block)).flatten(0, 1).transpose(1, 2)

    def keys(self, x: Tensor) -> Tensor:
        """[N, past + T, heads, D] -> [N * blocks, heads, past + B, D]."""
        x = functional.pad(x, (0, 0, 0, 0, 0, self.filling))
        return x.unfold(1, self.past + self.block, self.block).flatten(0, 1).transpose(2, 3)

    def steps_of(self, x: Tensor) -> Tensor:
        """What `queries` was given, from what attention made of it."""
        return x.transpose(1, 2).unflatten(0, (-1, self.blocks)).flatten(1, 2)[:, : self.steps]

    def aligned(self, scores: Tensor) -> Tensor:
        """Scores by distance [..., B, past + 1], the farthest first -> scores by key [..., B, past + B].

        Row ``i`` is moved ``i`` places to the right, by filling rows up and reading them again one place shorter.
        """
        rows = functional.pad(scores, (0, self.block)).flatten(-2)[..., : -self.block]
        return rows.unflatten(-1, (self.block, -1))


class Layer(nn.Module):
    """``x + attention(norm(x))``, then ``x + MLP(norm(x))``; the MLP is four times as wide."""

    def __init__(self, width: int, heads: int, window: int, depth: int):
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        # No bias: no softmax notices that of keys, and that of values is the output's.
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.positions = nn.Embedding(window, width)
        self.output = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        nn.init.normal_(self.positions.weight, std=(width // heads) ** -0.5)
        for linear in (self.query, self.key_value, self.output, self.mlp[0], self.mlp[2]):
            nn.init.xavier_uniform_(linear.weight)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        # So that the variance does not grow with the number of layers that add to the same sum.
        for linear in (self.output, self.mlp[2]):
            linear.weight.data.mul_((2 * depth) ** -0.5)

    def forward(self, known: Tensor, bands: Bands) -> Tensor:
        """Inputs [N, past + T, width] of all steps that are known -> outputs [N, T, width]."""
        x = known[:, bands.past :]
        normed = self.attention_norm(known)
        query = bands.queries(self.query(normed[:, bands.past :]).unflatten(-1, (self.heads, -1)))
        key, value = (bands.keys(part.unflatten(-1, (self.heads, -1))) for part in self.key_value(normed).chunk(2, -1))
        # Each key's score is query * (key + position), the position being that of its distance (Shaw et al., 2018).
        distances = query @ self.positions.weight.unflatten(-1, (self.heads, -1)).permute(1, 2, 0)
        bias = bands.aligned(distances / math.sqrt(query.shape[-1])).masked_fill(bands.hidden, -math.inf)
        mixed = functional.scaled_dot_product_attention(query, key, value, bias)
        x = x + self.output(bands.steps_of(mixed).flatten(-2))
        return x + self.mlp(self.mlp_norm(x))
