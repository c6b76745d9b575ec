"""Proximal policy optimization with the clipped objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context
from framework.toolkit.networks import initialization
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.schedules import scheduled
from framework.toolkit.slices import Slices
from framework.toolkit.state import copied, seeded
from framework_ppo import closed_form
from framework_ppo.autograd import Autograd
from framework_ppo.closed_form import ClosedForm
from framework_ppo.config import PPOConfig
from framework_ppo.imitation import SelfImitation, imitation_loss
from framework_ppo.metrics import explained_variance, mean_advantages, term_means
from framework_ppo.minibatches import Minibatch, normalized_batch, row_minibatches, sequence_minibatches, valid_rows
from framework_ppo.normalization import ObservationMoments
from framework_ppo.objective import Objective, Predictions, Targets, approximate_kl, ppo_loss
from framework_ppo.policy import ActorCritic
from framework_ppo.sliced import Sliced
from framework_ppo.streams import BonusStreams
from framework_ppo.targets import TargetEstimator


class PPO:
    """Proximal policy optimization (Schulman et al., 2017, arXiv:1707.06347), with generalised advantage estimation.

    The learner owns all running statistics: those of observations travel inside the policy, and are updated once per
    batch after it was learned from; those of rewards never leave the learner. With an encoder that has a memory,
    minibatches are whole environments, each starting from its recorded memory.
    """

    supports = frozenset({"action_mask", "memory", "replay", "off_policy", "streams"})

    @staticmethod
    def make_policy(config: PPOConfig, context: Context) -> ActorCritic:
        """See `framework.interfaces.Algorithm.make_policy`."""
        with seeded(context.seed), initialization(config.initialization):
            return ActorCritic(config, context).to(context.device)

    def __init__(self, config: PPOConfig, context: Context):
        self._config = config
        with (
            seeded(context.seed),
            initialization(config.initialization),
        ):  # as `make_policy`; what comes next is drawn for the generator
            self.policy = ActorCritic(config, context).to(context.device)
            self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))
        if self.policy.remembers and context.make_replay is not None:
            raise FrameworkError(
                "self-imitation replays single steps, which an encoder with memory cannot tell from their past:"
                " leave [replay] out, or choose an encoder without memory"
            )
        if context.compile:
            for encoder in self.policy.encoders.values():
                encoder.compile()
        self._optimizer = FlatOptimizer(
            self.policy,
            config.optimizer,
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
            max_norm=config.max_gradient_norm or None,
        )
        self._loss_scale = LossScale(context.device) if context.precision == "float16" else None
        self._objective: Objective = ppo_loss if config.objective is None else context.find_function(config.objective)
        backward = ClosedForm if closed_form.covers(self.policy, self._objective, imitation_loss) else Autograd
        self._backward: Autograd | ClosedForm | Sliced = backward(self.policy, self._optimizer, self._loss_scale)
        if config.slices > 1:
            self._backward = Sliced(self._backward, Slices(config.slices, self._optimizer))
        self._moments = ObservationMoments(config, context)
        with seeded(context.seed):
            self._streams = BonusStreams(context.make_streams()) if context.bonuses else None
        self._imitation = None if context.make_replay is None else SelfImitation(config, context.make_replay())
        self._estimate_targets = TargetEstimator(config, context, self.policy, self._streams, self._imitation)
        self._scored: tuple[Tensor, ...] | None = None

    @torch.no_grad()
    def update(self, batch: Batch) -> dict[str, float]:
        """Train for ``epochs`` over minibatches of the batch.

        Metrics are means over all rows of all minibatches; ``explained_variance`` is that of the values before the
        update, ``gradient_norm`` is the norm before clipping, ``loss/NAME`` an auxiliary loss of the encoders.
        """
        config = self._config.at(batch.progress)
        learning_rate = scheduled(config.learning_rate, config.learning_rate_schedule, batch.progress)
        clip_range = scheduled(config.clip_range, config.clip_range_schedule, batch.progress)
        self._optimizer.check()
        bonuses = self._streams.rewards(batch) if self._streams else []
        targets = self._estimate_targets(batch, bonuses)
        self._scored = targets.advantages, batch.first, batch.valid, batch.final_index

        learned: list[tuple[Predictions, Targets]] = []
        losses: list[dict[str, Tensor]] = []
        norms: list[Tensor] = []
        for inputs, part in self._minibatches(batch, targets):
            new, auxiliary = self._backward(self._objective, inputs, part.actions, part, clip_range, config)
            learned.append((new, part))
            losses.append(auxiliary)
            if config.target_kl is not None and approximate_kl(new, part) > config.target_kl:
                break
            norms.append(self._optimizer.step(learning_rate, self._loss_scale))
        imitated = self._imitate(learning_rate) if self._imitation else {}
        self._moments.update(batch, self.policy)

        metrics = term_means(self._objective, learned, clip_range, config)
        metrics |= {f"loss/{name}": torch.stack([loss[name] for loss in losses]).mean() for name in losses[0]}
        gradient_norms = torch.stack(norms) if norms else targets.values.new_zeros(0)
        if self._loss_scale is not None:  # steps that overflowed were not taken
            gradient_norms = gradient_norms[gradient_norms.isfinite()]
        metrics["gradient_norm"] = gradient_norms.sum() / max(len(gradient_norms), 1)
        values, returns = valid_rows(batch, targets.values), valid_rows(batch, targets.returns)
        metrics["explained_variance"] = explained_variance(
            *((values[:, 0], returns[:, 0]) if self._streams else (values, returns))
        )
        numbers = torch.stack([value.to(torch.float32) for value in metrics.values()]).tolist()
        return {
            **dict(zip(metrics, numbers, strict=True)),
            "learning_rate": learning_rate,
            "clip_range": clip_range,
            "minibatches": float(len(gradient_norms)),
            **imitated,
            **(self._streams.update(batch, bonuses) if self._streams else {}),
        }

    def episode_scores(self) -> np.ndarray:
        """See `framework.interfaces.EpisodeScores`; of the advantages before they are normalized."""
        return np.empty(0) if self._scored is None else mean_advantages(*self._scored)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer, generator, statistics, bonuses and replay buffer."""
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
            "streams": self._streams,
            "replay": self._imitation,
            "return_scale": self._estimate_targets.return_scale,
            "loss_scale": self._loss_scale,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _minibatches(self, batch: Batch, targets: Targets) -> Iterator[Minibatch]:
        """The minibatches of all epochs, shuffled in each."""
        config = self._config
        minibatches = sequence_minibatches if self.policy.remembers else row_minibatches
        how = (config.minibatch_size, config.epochs, self._generator)
        if config.normalize_advantages == "batch":
            return minibatches(batch, normalized_batch(batch, targets), *how, normalize=False)
        return minibatches(batch, targets, *how, normalize=bool(config.normalize_advantages))

    def _imitate(self, learning_rate: float) -> dict[str, float]:
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self._generator)))
        return self._imitation.learn(
            self.policy, self._backward, lambda: self._optimizer.step(learning_rate, self._loss_scale), rng
        )
