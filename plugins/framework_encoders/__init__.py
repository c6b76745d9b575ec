"""Encoders for vectors and images."""

from framework import hookimpl
from framework.hookspecs import Register

SUMMARIES = {
    "mlp": ("MLP", "Fully connected layers over everything that is not an image."),
    "cnn": ("CNN", "The convolutional network of the Nature DQN paper (Mnih et al., 2015), for images."),
    "impala_cnn": ("ImpalaCNN", "The residual network of the IMPALA paper (Espeholt et al., 2018), for images."),
}


@hookimpl
def register_encoders(register: Register) -> None:
    """Offer one encoder for each module of this package."""
    for name, (cls, summary) in SUMMARIES.items():
        config = f"framework_encoders.config:{cls}Config"
        register(name, f"framework_encoders.{name}:{cls}", config=config, summary=summary)
