"""Multilayer perceptron over all observations that are no images."""

from __future__ import annotations

from torch import Tensor, nn

from framework.interfaces import Context, Encoding, Tensors
from framework.toolkit import networks
from framework.toolkit.vjp import Pullback, rule, vjp
from framework_encoders.config import MLPConfig
from framework_encoders.vectors import Vectors


class MLP(nn.Module):
    """Fully connected layers over all leaves of the observation as one vector (see `Vectors`).

    Weights are orthogonal with gain sqrt(2), as in "The 37 implementation details of PPO" (Huang et al., 2022).
    """

    def __init__(self, config: MLPConfig, context: Context):
        super().__init__()
        self.vectors = Vectors(context.observation_space)
        layers = networks.LayerNormMLP if config.layer_norm else networks.MLP
        self.layers = layers(self.vectors.width, config.hidden, config.activation)
        self.feature_dim = self.layers.feature_dim

    def initial_memory(self, count: int) -> Tensors:
        """None: stateless."""
        return {}

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F]."""
        return Encoding(self.layers.forward(self.vectors(observation))), memory


@rule(MLP)
def _(encoder: MLP, observation: Tensors) -> tuple[Tensor, Pullback]:
    features, pullback = vjp(encoder.layers, encoder.vectors(observation).flatten(0, 1))
    return features, pullback
