"""Proximal policy optimization with a clipped objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context
from framework.toolkit.normalize import REWARD_CLIP, ReturnScale, RunningMoments
from framework.toolkit.optimizer import FlatAdamW, LossScale
from framework_ppo.config import PPOConfig
from framework_ppo.imitation import SelfImitation
from framework_ppo.loss import backpropagate, policy_gradient, summarize, value_gradient
from framework_ppo.minibatches import (
    Minibatch,
    Rows,
    Sequences,
    Targets,
    row_minibatches,
    sequence_minibatches,
    valid_rows,
)
from framework_ppo.policy import ActorCritic, Evaluation, normalized_leaves
from framework_ppo.scores import mean_advantages
from framework_ppo.streams import BonusStreams, estimate

Tensors = dict[str, Tensor]


#: Standard deviations below this share of the largest number are rounding of float32.
_ROUNDING = 1e-6


class _Step(NamedTuple):
    """What a step of the optimizer saw."""

    norm: Tensor | None  #: of the gradient, []; None where the policy had moved too far for another step
    numbers: tuple[Tensor, ...]  #: of each row, see `summarize`
    losses: Tensors  #: auxiliary losses, []


class PPO:
    """Proximal policy optimization (Schulman et al., 2017, arXiv:1707.06347), with generalised advantage estimation.

    The learner owns every statistic: of observations, which travel inside the policy and are updated once with each
    batch after it was learned from; and of rewards, which never leave it. Data of older policies is weighted by the
    clipped objective alone, except with ``policy_lag = "free"``, where V-trace corrects returns and advantages. With an
    encoder that has a memory, minibatches are of whole environments, each from the memory that its steps began with.
    """

    supports = frozenset({"action_mask", "memory", "replay", "stale", "streams"})

    def __init__(self, config: PPOConfig, context: Context):
        self._config = config
        self._context = context
        self._continued = context.policy_lag != "free"
        # Networks are initialised from torch's global generator, which is left as it was.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(context.seed)
            self.policy = ActorCritic(config, context).to(context.device)
            self._generator = torch.Generator().manual_seed(int(torch.randint(2**62, ()).item()))
        if self.policy.remembers and context.make_replay is not None:
            raise FrameworkError(
                "self-imitation replays single steps, which an encoder with memory cannot tell from their past:"
                " leave [replay] out, or choose an encoder without memory"
            )
        normalized = normalized_leaves(context) if config.normalize_observations else {}
        self._moments = {name: RunningMoments(space.shape, context.device) for name, space in normalized.items()}
        self._return_scale = None
        if config.normalize_rewards:
            clip = config.reward_clip or REWARD_CLIP
            self._return_scale = ReturnScale(context.environments, config.gamma, clip).to(context.device)
        self._loss_scale = LossScale(context.device) if context.precision == "float16" else None
        self._scored: tuple[Tensor, ...] | None = None

    @cached_property
    def _optimizer(self) -> FlatAdamW:
        """Made when first needed, as networks are compiled: samplers only want the policy as it is."""
        config = self._config
        if self._context.compile:
            for encoder in self.policy.encoders.values():
                encoder.compile()
        return FlatAdamW(
            self.policy,
            epsilon=config.adam_epsilon,
            weight_decay=config.weight_decay,
            max_norm=config.max_gradient_norm or None,
        )

    @cached_property
    def _streams(self) -> BonusStreams | None:
        """Those of the bonuses, where there are any; made when first needed too."""
        if not self._context.bonuses:
            return None
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self._context.seed)
            return BonusStreams(self._context.make_streams())

    @cached_property
    def _imitation(self) -> SelfImitation | None:
        """Where the pipeline has a replay buffer; made when first needed, too."""
        make_replay = self._context.make_replay
        return None if make_replay is None else SelfImitation(self._config, make_replay())

    @torch.no_grad()
    def update(self, batch: Batch) -> dict[str, float]:
        """Some epochs of minibatches over the batch.

        Metrics are means over all rows of all minibatches; ``explained_variance`` tells how much of the returns'
        variance the values knew before the update, ``gradient_norm`` is that before clipping, ``loss/NAME`` an
        auxiliary loss of the encoders.
        """
        config = self._config
        learning_rate = _scheduled(config.learning_rate, config.learning_rate_schedule, batch.progress)
        clip = _scheduled(config.clip_range, config.clip_range_schedule, batch.progress)
        self._optimizer.check()
        bonuses = self._streams.rewards(batch) if self._streams else []
        targets = self._targets(batch, bonuses)
        self._scored = targets.advantages, batch.first, batch.valid, batch.final_index
        seen: list[tuple[Tensor, ...]] = []
        losses: list[Tensors] = []
        norms: list[Tensor] = []
        for minibatch in self._minibatches(batch, targets):
            step = self._learn(*minibatch, learning_rate, clip)
            seen.append(step.numbers)
            losses.append(step.losses)
            if step.norm is None:
                break
            norms.append(step.norm)
        imitated = self._imitate(learning_rate) if self._imitation else {}
        self._update_moments(batch)
        summary = summarize(*(torch.cat(column) for column in zip(*seen, strict=True)), clip=clip)
        summary |= {f"loss/{name}": torch.stack([each[name] for each in losses]).mean() for name in losses[0]}
        taken = torch.stack(norms) if norms else targets.values.new_zeros(0)
        if self._loss_scale is not None:  # steps that overflowed were not taken
            taken = taken[taken.isfinite()]
        summary["gradient_norm"] = taken.sum() / max(len(taken), 1)
        values, returns = valid_rows(batch, targets.values), valid_rows(batch, targets.returns)
        summary["explained_variance"] = _explained_variance(
            *((values[:, 0], returns[:, 0]) if self._streams else (values, returns))
        )
        numbers = torch.stack([value.to(torch.float32) for value in summary.values()]).tolist()
        return {
            **dict(zip(summary, numbers, strict=True)),
            "learning_rate": learning_rate,
            "clip_range": clip,
            "minibatches": float(len(taken)),
            **imitated,
            **(self._streams.update(batch, bonuses) if self._streams else {}),
        }

    def episode_scores(self) -> np.ndarray:
        """See `framework.interfaces.EpisodeScores`; of the advantages as they were before they were standardized."""
        return np.empty(0) if self._scored is None else mean_advantages(*self._scored)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer, generator, statistics, bonuses and replay buffer."""
        state = {
            "policy": _copy(self.policy.state_dict()),
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
            "moments": {name: _copy(moments.state_dict()) for name, moments in self._moments.items()},
        }
        if self._streams:
            state["streams"] = self._streams.state_dict()
        if self._imitation:
            state["replay"] = self._imitation.state_dict()
        if self._return_scale is not None:
            state["return_scale"] = _copy(self._return_scale.state_dict())
        if self._loss_scale is not None:
            state["loss_scale"] = self._loss_scale.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self.policy.load_state_dict(state["policy"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        for name, moments in self._moments.items():
            moments.load_state_dict(state["moments"][name])
        if self._streams:
            self._streams.load_state_dict(state["streams"])
        if self._imitation:
            self._imitation.load_state_dict(state["replay"])
        if self._return_scale is not None:
            self._return_scale.load_state_dict(state["return_scale"])
        if self._loss_scale is not None:
            self._loss_scale.load_state_dict(state["loss_scale"])

    def _targets(self, batch: Batch, bonuses: Sequence[Tensor]) -> Targets:
        """What each step of the batch is learned from, [T, N], now and, where it is worth imitating, later.

        ``bonuses`` are the rewards [T, N] of the bonuses.
        """
        gamma, lam = self._config.gamma, self._config.gae_lambda
        actions = self.policy.from_environment(batch.actions)
        log_prob, log_ratios = batch.extras["log_probability"], None
        values, final_values = batch.extras["value"], batch.extras["final_value"]
        if batch.lag and not self._continued:
            log_ratios = self.policy.distribution.log_prob(self.policy.batch_parameters(batch), actions) - log_prob
            values, final_values = self.policy.batch_values(batch)
        own = (values[..., 0], final_values[..., 0]) if self._streams else (values, final_values)
        rewards = self._rewards(batch)
        if self._imitation:
            self._imitation.add(batch, rewards, *own)
        found = estimate(batch, rewards, *own, log_ratios, gamma=gamma, lam=lam)
        if self._streams:
            found = self._streams.combine(found, batch, bonuses, values, final_values, log_ratios, lam)
        return Targets(actions, log_prob, found.advantages, values[:-1], found.returns)

    def _rewards(self, batch: Batch) -> Tensor:
        rewards, bound = batch.rewards, self._config.reward_clip
        if self._return_scale is not None:
            done = batch.terminated | batch.truncated
            rewards = self._return_scale(rewards, done, batch.valid, continued=self._continued)
        return rewards if bound is None else rewards.clamp(-bound, bound)

    def _minibatches(self, batch: Batch, targets: Targets) -> Iterator[Minibatch]:
        """All epochs, each in an order of its own."""
        config = self._config
        minibatches = sequence_minibatches if self.policy.remembers else row_minibatches
        how = (config.minibatch_size, config.epochs, self._generator)
        return minibatches(batch, targets, *how, normalize=config.normalize_advantages)

    def _learn(self, inputs: Rows | Sequences, targets: Targets, learning_rate: float, clip: float) -> _Step:
        """One step of the optimizer."""
        evaluation, pullback = self._forward(inputs)
        d_parameters, d_values, numbers = self._objective(evaluation.parameters, evaluation.values, targets, clip)
        losses = {name: loss.detach() for name, loss in evaluation.losses.items()}
        if self._config.target_kl is not None and _approximate_kl(numbers[0]) > self._config.target_kl:
            return _Step(None, numbers, losses)
        pullback(d_parameters, d_values)
        return _Step(self._optimizer.step(learning_rate, self._loss_scale), numbers, losses)

    def _forward(self, inputs: Rows | Sequences) -> tuple[Evaluation, Callable[[Tensor, Tensor], None]]:
        """Evaluate, and what sends the gradients by parameters and values back, those of auxiliary losses with them."""
        if self.policy.explicit:
            parameters, values, closed_form = self.policy.vjp(inputs.observations, inputs.action_mask)
            return Evaluation(parameters, values, {}), closed_form
        with torch.enable_grad():
            evaluation = inputs.evaluate(self.policy)

        def pullback(*gradients: Tensor) -> None:
            losses = list(evaluation.losses.values())
            if self._loss_scale is not None:
                scale = self._loss_scale.value
                gradients = tuple(x * scale for x in gradients)
                with torch.enable_grad():
                    losses = [loss * scale for loss in losses]
            self._optimizer.zero_grad()
            backpropagate(evaluation.parameters, evaluation.values, *gradients, losses)

        return evaluation, pullback

    def _imitate(self, learning_rate: float) -> dict[str, float]:
        rng = np.random.default_rng(int(torch.randint(2**62, (), generator=self._generator)))
        return self._imitation.learn(
            self.policy, self._forward, lambda: self._optimizer.step(learning_rate, self._loss_scale), rng
        )

    def _objective(
        self, parameters: Tensor, values: Tensor, targets: Targets, clip: float
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Gradients of the loss by the distribution's parameters and by the values, and numbers of each row."""
        config = self._config
        log_prob, entropy, pullback = self.policy.distribution.vjp(parameters, targets.actions)
        d_log_prob, log_ratio = policy_gradient(log_prob, targets.log_prob, targets.advantages, clip)
        d_parameters = pullback(d_log_prob, -config.entropy_coefficient / len(values))
        d_values, errors = value_gradient(
            values, targets.returns, targets.values, config.value_coefficient, config.value_clip_range
        )
        return d_parameters, d_values, (log_ratio, targets.advantages, errors, entropy)

    def _update_moments(self, batch: Batch) -> None:
        """Take in this batch's observations, now that it was learned from as its policy saw it."""
        steps = batch.rewards.shape[0]
        for (name, moments), normalizer in zip(self._moments.items(), self.policy.normalizers, strict=True):
            moments.update(batch.observations[name][:steps][batch.valid])
            normalizer.set(moments)


def _scheduled(value: float, schedule: str, progress: float) -> float:
    return value * (1.0 - progress) if schedule == "linear" else value


def _approximate_kl(log_ratio: Tensor) -> float:
    return (log_ratio.exp() - 1.0 - log_ratio).mean().item()


def _explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns), and 0 where all returns are equal but for rounding."""
    variance = returns.var(correction=0)
    varies = variance.sqrt() > _ROUNDING * returns.abs().max()
    return torch.where(varies, 1.0 - (returns - values).var(correction=0) / variance, torch.zeros_like(variance))


def _copy(tensors: dict[str, Tensor]) -> Tensors:
    return {name: tensor.clone() for name, tensor in tensors.items()}
