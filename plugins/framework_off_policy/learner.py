"""What SAC, TD3 and TQC share: actor and critics that learn from a replay buffer."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context
from framework.toolkit.observations import ObservationMoments
from framework.toolkit.off_policy import AddedBonuses, UpdatesPerStep, mean_norm, move_target, numbers
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.schedules import scheduled
from framework.toolkit.state import copied, seeded
from framework_off_policy import closed_form
from framework_off_policy.autograd import Autograd
from framework_off_policy.closed_form import ClosedForm
from framework_off_policy.critic import Critics
from framework_off_policy.minibatch import Minibatch, minibatch_of
from framework_off_policy.objective import ActorObjective, CriticObjective, CriticPredictions, CriticTargets
from framework_off_policy.policy import Actor


class Learned(NamedTuple):
    """What a gradient step has found out."""

    new: CriticPredictions
    old: CriticTargets
    critic_norm: Tensor  #: [] norm of the critics' gradient, before clipping
    actor: Any = None  #: the actor's predictions, where it took a step
    actor_norm: Tensor | None = None


class ActorCritic(ABC):
    """An actor and E critics with target networks, trained on minibatches from a replay buffer.

    Each batch is stored, then ``updates_per_step`` gradient steps are taken per environment step. Intrinsic rewards are
    added to the environment's: their discount must be ``gamma``.
    """

    name: ClassVar[str]
    supports: ClassVar[frozenset[str]] = frozenset({"off_policy", "replay", "streams"})
    policy: Actor
    critics: Critics
    generator: torch.Generator  #: of all that is drawn while learning, but which transitions

    def __init__(self, config: Any, context: Context):
        if context.make_replay is None:
            raise FrameworkError(
                f'{self.name} learns from a replay buffer: add [replay] with use = "uniform" to the pipeline'
            )
        self._config = config
        self._context = context
        with seeded(context.seed):  # as `make_policy`; what comes next is drawn for the critics and the generator
            self.policy = self.make_actor(config, context).to(context.device)
            self.critics = self.make_critics(config, context).to(context.device)
            seed = int(torch.randint(2**62, ()).item())
        self.generator = torch.Generator(context.device).manual_seed(seed)
        self._target_critics = copy.deepcopy(self.critics).requires_grad_(False).eval()
        if context.compile:
            for network in (self.policy.encoder, self.critics.encoder, self.critics.ensemble):
                network.compile()
        self._actor_optimizer, self._critic_optimizer = (
            FlatOptimizer(
                module,
                epsilon=config.adam_epsilon,
                weight_decay=config.weight_decay,
                max_norm=config.max_gradient_norm or None,
            )
            for module in (self.policy, self.critics)
        )
        self._loss_scale = LossScale(context.device) if context.precision == "float16" else None
        critic_objective, actor_objective = self.default_objectives()
        if config.critic_objective is not None:
            critic_objective = context.find_function(config.critic_objective)
        if config.actor_objective is not None:
            actor_objective = context.find_function(config.actor_objective)
        self._critic_objective, self._actor_objective = critic_objective, actor_objective
        optimizers = self._actor_optimizer, self._critic_optimizer
        backward = ClosedForm if closed_form.covers(self.policy, self.critics) else Autograd
        self._backward: Autograd = backward(self, optimizers, self._loss_scale)
        self._replay = context.make_replay()
        self._bonuses = AddedBonuses(context, config.gamma, self.name)
        self._moments = ObservationMoments(self.policy.normalizer)
        self._updates = UpdatesPerStep(config.updates_per_step, config.learning_starts)
        self._rng = np.random.default_rng(context.seed)
        self._gradient_steps = 0

    @classmethod
    def make_policy(cls, config: Any, context: Context) -> Actor:
        """See `framework.interfaces.Algorithm.make_policy`."""
        with seeded(context.seed):
            return cls.make_actor(config, context).to(context.device)

    # What differs between the algorithms.

    @staticmethod
    @abstractmethod
    def make_actor(config: Any, context: Context) -> Actor:
        """The actor; raises `FrameworkError` where it cannot act in the action space."""

    @staticmethod
    @abstractmethod
    def make_critics(config: Any, context: Context) -> Critics:
        """The critics."""

    @abstractmethod
    def default_objectives(self) -> tuple[CriticObjective, ActorObjective]:
        """The objectives of critics and actor where no option names others."""

    @abstractmethod
    def targets(self, minibatch: Minibatch) -> Tensor:
        """Targets of the critics, [B] or [B, K]; called without gradient recording."""

    @abstractmethod
    def predict_actor(self, minibatch: Minibatch) -> tuple[Any, Mapping[str, Tensor]]:
        """What the actor's objective takes, and auxiliary losses: differentiable."""

    @abstractmethod
    def predict_critics(self, minibatch: Minibatch) -> tuple[CriticPredictions, Mapping[str, Tensor]]:
        """What the critics' objective takes, and auxiliary losses: differentiable."""

    def after_actor(self, actor: Any, minibatch: Minibatch, factor: float) -> None:
        """Let learn what learns from the actor's predictions, with learning rates times ``factor``."""
        return

    def move_targets(self, with_actor: bool) -> None:
        """Move the target networks after a gradient step, ``with_actor`` where the actor took one too."""
        move_target(self._target_critics, self.critics, self._config.target_tau)

    # What is the same.

    @torch.no_grad()
    def update(self, batch: Batch) -> dict[str, float]:
        """Store the batch, then take ``updates_per_step`` gradient steps per environment step.

        Metrics are means over all minibatches of what the objectives tell, such as ``critic_loss``, ``q_mean``,
        ``td_error``, ``actor_loss``, ``entropy`` and ``temperature``, and of ``critic_gradient_norm`` and
        ``actor_gradient_norm``, before clipping; they are missing where no gradient step was taken.
        """
        config = self._config
        self._actor_optimizer.check()
        self._critic_optimizer.check()
        rewards, metrics = self._bonuses.add_to(batch.rewards * config.reward_scale, batch)
        self._replay.add(attrs.evolve(batch, rewards=rewards))
        self._moments.update(batch)
        count = self._updates.due(batch.steps, stored=len(self._replay))
        factor = scheduled(1.0, config.learning_rate_schedule, batch.progress)
        if count:
            metrics |= self._summary([self._learn(factor) for _ in range(count)])
        metrics |= self._bonuses.update(batch)
        self.policy.uniform.fill_(not self._updates.started)
        return {
            **metrics,
            "learning_rate": config.learning_rate * factor,
            "gradient_steps": float(count),
            "replay_size": float(len(self._replay)),
        }

    def _learn(self, factor: float) -> Learned:
        """One gradient step of the critics, and where it is due one of the actor; learning rates times ``factor``."""
        config = self._config
        rate = config.learning_rate * factor
        transitions, ids, weights = self._replay.sample(config.minibatch_size, self._rng)
        minibatch = minibatch_of(transitions, self.policy, config.gamma)
        old = CriticTargets(self.targets(minibatch), torch.from_numpy(weights).to(minibatch.returns.device))
        new = self._backward.critics(self._critic_objective, minibatch, old, config)
        critic_rate = rate if config.critic_learning_rate is None else config.critic_learning_rate * factor
        learned = Learned(new, old, self._critic_optimizer.step(critic_rate, self._loss_scale))
        self._replay.update_priorities(ids, td_errors(new, old).cpu().numpy())
        self._gradient_steps += 1
        with_actor = self._gradient_steps % config.policy_delay == 0
        if with_actor:
            actor = self._backward.actor(self._actor_objective, minibatch, config)
            learned = learned._replace(actor=actor, actor_norm=self._actor_optimizer.step(rate, self._loss_scale))
            self.after_actor(actor, minibatch, factor)
        self.move_targets(with_actor)
        return learned

    def _summary(self, learned: list[Learned]) -> dict[str, float]:
        """Means over all minibatches: of the objectives' terms, and of the gradient norms."""
        # One minibatch after the other: all pairs of quantiles and samples of an update are too many at once.
        config = self._config
        means = _mean_terms([self._critic_objective(step.new, step.old, config).terms for step in learned])
        means["critic_gradient_norm"] = mean_norm([step.critic_norm for step in learned], self._loss_scale)
        norms = [step.actor_norm for step in learned if step.actor_norm is not None]
        if norms:
            actors = [step.actor for step in learned if step.actor is not None]
            means |= _mean_terms([self._actor_objective(actor, config).terms for actor in actors])
            means["actor_gradient_norm"] = mean_norm(norms, self._loss_scale)
        return numbers(means)

    def state_dict(self) -> dict[str, Any]:
        """Weights, targets, optimizers, random numbers, statistics, replay buffer and bonuses."""
        return {
            "networks": {name: copied(network.state_dict()) for name, network in self.networks().items()},
            "parts": {name: part.state_dict() for name, part in self.parts().items()},
            "rng": self._rng.bit_generator.state,
            "generator": self.generator.get_state(),
            "gradient_steps": self._gradient_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        for name, network in self.networks().items():
            network.load_state_dict(state["networks"][name])
        for name, part in self.parts().items():
            part.load_state_dict(state["parts"][name])
        self._rng.bit_generator.state = state["rng"]
        self.generator.set_state(state["generator"])
        self._gradient_steps = state["gradient_steps"]

    def networks(self) -> dict[str, nn.Module]:
        """All modules with state."""
        return {"policy": self.policy, "critics": self.critics, "target_critics": self._target_critics}

    def parts(self) -> dict[str, Any]:
        """Everything else with a state of its own."""
        parts = {
            "actor_optimizer": self._actor_optimizer,
            "critic_optimizer": self._critic_optimizer,
            "replay": self._replay,
            "bonuses": self._bonuses,
            "moments": self._moments,
            "updates": self._updates,
            "loss_scale": self._loss_scale,
        }
        return {name: part for name, part in parts.items() if part is not None}


def td_errors(new: CriticPredictions, old: CriticTargets) -> Tensor:
    """Absolute TD errors [B], the mean over the critics; of quantiles those of their means."""
    values, targets = new.values, old.values
    if values.ndim == 3:
        values, targets = values.mean(2), targets.mean(1)
    return (values - targets.unsqueeze(1)).abs_().mean(1)


def _mean_terms(minibatches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean [] of each term [B] over all minibatches, which are of one size."""
    return {name: torch.stack([terms[name] for terms in minibatches]).mean() for name in minibatches[0]}
