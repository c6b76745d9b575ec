"""Truncated quantile critics."""

from __future__ import annotations

import math

from framework.interfaces import Context
from framework_off_policy.config import TQCConfig
from framework_off_policy.critic import Critics
from framework_off_policy.objective import ActorObjective, CriticObjective, quantile_critic_loss, soft_actor_loss
from framework_off_policy.policy import GaussianActor, check_box
from framework_off_policy.sac import SAC
from framework_off_policy.soft import QuantileDraws, Soft


class TQC(SAC):
    """Truncated quantile critics (Kuznetsov et al., 2020, arXiv:2005.04269).

    Soft actor-critic with critics that tell quantiles of the return; targets leave out the largest of all critics',
    which holds values from being too high.
    """

    name = "tqc"
    supports = SAC.supports - {"action_mask"}

    @staticmethod
    def make_actor(config: TQCConfig, context: Context) -> GaussianActor:
        """A squashed normal distribution."""
        check_box(context, "tqc")
        return GaussianActor(config, context)

    @staticmethod
    def make_critics(config: TQCConfig, context: Context) -> Critics:
        """One output for each quantile."""
        return Critics(config, context, actions=math.prod(context.action_space.shape or ()), outputs=config.quantiles)

    def make_soft(self, config: TQCConfig) -> Soft:
        """Of quantiles."""
        assert isinstance(self.policy, GaussianActor)
        return QuantileDraws(self.policy, self.critics, config, self.generator)

    def default_objectives(self) -> tuple[CriticObjective, ActorObjective]:
        """See `framework_off_policy.objective`."""
        return quantile_critic_loss, soft_actor_loss
