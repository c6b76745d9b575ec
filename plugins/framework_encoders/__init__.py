"""Encoders for vectors, images, tokens and several modalities; recurrent encoders and memory transformers."""

from framework import hookimpl
from framework.hookspecs import Register

#: Name, which is also that of the module -> class, what it supports, summary.
ENCODERS = {
    "mlp": ("MLP", (), "Multilayer perceptron over all observations that are no images."),
    "cnn": ("CNN", (), "Convolutional network of the Nature DQN paper (Mnih et al., 2015), for images."),
    "impala_cnn": ("ImpalaCNN", (), "Residual network of the IMPALA paper (Espeholt et al., 2018), for images."),
    "transformer": ("Transformer", (), "Transformer over tokens: feature vectors, ids or image patches."),
    "multimodal": ("Multimodal", (), "One encoder per modality, fused by cross-attention."),
    "gru": ("GRU", ("memory",), "Gated recurrent units (GRU) over another encoder."),
    "lstm": ("LSTM", ("memory",), "Long short-term memory (LSTM) over another encoder."),
    "transformer_memory": ("TransformerMemory", ("memory",), "Transformer over the last steps, over another encoder."),
}


@hookimpl
def register_encoders(register: Register) -> None:
    """Offer one encoder for each module of this package."""
    for name, (cls, supports, summary) in ENCODERS.items():
        module = "config" if name in ("mlp", "cnn", "impala_cnn") else "composite_config"  # no more than is needed
        config = f"framework_encoders.{module}:{cls}Config"
        register(name, f"framework_encoders.{name}:{cls}", config=config, summary=summary, supports=supports)
