"""DQN of Stable-Baselines3, with the settings of ``pipelines/dqn.toml``: ``python -m peers.sb3_dqn --seed 1``."""

from __future__ import annotations

import argparse
import math

import gymnasium
import stable_baselines3
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from torch import nn

from measure.processes import say

EVERY = 256


class _Watch(BaseCallback):
    """Records the mean return of the last 100 episodes, after as many steps as our updates have."""

    def __init__(self) -> None:
        super().__init__()
        self.curve: list[list[float]] = []

    def _on_step(self) -> bool:
        returns = self.training_env.get_attr("episode_returns")[0][-100:]
        if self.num_timesteps % EVERY == 0 and returns:
            self.curve.append([self.num_timesteps, sum(returns) / len(returns)])
        return True


def _orthogonal(network: nn.Module) -> None:
    """Initialise as ``initialization = "orthogonal"`` does."""
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, 1.0 if layer is layers[-1] else math.sqrt(2.0))
        nn.init.zeros_(layer.bias)


def main() -> None:
    """Train once."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--steps", type=int, default=50_000)
    arguments.add_argument("--orthogonal", action="store_true")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    model = DQN(
        "MlpPolicy",
        Monitor(gymnasium.make("CartPole-v1")),
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=EVERY,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=options.seed,
    )
    if options.orthogonal:
        _orthogonal(model.q_net)
        model.q_net_target.load_state_dict(model.q_net.state_dict())
    watch = _Watch()
    model.learn(options.steps, watch)
    say(curve=watch.curve, version=stable_baselines3.__version__)


if __name__ == "__main__":
    main()
