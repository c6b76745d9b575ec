"""What algorithms share that learn from a replay buffer by temporal differences, with one value for all rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Stream
from framework.toolkit.optimizer import LossScale


class AddedBonuses:
    """Intrinsic rewards that are added to the environment's: their discount must be ``gamma``."""

    def __init__(self, context: Context, gamma: float, algorithm: str):
        """Builds the bonuses of the pipeline; raises `FrameworkError` where one has another discount."""
        self._streams: list[Stream] = context.make_streams() if context.make_streams is not None else []
        for stream in self._streams:
            if stream.discount != gamma:
                raise FrameworkError(
                    f"{algorithm} has one value for all rewards: the discount of the bonus {stream.name}, "
                    f"{stream.discount}, must be gamma, {gamma}; set discount in its [[bonus]]"
                )

    def add_to(self, rewards: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """``rewards`` plus weighted intrinsic rewards [T, N], and the metrics ``bonus/NAME/reward`` of the latter."""
        metrics = {}
        for stream in self._streams:
            bonus = stream.bonus.reward(batch)
            rewards = rewards + stream.weight * bonus
            metrics[f"bonus/{stream.name}/reward"] = (bonus * batch.valid).sum().item() / max(int(batch.valid.sum()), 1)
        return rewards, metrics

    def update(self, batch: Batch) -> dict[str, float]:
        """Update each bonus with the batch; returns metrics named ``bonus/NAME/...``."""
        metrics: dict[str, float] = {}
        for stream in self._streams:
            with torch.enable_grad():
                bonus_metrics = stream.bonus.update(batch)
            metrics |= {f"bonus/{stream.name}/{name}": value for name, value in bonus_metrics.items()}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """The state of each bonus, by the stream's name."""
        return {stream.name: stream.bonus.state_dict() for stream in self._streams}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for stream in self._streams:
            stream.bonus.load_state_dict(state[stream.name])


class UpdatesPerStep:
    """Counts the gradient steps that are due: ``updates_per_step`` for each environment step; fractions add up.

    None are due before ``learning_starts`` environment steps, and those before are not made up for.
    """

    def __init__(self, updates_per_step: float, learning_starts: int):
        self._updates_per_step, self._learning_starts = updates_per_step, learning_starts
        self._steps = 0  # of the environments, so far
        self._owed = 0.0  # gradient steps that are due, fractions included

    @property
    def started(self) -> bool:
        """Whether ``learning_starts`` environment steps have been counted."""
        return self._steps >= self._learning_starts

    def due(self, steps: int, stored: int) -> int:
        """The gradient steps to take after ``steps`` more; none while the replay buffer has nothing ``stored``."""
        self._steps += steps
        if not self.started or not stored:
            return 0
        self._owed += steps * self._updates_per_step
        count = int(self._owed)
        self._owed -= count
        return count

    def state_dict(self) -> dict[str, Any]:
        """Both counts."""
        return {"steps": self._steps, "owed": self._owed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave; other keys are ignored."""
        self._steps, self._owed = state["steps"], state["owed"]


def n_step_returns(rewards: Tensor, steps: Tensor, terminated: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Returns [B] of up to n steps, and the discounts [B] of the values that follow them.

    ``sum_k gamma^k * r_k`` and ``gamma^steps * (1 - terminated)``; ``rewards`` [B, n] are 0 from ``steps`` [B] on.
    """
    discounts = gamma ** torch.arange(rewards.shape[1] + 1, dtype=torch.float32, device=rewards.device)
    return rewards @ discounts[:-1], discounts[steps].masked_fill_(terminated, 0.0)


@torch.no_grad()
def move_target(target: nn.Module, network: nn.Module, tau: float) -> None:
    """Polyak averaging: move the target's parameters ``tau`` of the way to the network's; 1 copies. Buffers are copied.

    Lillicrap et al. (2016, arXiv:1509.02971), section 3.
    """
    old: list[Tensor] = [*target.parameters()]
    new: list[Tensor] = [*network.parameters()]
    if tau < 1.0:
        torch._foreach_lerp_(old, new, tau)
    else:
        torch._foreach_copy_(old, new)
    for buffer, now in zip(target.buffers(), network.buffers(), strict=True):
        buffer.copy_(now)


def mean_norm(norms: Sequence[Tensor], loss_scale: LossScale | None) -> Tensor:
    """Mean [] of the gradient norms [] of the steps that were taken; 0 where none was.

    With a loss scale, steps whose gradients overflowed were not taken.
    """
    taken = torch.stack(list(norms))
    if loss_scale is not None:
        taken = taken[taken.isfinite()]
    return taken.sum() / max(len(taken), 1)


def numbers(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Metrics [] by name as plain numbers, read from the device at once."""
    return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))
