"""Encoders for vectors, images, tokens, and all of them together; and memories over them."""

from framework import hookimpl
from framework.hookspecs import Register

#: Name, which is also that of the module -> class, what it supports, summary.
ENCODERS = {
    "mlp": ("MLP", (), "Fully connected layers over everything that is not an image."),
    "cnn": ("CNN", (), "The convolutional network of the Nature DQN paper (Mnih et al., 2015), for images."),
    "impala_cnn": ("ImpalaCNN", (), "The residual network of the IMPALA paper (Espeholt et al., 2018)."),
    "transformer": ("Transformer", (), "Self-attention over tokens: numbers, ids or patches."),
    "multimodal": ("Multimodal", (), "An encoder for each modality, fused by attention."),
    "gru": ("GRU", ("memory",), "Gated recurrent units over any encoder: a memory."),
    "lstm": ("LSTM", ("memory",), "Long short-term memory over any encoder."),
    "transformer_memory": ("TransformerMemory", ("memory",), "Attention over the last steps, on any encoder."),
}


@hookimpl
def register_encoders(register: Register) -> None:
    """Offer one encoder for each module of this package."""
    for name, (cls, supports, summary) in ENCODERS.items():
        config = f"framework_encoders.config:{cls}Config"
        register(name, f"framework_encoders.{name}:{cls}", config=config, summary=summary, supports=supports)
