"""Random network distillation."""

from __future__ import annotations

from torch import Tensor, nn

from framework.interfaces import Context, Tensors
from framework_curiosity.config import RNDConfig
from framework_curiosity.curiosity import Curiosity, Judgement
from framework_curiosity.features import Features, regressor
from framework_curiosity.steps import Steps


class RND(Curiosity):
    """Random network distillation (Burda et al., 2018, arXiv:1810.12894).

    ``r = mean over features of (predictor(s') - target(s'))^2``, s' being the next observation. The target is fixed
    and random; the predictor has some layers more.
    """

    def make_network(self, config: RNDConfig, context: Context) -> nn.Module:
        """Target and predictor."""
        return Distillation(config, context)


class Distillation(nn.Module):
    """The random target network and its predictor."""

    def __init__(self, config: RNDConfig, context: Context):
        super().__init__()
        self.target = _Network(config, (), context).requires_grad_(False)
        self.predictor = _Network(config, config.hidden, context)

    def forward(self, steps: Steps) -> Judgement:
        """The reward is the loss."""
        following = steps.following
        error = (self.predictor(following) - self.target(following)).square().mean(-1)
        return Judgement(error, error)


class _Network(nn.Module):
    def __init__(self, config: RNDConfig, hidden: tuple[int, ...], context: Context):
        super().__init__()
        self.body = Features(config.encoder, context)
        self.head = regressor(self.body.feature_dim, hidden, config.features)

    def forward(self, observations: Tensors) -> Tensor:
        out: Tensor = self.head(self.body(observations))
        return out
