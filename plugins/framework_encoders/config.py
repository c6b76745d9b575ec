"""Options of the encoders."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from framework.schema import OptionError, option

ACTIVATIONS = ("tanh", "relu", "elu", "leaky_relu")
LAYOUTS = ("auto", "first", "last")
_LAYOUT_HELP = 'Which axis of an image counts its channels: "first", "last", or "auto" for the shorter of the two.'
_SCALE_HELP = "Images of integers are divided by this; images of floats are taken as is."


@frozen
class MLPConfig:
    """Options of `mlp`."""

    hidden: tuple[int, ...] = option((64, 64), help="Width of each layer.", ge=1)
    activation: str = option("tanh", help="Function applied after each layer.", choices=ACTIVATIONS)

    def __attrs_post_init__(self) -> None:
        if not self.hidden:
            raise OptionError("must have at least one layer", "hidden")


@frozen
class ImageConfig:
    """Options of every encoder of images."""

    features: int = option(512, help="Width of the fully connected layer after the convolutions.", ge=1)
    layout: str = option("auto", help=_LAYOUT_HELP, choices=LAYOUTS)
    scale: float = option(255.0, help=_SCALE_HELP, gt=0)
    hidden: tuple[int, ...] = option(
        (64,), help="Width of each fully connected layer for observations that are no images.", ge=1
    )


@frozen
class CNNConfig(ImageConfig):
    """Options of `cnn`; the defaults are the network of the Nature DQN paper."""

    channels: tuple[int, ...] = option((32, 64, 64), help="Channels of each convolution.", ge=1)
    kernels: tuple[int, ...] = option((8, 4, 3), help="Kernel size of each convolution.", ge=1)
    strides: tuple[int, ...] = option((4, 2, 1), help="Stride of each convolution.", ge=1)

    def __attrs_post_init__(self) -> None:
        if not self.channels:
            raise OptionError("must have at least one convolution", "channels")
        for name in ("kernels", "strides"):
            if len(getattr(self, name)) != len(self.channels):
                raise OptionError(f"must be as many as channels ({len(self.channels)})", name)


@frozen
class ImpalaCNNConfig(ImageConfig):
    """Options of `impala_cnn`; the defaults are the deep network of the IMPALA paper."""

    features: int = option(256, help="Width of the fully connected layer after the convolutions.", ge=1)
    channels: tuple[int, ...] = option(
        (16, 32, 32), help="Channels of each section; each halves the image's sides.", ge=1
    )

    def __attrs_post_init__(self) -> None:
        if not self.channels:
            raise OptionError("must have at least one section", "channels")


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
    layout: str = option("auto", help=_LAYOUT_HELP, choices=LAYOUTS)
    scale: float = option(255.0, help=_SCALE_HELP, gt=0)

    def __attrs_post_init__(self) -> None:
        _check_heads(self.width, self.heads)


@frozen
class MultimodalConfig:
    """Options of `multimodal`."""

    parts: dict[str, str | dict[str, Any]] = option(
        factory=dict,
        help="The encoder of each modality: of an observation, or of all observations whose names start with NAME/. "
        "By default transformer for tokens and images, mlp for all other observations together.",
        part="encoder",
    )
    present: dict[str, str] = option(
        factory=dict,
        help="For modalities that may be absent: the observation that tells, 0 where it is. It is Discrete or "
        "MultiBinary.",
    )
    width: int = option(64, help="Width of each token.", ge=1)
    depth: int = option(2, help="Blocks in which modalities look at all tokens.", ge=1)
    heads: int = option(4, help="Attention heads; they divide the width.", ge=1)
    expansion: int = option(2, help="Width of the feed-forward layers, as a multiple of width.", ge=1)
    features: int = option(128, help="Width of the fully connected layer at the end.", ge=1)
    align: tuple[str, str] | None = option(
        None, help="Two modalities to align: those of one observation are told from those of others, as in CLIP."
    )
    align_weight: float = option(0.1, help="Factor of the loss of the alignment.", gt=0)

    def __attrs_post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        if self.align and self.align[0] == self.align[1]:
            raise OptionError("must be two different modalities", "align")


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
        _check_heads(self.width, self.heads)


def _check_heads(width: int, heads: int) -> None:
    if width % heads:
        raise OptionError(f"must divide width, which is {width}; is {heads}", "heads", "width")
