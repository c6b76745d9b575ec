"""What an update learns from each step of a batch: advantages and returns, of rewards that are normalized."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from framework.interfaces import Batch, Context
from framework_ppo.config import PPOConfig
from framework_ppo.imitation import SelfImitation
from framework_ppo.normalization import reward_normalizer
from framework_ppo.objective import Targets
from framework_ppo.policy import ActorCritic
from framework_ppo.streams import BonusStreams, estimate


class TargetEstimator:
    """Estimates the targets of batches that ``policy``, or an older version of it, has collected.

    Off-policy data is corrected by the clipped objective alone, except with ``policy_lag = "free"``, where V-trace
    corrects returns and advantages.
    """

    def __init__(
        self,
        config: PPOConfig,
        context: Context,
        policy: ActorCritic,
        streams: BonusStreams | None,
        imitation: SelfImitation | None,
    ):
        self._config = config
        self._continued = context.policy_lag != "free"
        self._policy = policy
        self._streams = streams
        self._imitation = imitation
        self.return_scale = reward_normalizer(config, context)  #: None where rewards stay as they are

    def __call__(self, batch: Batch, bonuses: Sequence[Tensor]) -> Targets:
        """The targets of each step, [T, N]; stores the batch for self-imitation, too.

        ``bonuses`` are the intrinsic rewards [T, N], one tensor per bonus.
        """
        policy, gamma, lam = self._policy, self._config.gamma, self._config.gae_lambda
        actions = policy.taken(batch.actions, batch.extras)
        log_prob, log_ratios = batch.extras["log_probability"], None
        values, final_values = batch.extras["value"], batch.extras["final_value"]
        if batch.lag and not self._continued:
            log_ratios = policy.distribution.log_prob(policy.batch_parameters(batch), actions) - log_prob
            values, final_values = policy.batch_values(batch)
        environment_values = (values[..., 0], final_values[..., 0]) if self._streams else (values, final_values)
        rewards = self._rewards(batch)
        if self._imitation:
            self._imitation.add(batch, rewards, *environment_values)
        estimated = estimate(batch, rewards, *environment_values, log_ratios, gamma=gamma, lam=lam)
        if self._streams:
            estimated = self._streams.combine(estimated, batch, bonuses, values, final_values, log_ratios, lam)
        return Targets(actions, log_prob, estimated.advantages, values[:-1], estimated.returns)

    def _rewards(self, batch: Batch) -> Tensor:
        rewards, bound = batch.rewards, self._config.reward_clip
        if self.return_scale is not None:
            done = batch.terminated | batch.truncated
            rewards = self.return_scale(rewards, done, batch.valid, continued=self._continued)
        return rewards if bound is None else rewards.clamp(-bound, bound)
