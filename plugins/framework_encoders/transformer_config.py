"""Options of `transformer`."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option


@frozen
class TransformerConfig:
    """Options of `transformer`."""

    tokens: str | None = option(
        None,
        help="Name of the observation that holds the tokens, where more than one could: numbers [tokens, features], "
        "ids [tokens] or an image.",
    )
    types: str | None = option(None, help="Name of the observation with the type of each token, [tokens] integers.")
    padding: str | None = option(
        None, help="Name of the observation that is not zero where a token is only padding, [tokens]."
    )
    width: int = option(64, help="Width of each token, and of the features.", ge=1)
    depth: int = option(2, help="Blocks of self-attention and feed-forward layers; 0 only reads the tokens out.", ge=0)
    heads: int = option(4, help="Attention heads; they divide the width.", ge=1)
    expansion: int = option(2, help="Width of the feed-forward layers, as a multiple of width.", ge=1)
    readout: str = option(
        "mean",
        help='How tokens become features: "mean" of all, the "first" of the tokens, or "flatten": all side by side, '
        "through one fully connected layer.",
        choices=("mean", "first", "flatten"),
    )
    positions: bool | None = option(
        None, help="Whether tokens know their place; by default ids and patches of images do, numbers do not."
    )
    patch: int | None = option(
        None, help="Pixels along a side of the patches of an image; by default at most 8 x 8 patches.", ge=1
    )
    layout: str = option(
        "auto",
        help='Which axis of an image counts its channels: "first", "last", or "auto" for the shorter of the two.',
        choices=("auto", "first", "last"),
    )
    scale: float = option(255.0, help="Images of integers are divided by this; images of floats are taken as is.", gt=0)

    def __attrs_post_init__(self) -> None:
        if self.width % self.heads:
            raise OptionError(f"must divide width, which is {self.width}; is {self.heads}", "heads", "width")
