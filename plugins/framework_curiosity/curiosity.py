"""Base of the bonuses: prediction errors over whitened observations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from framework.interfaces import Batch, Context
from framework.toolkit.normalize import ReturnScale
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.state import copied
from framework_curiosity.config import CuriosityConfig
from framework_curiosity.features import Whitening, seeded
from framework_curiosity.steps import Steps, steps_of


@frozen(eq=False)
class Judgement:
    """Outputs of a bonus's network for B steps."""

    reward: Tensor  #: [B] before normalization
    loss: Tensor  #: [B] to be minimised
    parts: Mapping[str, Tensor] = field(factory=dict)  #: {metric: [B]} terms of the loss


class Curiosity:
    """A bonus whose reward is an error of its own network.

    `reward` updates running statistics, of observations and rewards, and no weights; `update` trains the network and
    changes no statistics. So `reward` is called once per batch, then `update`. The networks are the bonus's own:
    nothing it does has a gradient in the policy.
    """

    def __init__(self, config: CuriosityConfig, context: Context):
        self.episodic = config.episodic
        self._config = config
        self._continued = context.policy_lag != "free"
        self._whitening = Whitening(context.observation_space).to(context.device)
        with seeded(context.seed, type(self).__name__) as self._generator:
            network = self.make_network(config, evolve(context, observation_space=self._whitening.space))
        # Never in training mode: dropout would make a reward of chance, and draw it from torch's global generator.
        self.network = network.to(context.device).eval()
        self._optimizer = FlatOptimizer(self.network)
        self._scale = (
            ReturnScale(context.num_envs, config.gamma).to(context.device) if config.normalize_rewards else None
        )

    @abstractmethod
    def make_network(self, config: Any, context: Context) -> nn.Module:
        """A network from `Steps` to `Judgement`; ``context`` has the whitened observation space."""

    @torch.no_grad()
    def reward(self, batch: Batch) -> Tensor:
        """Intrinsic reward [T, N] float32, for the observation that each step led to; 0 where ``valid`` is false."""
        steps = steps_of(batch)
        for part in steps.parts():
            self._whitening.take_in(part.following)
        rewards = torch.zeros_like(batch.rewards)
        for part in evolve(steps, see=self._whitening).parts():
            rewards.view(-1)[part.index] = self.network(part).reward
        if self._scale is None:
            return rewards
        done = batch.terminated | batch.truncated
        cut = done if self.episodic else torch.zeros_like(done)
        return self._scale(rewards, cut, batch.valid, continued=self._continued)

    def update(self, batch: Batch) -> dict[str, float]:
        """Train the network; metrics are means over all rows that it was trained on."""
        self._optimizer.check()
        steps = evolve(steps_of(batch), see=self._whitening)
        count = round(self._config.update_proportion * len(steps)) or min(len(steps), 1)
        sums: dict[str, Tensor] = {"loss": batch.rewards.new_zeros(())}
        for _ in range(self._config.epochs):
            order = torch.randperm(len(steps), generator=self._generator)[:count].to(steps.index.device)
            for rows in order.split(self._config.minibatch_size):
                if len(rows):
                    for name, value in self._learn(steps.take(rows)).items():
                        sums[name] = sums.get(name, 0.0) + value
        numbers = torch.stack(list(sums.values())) / max(count * self._config.epochs, 1)
        return dict(zip(sums, numbers.tolist(), strict=True))

    def _learn(self, steps: Steps) -> dict[str, Tensor]:
        """One gradient step; returns the sum of each metric over the rows."""
        self._optimizer.zero_grad()
        with torch.enable_grad():
            judgement = self.network(steps)
            judgement.loss.mean().backward()
        self._optimizer.step(self._config.learning_rate)
        return {name: x.detach().sum() for name, x in {"loss": judgement.loss, **judgement.parts}.items()}

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimizer, generator and statistics."""
        return {
            **{name: copied(module.state_dict()) for name, module in self._modules().items()},
            "optimizer": self._optimizer.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        for name, module in self._modules().items():
            module.load_state_dict(state[name])
        self._optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])

    def _modules(self) -> dict[str, nn.Module]:
        modules = {"network": self.network, "whitening": self._whitening, "scale": self._scale}
        return {name: module for name, module in modules.items() if module is not None}
