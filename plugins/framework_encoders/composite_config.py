"""Options of the encoders over tokens and modalities, and of those with a memory."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from framework.schema import OptionError, option
from framework_encoders.config import LAYOUT_HELP, LAYOUTS, SCALE_HELP


@frozen
class TransformerConfig:
    """Options of `transformer`."""

    tokens: str | None = option(
        None,
        help="Name of the observation with the tokens, where several could be: feature vectors [tokens, features], "
        "ids [tokens] or an image.",
    )
    types: str | None = option(None, help="Name of the observation with the type ids of the tokens, [tokens].")
    padding: str | None = option(
        None, help="Name of the observation with the padding mask, [tokens]: not zero where a token is padding."
    )
    width: int = option(64, help="Width of each token, and of the features.", ge=1)
    depth: int = option(2, help="Transformer blocks; 0 pools the embedded tokens.", ge=0)
    heads: int = option(4, help="Attention heads; must divide width.", ge=1)
    expansion: int = option(2, help="Hidden width of the feed-forward layers, as a multiple of width.", ge=1)
    readout: str = option(
        "mean",
        help='Pooling of the tokens: their "mean", the "first", or "flatten": all concatenated, through one fully'
        " connected layer.",
        choices=("mean", "first", "flatten"),
    )
    positions: bool | None = option(
        None, help="Whether positional embeddings are added; by default to ids and image patches only."
    )
    patch: int | None = option(
        None, help="Side of image patches, in pixels; by default such that there are at most 8 x 8 patches.", ge=1
    )
    layout: str = option("auto", help=LAYOUT_HELP, choices=LAYOUTS)
    scale: float = option(255.0, help=SCALE_HELP, gt=0)

    def __attrs_post_init__(self) -> None:
        _check_heads(self.width, self.heads)


@frozen
class MultimodalConfig:
    """Options of `multimodal`."""

    parts: dict[str, str | dict[str, Any]] = option(
        factory=dict,
        help="Encoder of each modality: of an observation, or of all observations whose names start with NAME/. "
        "By default transformer for tokens and images, and one mlp for all other observations.",
        part="encoder",
    )
    present: dict[str, str] = option(
        factory=dict,
        help="Presence flag of each modality that may be absent: a Discrete or MultiBinary observation, 0 where it is.",
    )
    width: int = option(64, help="Width of each token.", ge=1)
    depth: int = option(2, help="Cross-attention blocks.", ge=1)
    heads: int = option(4, help="Attention heads; must divide width.", ge=1)
    expansion: int = option(2, help="Hidden width of the feed-forward layers, as a multiple of width.", ge=1)
    features: int = option(128, help="Width of the fully connected layer at the end.", ge=1)
    align: tuple[str, str] | None = option(None, help="Two modalities to align by a contrastive loss, as in CLIP.")
    align_weight: float = option(0.1, help="Coefficient of the contrastive loss.", gt=0)

    def __attrs_post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        if self.align and self.align[0] == self.align[1]:
            raise OptionError("must be two different modalities", "align")


@frozen
class MemoryConfig:
    """Options of every encoder with memory."""

    core: str | dict[str, Any] = option(
        "mlp", part="encoder", help="Encoder of single observations below the memory; it has none itself."
    )


@frozen
class RecurrentConfig(MemoryConfig):
    """Options of every recurrent encoder."""

    features: int = option(64, help="Size of the hidden state, and of the features.", ge=1)


@frozen
class GRUConfig(RecurrentConfig):
    """Options of `gru`."""


@frozen
class LSTMConfig(RecurrentConfig):
    """Options of `lstm`."""


@frozen
class TransformerMemoryConfig(MemoryConfig):
    """Options of `transformer_memory`."""

    window: int = option(32, help="Context length: steps that each block attends to, the current one included.", ge=2)
    width: int = option(64, help="Width of each block, and of the features.", ge=1)
    depth: int = option(2, help="Transformer blocks.", ge=1)
    heads: int = option(4, help="Attention heads; must divide width.", ge=1)
    expansion: int = option(2, help="Hidden width of the feed-forward layers, as a multiple of width.", ge=1)

    def __attrs_post_init__(self) -> None:
        _check_heads(self.width, self.heads)


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise OptionError(f"must divide width, which is {width}; is {heads}", "heads", "width")
