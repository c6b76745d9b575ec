"""Deep Q-networks that learn from a replay buffer."""

from __future__ import annotations

import copy
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Replay, Transitions
from framework.toolkit.distributions import mask_logits
from framework.toolkit.exploration import annealed
from framework.toolkit.off_policy import AddedBonuses, UpdatesPerStep, mean_norm, move_target, numbers
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.schedules import scheduled
from framework.toolkit.slices import Slices
from framework.toolkit.state import copied, seeded
from framework_dqn import closed_form
from framework_dqn.autograd import Autograd
from framework_dqn.closed_form import ClosedForm
from framework_dqn.config import DQNConfig
from framework_dqn.munchausen import munchausen_rewards, soft_policy
from framework_dqn.noisy import noise
from framework_dqn.objective import Objective
from framework_dqn.policy import EpsilonGreedy
from framework_dqn.sequences import SequenceTransitions, SequenceTransitionsReplay
from framework_dqn.sliced import Sliced
from framework_dqn.targets import rescaled, returns_of, td_targets


class DQN:
    """Deep Q-networks (Mnih et al., 2015, doi:10.1038/nature14236).

    With double Q-learning (van Hasselt et al., 2016, arXiv:1509.06461), dueling heads (Wang et al., 2016), n-step
    returns and prioritized replay as the replay buffer has them, and with many samplers of different epsilon Ape-X
    (Horgan et al., 2018, arXiv:1803.00933). With return distributions and noisy networks too it is Rainbow (Hessel et
    al., 2018, arXiv:1710.02298). Each batch is stored, then the network trains on minibatches from the buffer; of
    sequences where the encoder has a memory, as in R2D2 (Kapturowski et al., 2019). Intrinsic rewards are added to the
    environment's, as there is one Q-function: their discount must be ``gamma``.
    """

    supports = frozenset({"action_mask", "memory", "off_policy", "replay", "streams"})

    @staticmethod
    def make_policy(config: DQNConfig, context: Context) -> EpsilonGreedy:
        """See `framework.interfaces.Algorithm.make_policy`."""
        with seeded(context.seed):
            return EpsilonGreedy(config, context).to(context.device)

    def __init__(self, config: DQNConfig, context: Context):
        if context.make_replay is None:
            raise FrameworkError('dqn learns from a replay buffer: add [replay] with use = "uniform" to the pipeline')
        self._config, self._context = config, context
        self.policy = self.make_policy(config, context)
        self._target = copy.deepcopy(self.policy.network).requires_grad_(False).eval()
        self._optimizer = FlatOptimizer(
            self.policy,
            config.optimizer,
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
            max_norm=config.max_gradient_norm or None,
        )
        self._loss_scale = LossScale(context.device) if context.precision == "float16" else None
        self._returns = self.policy.network.return_model
        self._objective: Objective = (
            self._returns.objective if config.objective is None else context.find_function(config.objective)
        )
        backward = ClosedForm if closed_form.covers(self._objective, self._returns) else Autograd
        network: Any = self.policy.network
        if context.compile and network.remembers:
            network.encoder.compile()
        elif context.compile:
            network = torch.compile(network)
        self._backward: Autograd | Sliced = backward(network, self._optimizer, self._loss_scale, self._returns)
        if config.slices > 1:
            self._backward = Sliced(self._backward, Slices(config.slices, self._optimizer))
        replay = context.make_replay()
        self._replay: Replay | SequenceTransitionsReplay = (
            SequenceTransitionsReplay(config, context, replay) if self.policy.network.remembers else replay
        )
        self._bonuses = AddedBonuses(context, config.gamma, "dqn")
        self._rng = np.random.default_rng(context.seed)
        self._noise = torch.Generator(context.device).manual_seed(context.seed)  # of noisy networks
        self._updates = UpdatesPerStep(config.updates_per_step, config.learning_starts)
        self._gradient_steps = 0

    @torch.no_grad()
    def update(self, batch: Batch) -> dict[str, float]:
        """Store the batch, then take ``updates_per_step`` gradient steps per environment step.

        Metrics are means over all minibatches: ``loss``, ``q_mean`` (Q-values of the actions taken), ``td_error``
        (absolute), ``kl`` (of categorical distributions), ``gradient_norm`` (before clipping); they are missing where
        no gradient step was taken.
        """
        config = self._config
        self._optimizer.check()
        rewards, metrics = self._rewards(batch)
        self._replay.add(attrs.evolve(batch, rewards=rewards))
        count = self._updates.due(batch.steps, stored=len(self._replay))
        learning_rate = scheduled(config.learning_rate, config.learning_rate_schedule, batch.progress)
        if count:
            metrics |= self._summary([self._learn(learning_rate) for _ in range(count)])
        metrics |= self._bonuses.update(batch)
        epsilon = self._epsilon(batch.progress + batch.steps / self._context.total_steps)
        self.policy.epsilon.fill_(epsilon)
        return {
            **metrics,
            "epsilon": epsilon,
            "learning_rate": learning_rate,
            "gradient_steps": float(count),
            "replay_size": float(len(self._replay)),
        }

    def state_dict(self) -> dict[str, Any]:
        """Weights, target, optimizer, random numbers, replay buffer and bonuses."""
        state = {
            "policy": copied(self.policy.state_dict()),
            "target": copied(self._target.state_dict()),
            "optimizer": self._optimizer.state_dict(),
            "rng": self._rng.bit_generator.state,
            "replay": self._replay.state_dict(),
            "streams": self._bonuses.state_dict(),
            "gradient_steps": self._gradient_steps,
            **self._updates.state_dict(),
        }
        if self._config.noisy:
            state["noise"] = self._noise.get_state()
        if self._loss_scale is not None:
            state["loss_scale"] = self._loss_scale.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self.policy.load_state_dict(state["policy"])
        self._target.load_state_dict(state["target"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._rng.bit_generator.state = state["rng"]
        self._replay.load_state_dict(state["replay"])
        self._bonuses.load_state_dict(state["streams"])
        self._updates.load_state_dict(state)
        self._gradient_steps = state["gradient_steps"]
        if self._config.noisy:
            self._noise.set_state(state["noise"])
        if self._loss_scale is not None:
            self._loss_scale.load_state_dict(state["loss_scale"])

    def _rewards(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Extrinsic plus weighted intrinsic rewards [T, N], and the metrics of the latter."""
        bound = self._config.reward_clip
        return self._bonuses.add_to(batch.rewards if bound is None else batch.rewards.clamp(-bound, bound), batch)

    def _learn(self, learning_rate: float) -> tuple[Any, Any, Tensor]:
        """One gradient step; returns its predictions and targets, and the gradient norm [] before clipping."""
        config = self._config
        transitions, ids, weights = self._replay.sample(config.minibatch_size, self._rng)
        noisy_layers = self.policy.network.noisy_layers
        with noise(self._noise, noisy_layers + self._target.noisy_layers):
            old = self.targets(transitions, torch.from_numpy(weights).to(transitions.rewards.device))
        actions = self.policy.from_environment(transitions.actions)
        with noise(self._noise, noisy_layers):
            new = self._backward(self._objective, transitions.observations, actions, old, config)
        norm = self._optimizer.step(learning_rate, self._loss_scale)
        self._replay.update_priorities(ids, self._returns.priorities(new, old).cpu().numpy())
        self._gradient_steps += 1
        if self._gradient_steps % config.target_update_interval == 0:
            move_target(self._target, self.policy.network, config.target_tau)
        return new, old, norm

    def targets(self, transitions: Transitions | SequenceTransitions, weights: Tensor) -> Any:
        """Targets of the actions taken, as the objective takes them, with importance weights [B]."""
        config, model = self._config, self._returns
        following, mask = transitions.next_observations, transitions.next_action_mask
        outputs, rewards = self._target.outputs(following), transitions.rewards
        values = model.means(outputs)
        if config.munchausen:
            rewards = self._munchausen_rewards(transitions)
            returns = model.soft(outputs, *soft_policy(values, mask, config.munchausen_temperature))
        else:
            scores = self.policy.network.values(following) if config.double else values
            if mask is not None:
                scores = mask_logits(scores, mask)
            returns = model.greedy(outputs, scores.argmax(-1))
        points = returns_of(returns.points) if config.value_rescaling else returns.points
        points = td_targets(rewards, transitions.steps, transitions.terminated, points, config.gamma)
        points = rescaled(points) if config.value_rescaling else points
        return model.target(returns._replace(points=points), weights)

    def _munchausen_rewards(self, transitions: Transitions | SequenceTransitions) -> Tensor:
        values = self._target.values(transitions.observations)
        actions = self.policy.from_environment(transitions.actions)
        return munchausen_rewards(transitions.rewards, values, actions, transitions.action_mask, self._config)

    def _epsilon(self, progress: float) -> float:
        return annealed(*self._config.epsilons, self._config.epsilon_fraction, progress)

    def _summary(self, learned: list[tuple[Any, Any, Tensor]]) -> dict[str, float]:
        """Means over all minibatches: of the objective's terms, and of the gradient norms."""
        predictions, targets, norms = zip(*learned, strict=True)
        batches = list(zip(predictions, targets, strict=True))
        if self._config.distribution != "quantile":  # whose loss compares all pairs, so that it takes much memory
            new, old = (map(torch.cat, zip(*parts, strict=True)) for parts in (predictions, targets))
            batches = [(self._returns.predictions(*new), self._returns.targets(*old))]
        terms = [self._objective(new, old, self._config).terms for new, old in batches]
        means = {name: torch.cat([term[name] for term in terms]).mean() for name in terms[0]}
        return numbers({**means, "gradient_norm": mean_norm(norms, self._loss_scale)})
