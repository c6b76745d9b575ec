"""Behaviour cloning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from framework.errors import FrameworkError, RunError
from framework.interfaces import Batch, Context, Transitions
from framework.toolkit.state import copied, seeded
from framework_offline.config import BCConfig
from framework_offline.minibatches import Minibatches, Step
from framework_offline.objective import Cloned, Objective, bc_loss
from framework_offline.policy import DatasetPolicy

_ONLINE = (
    "bc imitates a dataset and learns nothing from what it collects: let run.offline_steps be as many as "
    "run.total_steps, or take iql"
)


class BC:
    """Behaviour cloning (Pomerleau, 1991, doi:10.1162/neco.1991.3.1.88): maximum likelihood of a dataset's actions.

    It learns offline alone. Raises `FrameworkError` where more steps than ``run.offline_steps`` are to be learned from.
    """

    supports = frozenset({"action_mask", "offline", "replay"})

    @staticmethod
    def make_policy(config: BCConfig, context: Context) -> DatasetPolicy:
        """See `framework.interfaces.Algorithm.make_policy`."""
        with seeded(context.seed):
            return DatasetPolicy(config, context).to(context.device)

    def __init__(self, config: BCConfig, context: Context):
        if context.offline_steps < context.total_steps:
            raise FrameworkError(_ONLINE)
        self._config = config
        self.policy = self.make_policy(config, context)
        self._minibatches = Minibatches(config, context, self.policy, "bc")
        self._log_prob = torch.compile(self.policy.log_prob) if context.compile else self.policy.log_prob
        self._objective: Objective = bc_loss if config.objective is None else context.find_function(config.objective)

    def update(self, batch: Batch) -> dict[str, float]:
        """Raises `RunError`: there is nothing to be learned online."""
        raise RunError(_ONLINE)

    def update_offline(self, steps: int, progress: float) -> dict[str, float]:
        """Take ``updates_per_step`` gradient steps for each of ``steps``.

        Metrics are means over all minibatches: ``loss`` (negative log-likelihood), ``gradient_norm`` (before clipping).
        """
        return self._minibatches.learn(steps, progress, self._step)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer, random numbers, and the replay buffer's own."""
        return {"policy": copied(self.policy.state_dict()), **self._minibatches.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self.policy.load_state_dict(state["policy"])
        self._minibatches.load_state_dict(state)

    def _step(self, transitions: Transitions, weights: Tensor) -> Step:
        log_probs, auxiliary = self._log_prob(transitions.observations, transitions.actions, transitions.action_mask)
        return Step(self._objective(Cloned(log_probs), weights, self._config), list(auxiliary.values()))
