"""Reward streams: that of the environment, and one for each bonus, with values and advantages of its own.

Following Burda et al. (2018, arXiv:1810.12894, section 2.3): returns of different discounts, some of which go on where
an episode ends, cannot be told from their sum. So each stream has its own value head, and advantages are added:
``A = A_environment + sum(weight * A_bonus)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from framework.errors import FrameworkError
from framework.interfaces import Batch, Stream
from framework.toolkit.returns import gae, vtrace


class Estimate(NamedTuple):
    """Advantages and value targets."""

    advantages: Tensor  #: [T, N]
    returns: Tensor  #: [T, N]


def estimate(
    batch: Batch,
    rewards: Tensor,
    values: Tensor,
    final_values: Tensor,
    log_ratios: Tensor | None,
    *,
    gamma: float,
    lam: float,
    episodic: bool = True,
) -> Estimate:
    """Advantages and returns of one stream, by GAE, or by V-trace with ``log_ratios`` [T, N] of new to old policy.

    ``rewards`` [T, N], ``values`` [T + 1, N], ``final_values`` [K]. Where ``episodic`` is false, what comes after an
    episode is what comes after its last step: the first observation of the next episode is bootstrapped from, and
    nothing is cut. A step that only resets an environment then pays nothing, and is as long as any other.
    """
    if episodic:
        # A reset step follows a finished episode, where every sum is cut: what its own row would be is never used.
        episode = (batch.terminated, batch.truncated, batch.final_index, final_values)
    else:
        never = torch.zeros_like(batch.terminated)
        episode = (never, never, batch.final_index[:0], final_values[:0])
        values = torch.cat((torch.where(batch.valid, values[:-1], gamma * values[1:]), values[-1:]))
        if log_ratios is not None:
            log_ratios = log_ratios.masked_fill(~batch.valid, 0.0)
    if log_ratios is None:
        advantages = gae(rewards, values, *episode, gamma=gamma, lam=lam)
        return Estimate(advantages, advantages + values[:-1])
    advantages = gae(rewards, values, *episode, log_ratios, gamma=gamma, lam=lam)
    return Estimate(advantages, vtrace(rewards, values, *episode, log_ratios, gamma=gamma, lam=lam).targets)


class BonusStreams:
    """The reward streams of the bonuses."""

    def __init__(self, streams: Sequence[Stream]):
        self._streams = streams

    def rewards(self, batch: Batch) -> list[Tensor]:
        """Intrinsic rewards of each stream, [T, N]; raises `FrameworkError` where a bonus gives another shape."""
        return [_reward(stream, batch) for stream in self._streams]

    def combine(
        self,
        own: Estimate,
        batch: Batch,
        rewards: Sequence[Tensor],
        values: Tensor,
        final_values: Tensor,
        log_ratios: Tensor | None,
        lam: float,
    ) -> Estimate:
        """The sum of all streams' advantages, and the returns [T, N, S] of each stream.

        ``values`` [T + 1, N, S] and ``final_values`` [K, S] are of all streams, that of the environment first.
        """
        advantages, returns = own.advantages, [own.returns]
        for index, (stream, reward) in enumerate(zip(self._streams, rewards, strict=True), start=1):
            estimated = estimate(
                batch,
                reward,
                values[..., index],
                final_values[..., index],
                log_ratios,
                gamma=stream.discount,
                lam=lam,
                episodic=stream.bonus.episodic,
            )
            advantages = advantages + stream.weight * estimated.advantages
            returns.append(estimated.returns)
        return Estimate(advantages, torch.stack(returns, -1))

    def update(self, batch: Batch, rewards: Sequence[Tensor]) -> dict[str, float]:
        """Update each bonus with the batch; returns metrics named ``bonus/NAME/...``."""
        metrics: dict[str, float] = {}
        for stream, reward in zip(self._streams, rewards, strict=True):
            with torch.enable_grad():
                bonus_metrics = stream.bonus.update(batch)
            bonus_metrics = {"reward": reward[batch.valid].mean().item(), **bonus_metrics}
            metrics |= {f"bonus/{stream.name}/{name}": value for name, value in bonus_metrics.items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """The state of each bonus, by the stream's name."""
        return {stream.name: stream.bonus.state_dict() for stream in self._streams}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for stream in self._streams:
            stream.bonus.load_state_dict(state[stream.name])


def _reward(stream: Stream, batch: Batch) -> Tensor:
    reward = stream.bonus.reward(batch)
    if reward.shape != batch.rewards.shape:
        raise FrameworkError(
            f"bonus {stream.name}: reward() must give one number for each step, {list(batch.rewards.shape)},"
            f" and gave {list(reward.shape)}"
        )
    return reward.detach().to(batch.rewards.dtype)
