"""Curiosity in fixed random features."""

from __future__ import annotations

from torch import nn

from framework.interfaces import Context
from framework.toolkit.networks import MLP
from framework_curiosity.config import RandomFeaturesConfig
from framework_curiosity.curiosity import Curiosity, Judgement
from framework_curiosity.features import Features, regressor
from framework_curiosity.steps import Steps


class RandomFeatures(Curiosity):
    """The distance of a state from its reproduction, as fixed random features phi see both.

    ``r = eta * ||phi(s) - phi(mu(s))||^2``, summed over the features. s is what a fixed random encoder makes of the
    observation that the step led to; mu has narrow layers and learns to make the distance small. It is not random
    network distillation, where nothing is reproduced and the predictor's output is itself compared, nor an intrinsic
    curiosity module, as no action has a part in it.
    """

    def make_network(self, config: RandomFeaturesConfig, context: Context) -> nn.Module:
        """State, features and reproduction."""
        return Reproduction(config, context)


class Reproduction(nn.Module):
    """A fixed encoder, fixed random features, and what learns to reproduce the encoder's states."""

    def __init__(self, config: RandomFeaturesConfig, context: Context):
        super().__init__()
        self._eta = config.eta
        self.state = Features(config.encoder, context).requires_grad_(False)
        width = self.state.features
        self.phi = MLP(width, (config.features,), "relu").requires_grad_(False)
        self.mu = regressor(width, config.hidden, width)

    def forward(self, steps: Steps) -> Judgement:
        """The reward is the loss."""
        state = self.state(steps.following)
        reward = self._eta * (self.phi(state) - self.phi(self.mu(state))).square().sum(-1)
        return Judgement(reward, reward)
