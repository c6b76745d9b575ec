"""The intrinsic curiosity module."""

from __future__ import annotations

import torch
from torch import nn

from framework.interfaces import Context
from framework_curiosity.actions import action_code
from framework_curiosity.config import ICMConfig
from framework_curiosity.curiosity import Curiosity, Judgement
from framework_curiosity.features import Features, regressor
from framework_curiosity.steps import Steps


class ICM(Curiosity):
    """Intrinsic curiosity module: the error of a forward model (Pathak et al., 2017, arXiv:1705.05363).

    With features phi(s), inverse model g and forward model f: ``L_I = -log p(a | g(phi(s), phi(s')))``,
    ``L_F = 1/2 * ||f(phi(s), a) - phi(s')||^2``, summed over the features; ``r = eta * L_F`` and
    ``loss = (1 - beta) * L_I + beta * L_F`` (equations 3 to 7). Both losses train phi: the forward loss makes it ignore
    what no action predicts.
    """

    def make_network(self, config: ICMConfig, context: Context) -> nn.Module:
        """Features, inverse and forward model."""
        return Models(config, context)


class Models(nn.Module):
    """Features, inverse model and forward model."""

    def __init__(self, config: ICMConfig, context: Context):
        super().__init__()
        self._eta, self._beta = config.eta, config.beta
        self.features = Features(config.encoder, context)
        self.code = action_code(context.action_space)
        width, actions = self.features.feature_dim, self.code.width
        # Small weights at the end: at first every action is as probable as the others.
        self.inverse = regressor(2 * width, config.hidden, actions, gain=0.01)
        self.dynamics = regressor(width + actions, config.hidden, width, gain=1.0)

    def forward(self, steps: Steps) -> Judgement:
        """Reward and both losses."""
        before, after, actions = self.features(steps.observations), self.features(steps.following), steps.actions
        inverse_loss = self.code.loss(self.inverse(torch.cat((before, after), -1)), actions)
        predicted = self.dynamics(torch.cat((before, self.code(actions)), -1))
        forward_loss = 0.5 * (predicted - after).square().sum(-1)
        return Judgement(
            self._eta * forward_loss,
            (1 - self._beta) * inverse_loss + self._beta * forward_loss,
            {"inverse_loss": inverse_loss, "forward_loss": forward_loss},
        )
