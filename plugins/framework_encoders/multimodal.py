"""Several modalities, each with an encoder of its own, fused by cross-attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framework.interfaces import Context, Encoding, Tensors
from framework.toolkit.networks import MLP
from framework_encoders.alignment import Alignment, same_rows
from framework_encoders.attention import CrossBlock, pooled
from framework_encoders.composite_config import MultimodalConfig
from framework_encoders.images import is_image
from framework_encoders.modality import Encoded, Modality, modalities
from framework_encoders.tokens import embedding


class Multimodal(nn.Module):
    """One query per modality attends to the tokens of all modalities.

    A query is the mean of its modality's tokens plus a learned embedding of the modality. Tokens of an absent modality
    are masked, and its query is the embedding alone. The concatenated queries go through a fully connected layer.
    """

    def __init__(self, config: MultimodalConfig, context: Context):
        super().__init__()
        groups = modalities(config, context.observation_space)
        self.modalities = nn.ModuleList(Modality(name, leaves, config, context) for name, leaves in groups.items())
        gain = (2 * config.depth) ** -0.5
        self.blocks = nn.ModuleList(
            CrossBlock(config.width, config.heads, config.expansion, gain) for _ in range(config.depth)
        )
        self.kinds = embedding(len(groups), config.width)
        self.norm = nn.LayerNorm(config.width)
        self.head = MLP(len(groups) * config.width, (config.features,), "relu")
        self.feature_dim = config.features
        self._align_weight = config.align_weight
        names = list(groups)
        self._aligned = tuple(names.index(name) for name in config.align or ())
        self.alignment = Alignment(config.width) if config.align else None

    def initial_memory(self, count: int) -> Tensors:
        """None: stateless."""
        return {}

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F], and the auxiliary losses of alignment and parts."""
        encoded = [modality(observation, first) for modality in self.modalities]
        means = torch.stack([pooled(part.tokens, part.present) for part in encoded], 1)
        kinds = self.kinds.weight
        queries = means + kinds
        tokens = torch.cat([part.tokens + kind for part, kind in zip(encoded, kinds, strict=True)], 1)
        present = None
        if any(part.present is not None for part in encoded):
            present = torch.cat([_presence(part) for part in encoded], 1)
        for block in self.blocks:
            queries = block(queries, tokens, present)
        features = self.head(self.norm(queries).flatten(1)).unflatten(0, first.shape)
        return Encoding(features, losses=self._losses(observation, encoded, means)), memory

    def _losses(self, observation: Tensors, encoded: list[Encoded], means: Tensor) -> Tensors:
        losses = {
            f"{modality.name}/{name}": loss
            for modality, part in zip(self.modalities, encoded, strict=True)
            for name, loss in part.encoding.losses.items()
        }
        if self.alignment is not None and self.training and torch.is_grad_enabled():
            losses["alignment"] = self._align_weight * self._alignment_loss(observation, encoded, means)
        return losses

    def _alignment_loss(self, observation: Tensors, encoded: list[Encoded], means: Tensor) -> Tensor:
        """Contrastive loss over rows with both modalities.

        Rows with equal observations of a modality without images, such as captions, are positives.
        """
        there = torch.stack([_presence(encoded[index]).any(1) for index in self._aligned]).all(0)
        left, right = (means[there, index] for index in self._aligned)
        positives = torch.eye(len(left), dtype=torch.bool, device=left.device)
        for index in self._aligned:
            leaves = self.modalities[index].leaves
            if not any(is_image(space) for space in leaves.values()):
                captions = (observation[name].flatten(0, 1)[there].unsqueeze(-1).flatten(1) for name in leaves)
                positives = positives | same_rows(torch.cat([x.to(torch.float64) for x in captions], 1))
        return self.alignment(left, right, positives)


def _presence(part: Encoded) -> Tensor:
    """Which tokens are present, [B, K] bool."""
    if part.present is not None:
        return part.present
    return torch.ones(part.tokens.shape[:2], dtype=torch.bool, device=part.tokens.device)
