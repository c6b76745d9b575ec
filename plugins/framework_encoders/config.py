"""Options of the encoders."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option

ACTIVATIONS = ("tanh", "relu", "elu", "leaky_relu")


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
    layout: str = option(
        "auto",
        help='Which axis of an image counts its channels: "first", "last", or "auto" for the shorter of the two.',
        choices=("auto", "first", "last"),
    )
    scale: float = option(255.0, help="Images of integers are divided by this; images of floats are taken as is.", gt=0)
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
