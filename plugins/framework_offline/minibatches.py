"""Gradient steps on minibatches of a replay buffer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Transitions
from framework.toolkit.off_policy import UpdatesPerStep, mean_norm, numbers
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.schedules import scheduled
from framework_offline.config import BCConfig
from framework_offline.objective import Loss


class Step(NamedTuple):
    """What one gradient step minimises."""

    loss: Loss
    auxiliary: list[Tensor]  #: the encoders' own losses, []
    errors: Tensor | None = None  #: [B] whose absolute values are the priorities of the transitions


class Minibatches:
    """The replay buffer, the optimizer of ``module``, and all else that gradient steps depend on."""

    def __init__(self, config: BCConfig, context: Context, module: nn.Module, algorithm: str):
        if context.make_replay is None:
            raise FrameworkError(
                f'{algorithm} learns from a replay buffer: add [replay] with use = "minari" to the pipeline'
            )
        self._config = config
        self.replay = context.make_replay()
        self._device = context.device
        self._optimizer = FlatOptimizer(
            module,
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
            max_norm=config.max_gradient_norm or None,
        )
        self._loss_scale = LossScale(context.device) if context.precision == "float16" else None
        self._rng = np.random.default_rng(context.seed)
        self._updates = UpdatesPerStep(config.updates_per_step, 0)

    @torch.no_grad()
    def learn(
        self,
        steps: int,
        progress: float,
        step: Callable[[Transitions, Tensor], Step],
        after: Callable[[], None] = lambda: None,
    ) -> dict[str, float]:
        """Take the gradient steps that are due for ``steps``; returns metrics.

        ``step`` makes the loss of transitions and their importance weights [B], with gradient recording; ``after`` is
        called after each gradient step.
        """
        self._optimizer.check()
        count = self._updates.due(steps, stored=len(self.replay))
        learning_rate = scheduled(self._config.learning_rate, self._config.learning_rate_schedule, progress)
        terms: list[dict[str, Tensor]] = []
        norms = []
        for _ in range(count):
            transitions, ids, weights = self.replay.sample(self._config.minibatch_size, self._rng)
            with torch.enable_grad():
                taken = step(transitions, torch.from_numpy(weights).to(self._device))
                total = taken.loss.total + sum(taken.auxiliary)
                self._optimizer.zero_grad()
                (total if self._loss_scale is None else total * self._loss_scale.value).backward()
            norms.append(self._optimizer.step(learning_rate, self._loss_scale))
            terms.append({name: term.detach().mean() for name, term in taken.loss.terms.items()})
            if taken.errors is not None:
                self.replay.update_priorities(ids, taken.errors.detach().abs().cpu().numpy())
            after()
        metrics = {
            "learning_rate": learning_rate,
            "gradient_steps": float(count),
            "replay_size": float(len(self.replay)),
        }
        if not count:
            return metrics
        means = {name: torch.stack([term[name] for term in terms]).mean() for name in terms[0]}
        return {**metrics, **numbers({**means, "gradient_norm": mean_norm(norms, self._loss_scale)})}

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, replay buffer, random numbers, and the gradient steps that are due."""
        state = {
            "optimizer": self._optimizer.state_dict(),
            "replay": self.replay.state_dict(),
            "rng": self._rng.bit_generator.state,
            "updates": self._updates.state_dict(),
        }
        if self._loss_scale is not None:
            state["loss_scale"] = self._loss_scale.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._optimizer.load_state_dict(state["optimizer"])
        self.replay.load_state_dict(state["replay"])
        self._rng.bit_generator.state = state["rng"]
        self._updates.load_state_dict(state["updates"])
        if self._loss_scale is not None:
            self._loss_scale.load_state_dict(state["loss_scale"])
