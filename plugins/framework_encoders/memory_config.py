"""Options of the encoders with memory."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from framework.schema import OptionError, option


@frozen
class MemoryConfig:
    """Options of every encoder with memory."""

    core: str | dict[str, Any] = option(
        "mlp", part="encoder", help="The encoder, itself without memory, that each observation goes through first."
    )


@frozen
class RecurrentConfig(MemoryConfig):
    """Options of every recurrent encoder."""

    features: int = option(64, help="Width of the memory, and of the features.", ge=1)


@frozen
class GRUConfig(RecurrentConfig):
    """Options of `gru`."""


@frozen
class LSTMConfig(RecurrentConfig):
    """Options of `lstm`."""


@frozen
class TransformerMemoryConfig(MemoryConfig):
    """Options of `transformer_memory`."""

    window: int = option(32, help="How many steps each block sees: the present one and those before it.", ge=2)
    width: int = option(64, help="Width of each block, and of the features.", ge=1)
    depth: int = option(2, help="Blocks of attention and feed-forward layers.", ge=1)
    heads: int = option(4, help="Attention heads; they divide the width.", ge=1)
    expansion: int = option(2, help="Width of the feed-forward layers, as a multiple of width.", ge=1)

    def __attrs_post_init__(self) -> None:
        if self.width % self.heads:
            raise OptionError(f"must divide width, which is {self.width}; is {self.heads}", "heads", "width")
