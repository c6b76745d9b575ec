"""Running normalization of observations and of rewards; the learner owns the statistics."""

from __future__ import annotations

from typing import Any

from framework.interfaces import Batch, Context
from framework.toolkit.normalize import REWARD_CLIP, ReturnScale, RunningMoments
from framework.toolkit.state import copied
from framework_ppo.config import PPOConfig
from framework_ppo.policy import ActorCritic, normalized_leaves


class ObservationMoments:
    """Running mean and variance of each observation that is normalized."""

    def __init__(self, config: PPOConfig, context: Context):
        normalized = normalized_leaves(context) if config.normalize_observations else {}
        self._moments = {name: RunningMoments(space.shape, context.device) for name, space in normalized.items()}

    def update(self, batch: Batch, policy: ActorCritic) -> None:
        """Add the observations of a batch that was learned from, and update the policy's normalizers."""
        steps = batch.rewards.shape[0]
        for (name, moments), normalizer in zip(self._moments.items(), policy.normalizers, strict=True):
            moments.update(batch.observations[name][:steps][batch.valid])
            normalizer.set(moments)

    def state_dict(self) -> dict[str, Any]:
        """Of each observation, by name."""
        return {name: copied(moments.state_dict()) for name, moments in self._moments.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name, moments in self._moments.items():
            moments.load_state_dict(state[name])


def reward_normalizer(config: PPOConfig, context: Context) -> ReturnScale | None:
    """The reward normalizer; None where rewards are not normalized."""
    if not config.normalize_rewards:
        return None
    return ReturnScale(context.num_envs, config.gamma, config.reward_clip or REWARD_CLIP).to(context.device)
