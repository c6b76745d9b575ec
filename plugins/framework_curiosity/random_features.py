"""Reconstruction error in fixed random features."""

from __future__ import annotations

from torch import nn

from framework.interfaces import Context
from framework.toolkit.networks import MLP
from framework_curiosity.config import RandomFeaturesConfig
from framework_curiosity.curiosity import Curiosity, Judgement
from framework_curiosity.features import Features, regressor
from framework_curiosity.steps import Steps


class RandomFeatures(Curiosity):
    """The reconstruction error of a state, in fixed random features phi.

    ``r = eta * ||phi(s) - phi(mu(s))||^2``, summed over the features. s is the encoding of the next observation by
    a fixed random encoder; mu is an autoencoder with a bottleneck, trained to minimise the error. Unlike random network
    distillation it reconstructs the state, and unlike an intrinsic curiosity module it ignores actions.
    """

    def make_network(self, config: RandomFeaturesConfig, context: Context) -> nn.Module:
        """Encoder, features and autoencoder."""
        return Reproduction(config, context)


class Reproduction(nn.Module):
    """A fixed encoder, fixed random features, and an autoencoder of the encoder's states."""

    def __init__(self, config: RandomFeaturesConfig, context: Context):
        super().__init__()
        self._eta = config.eta
        self.state = Features(config.encoder, context).requires_grad_(False)
        width = self.state.feature_dim
        self.phi = MLP(width, (config.features,), "relu").requires_grad_(False)
        self.mu = regressor(width, config.hidden, width)

    def forward(self, steps: Steps) -> Judgement:
        """The reward is the loss."""
        state = self.state(steps.following)
        reward = self._eta * (self.phi(state) - self.phi(self.mu(state))).square().sum(-1)
        return Judgement(reward, reward)
