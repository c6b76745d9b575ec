"""Parallelised Q-networks: Q-learning from many environments at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from framework.interfaces import Batch, Context
from framework.toolkit.exploration import annealed
from framework.toolkit.normalize import REWARD_CLIP, ReturnScale
from framework.toolkit.observations import ObservationMoments
from framework.toolkit.off_policy import AddedBonuses, mean_norm, numbers
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.schedules import scheduled
from framework.toolkit.state import copied, seeded
from framework_pqn.config import PQNConfig
from framework_pqn.gradients import Learned, make_backward
from framework_pqn.minibatches import Minibatch, row_minibatches, sequence_minibatches
from framework_pqn.objective import Objective, Predictions, Targets, pqn_loss
from framework_pqn.policy import EpsilonGreedy
from framework_pqn.targets import q_lambda_returns


class PQN:
    """Parallelised Q-networks (Gallici et al., 2024, arXiv:2407.04811).

    Q-learning without a replay buffer or a target network: each batch is learned from while it is fresh, by the
    returns of Peng's Q(lambda), and layer normalization keeps values from diverging. Intrinsic rewards are added to the
    environment's, as there is one Q-function: their discount must be ``gamma``. With an encoder that has a memory,
    minibatches are whole environments, each starting from its recorded memory.
    """

    supports = frozenset({"action_mask", "memory", "off_policy", "streams"})

    @staticmethod
    def make_policy(config: PQNConfig, context: Context) -> EpsilonGreedy:
        """See `framework.interfaces.Algorithm.make_policy`."""
        with seeded(context.seed):
            return EpsilonGreedy(config, context).to(context.device)

    def __init__(self, config: PQNConfig, context: Context):
        self._config, self._context = config, context
        self.policy = self.make_policy(config, context)
        self._generator = torch.Generator().manual_seed(context.seed)
        if context.compile:
            self.policy.network.encoder.compile()
        self._optimizer = FlatOptimizer(
            self.policy,
            config.optimizer,
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
            max_norm=config.max_gradient_norm or None,
        )
        self._loss_scale = LossScale(context.device) if context.precision == "float16" else None
        self._objective: Objective = pqn_loss if config.objective is None else context.find_function(config.objective)
        self._backward = make_backward(
            self.policy.network, self._objective, self._optimizer, self._loss_scale, config.slices
        )
        normalizer = self.policy.network.normalizer
        self._moments = None if normalizer is None else ObservationMoments(normalizer)
        self._return_scale = (
            ReturnScale(context.num_envs, config.gamma, config.reward_clip or REWARD_CLIP).to(context.device)
            if config.normalize_rewards
            else None
        )
        self._bonuses = AddedBonuses(context, config.gamma, "pqn")

    @torch.no_grad()
    def update(self, batch: Batch) -> dict[str, float]:
        """Train for ``epochs`` over minibatches of the batch.

        Metrics are means over all steps of all minibatches: ``loss``, ``q_mean`` (Q-values of the actions taken),
        ``td_error`` (absolute), ``gradient_norm`` (before clipping), ``loss/NAME`` of the encoder's auxiliary losses.
        """
        config = self._config
        learning_rate = scheduled(config.learning_rate, config.learning_rate_schedule, batch.progress)
        self._optimizer.check()
        rewards, metrics = self._bonuses.add_to(self._rewards(batch), batch)
        returns = q_lambda_returns(self.policy.network, batch, rewards, gamma=config.gamma, lam=config.q_lambda)
        targets = Targets(self.policy.from_environment(batch.actions), returns)

        learned: list[tuple[Learned, Targets]] = []
        norms: list[Tensor] = []
        for minibatch in self._minibatches(batch, targets):
            learned.append((self._backward(minibatch, config), minibatch.targets))
            norms.append(self._optimizer.step(learning_rate, self._loss_scale))
        if self._moments is not None:
            self._moments.update(batch)

        epsilon = self._epsilon(batch.progress + batch.steps / self._context.total_steps)
        self.policy.epsilon.fill_(epsilon)
        return {
            **numbers({**self._summary(learned), "gradient_norm": mean_norm(norms, self._loss_scale)}),
            **metrics,
            **self._bonuses.update(batch),
            "epsilon": epsilon,
            "learning_rate": learning_rate,
            "minibatches": float(len(learned)),
        }

    def state_dict(self) -> dict[str, Any]:
        """Weights with epsilon, optimizer, generator, statistics and bonuses."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        if "return_scale" in states:
            states["return_scale"] = copied(states["return_scale"])
        return {"policy": copied(self.policy.state_dict()), "generator": self._generator.get_state(), **states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self.policy.load_state_dict(state["policy"])
        self._generator.set_state(state["generator"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        """All parts with state, beside the policy."""
        parts = {
            "optimizer": self._optimizer,
            "moments": self._moments,
            "streams": self._bonuses,
            "return_scale": self._return_scale,
            "loss_scale": self._loss_scale,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _rewards(self, batch: Batch) -> Tensor:
        """The environment's rewards [T, N], as they are learned from."""
        rewards, bound = batch.rewards, self._config.reward_clip
        if self._return_scale is not None:
            done = batch.terminated | batch.truncated
            # At a free lag the columns of a batch may be any shards.
            continued = self._context.policy_lag != "free"
            rewards = self._return_scale(rewards, done, batch.valid, continued=continued)
        return rewards if bound is None else rewards.clamp(-bound, bound)

    def _minibatches(self, batch: Batch, targets: Targets) -> Iterator[Minibatch]:
        """The minibatches of all epochs, shuffled in each."""
        minibatches = sequence_minibatches if self.policy.network.remembers else row_minibatches
        return minibatches(batch, targets, self._config.minibatch_size, self._config.epochs, self._generator)

    def _epsilon(self, progress: float) -> float:
        config = self._config
        return annealed(config.epsilon_start, config.epsilon_end, config.epsilon_fraction, progress)

    def _summary(self, learned: Sequence[tuple[Learned, Targets]]) -> dict[str, Tensor]:
        """Means over all steps of all minibatches: of the objective's terms; and of the auxiliary losses."""
        results, targets = zip(*learned, strict=True)
        new = Predictions(torch.cat([result.predictions.values for result in results]))
        old = Targets(*map(torch.cat, zip(*targets, strict=True)))
        means = {name: term.mean() for name, term in self._objective(new, old, self._config).terms.items()}
        losses = {f"loss/{name}": [result.losses[name] for result in results] for name in results[0].losses}
        return means | {name: torch.stack(values).mean() for name, values in losses.items()}
