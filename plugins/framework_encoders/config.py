"""Options of the encoders of vectors and images."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option

ACTIVATIONS = ("tanh", "relu", "elu", "leaky_relu", "gelu", "silu")
LAYOUTS = ("auto", "first", "last")
LAYOUT_HELP = 'Channel axis of images: "first", "last", or "auto", the shorter of the two.'
SCALE_HELP = "Divisor of integer pixels; float pixels are not scaled."


@frozen
class MLPConfig:
    """Options of `mlp`."""

    hidden: tuple[int, ...] = option(
        (64, 64), help="Width of each hidden layer; without any, features are the observations themselves.", ge=1
    )
    activation: str = option("tanh", help="Activation function of each layer.", choices=ACTIVATIONS)
    layer_norm: bool = option(False, help="Layer normalization before each activation.")


@frozen
class ImageConfig:
    """Options of every encoder of images."""

    features: int = option(512, help="Width of the fully connected layer after the convolutions.", ge=1)
    layout: str = option("auto", help=LAYOUT_HELP, choices=LAYOUTS)
    scale: float = option(255.0, help=SCALE_HELP, gt=0)
    hidden: tuple[int, ...] = option(
        (64,), help="Width of each hidden layer of the MLP for observations that are no images.", ge=1
    )


@frozen
class CNNConfig(ImageConfig):
    """Options of `cnn`; the defaults are the network of the Nature DQN paper."""

    channels: tuple[int, ...] = option((32, 64, 64), help="Output channels of each convolution.", ge=1)
    kernels: tuple[int, ...] = option((8, 4, 3), help="Kernel size of each convolution.", ge=1)
    strides: tuple[int, ...] = option((4, 2, 1), help="Stride of each convolution.", ge=1)
    layer_norm: bool = option(
        False, help="Layer normalization before each activation; of convolutions over the channels at each place."
    )

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
        (16, 32, 32), help="Output channels of each section; each halves height and width.", ge=1
    )

    def __attrs_post_init__(self) -> None:
        if not self.channels:
            raise OptionError("must have at least one section", "channels")
