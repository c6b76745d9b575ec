"""PPO and SAC of Stable-Baselines3: ``python -m peers.sb3_continuous ppo HalfCheetah-v5 --steps 2048 ...``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from measure.processes import say

_EVALUATION_SEED = 1_000_000


class _Curve(BaseCallback):
    """Records the mean return of the last 100 episodes, whenever one has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[list[float]] = []

    def _on_step(self) -> bool:
        if any("episode" in info for info in self.locals["infos"]):
            episodes = self.model.ep_info_buffer
            latest = [float(info["episode"]["r"]) for info in self.locals["infos"] if "episode" in info]
            returns = [*(float(episode["r"]) for episode in episodes), *latest][-100:]
            self.points.append([self.num_timesteps, float(np.mean(returns))])
        return True


def _make(algorithm: str, environment: str, settings: dict[str, Any], seed: int) -> BaseAlgorithm:
    """PPO over normalized observations and rewards, its learning rate falling linearly; SAC as it is."""
    environments = make_vec_env(environment, 1, seed=seed)
    if algorithm == "sac":
        return SAC("MlpPolicy", environments, seed=seed, device="cpu", **settings)
    rate = settings.pop("learning_rate")
    normalized = VecNormalize(environments, gamma=settings["gamma"])
    return PPO("MlpPolicy", normalized, learning_rate=lambda left: rate * left, seed=seed, device="cpu", **settings)


def _greedy_returns(model: BaseAlgorithm, environment: str, episodes: int) -> list[float]:
    """The returns of episodes without noise; the statistics of observations stay as they are."""
    normalizer, game = model.get_vec_normalize_env(), gymnasium.make(environment)
    returns = []
    for episode in range(episodes):
        observation, _ = game.reset(seed=_EVALUATION_SEED + episode)
        total, ended = 0.0, False
        while not ended:
            shown = normalizer.normalize_obs(observation) if normalizer else observation
            action, _ = model.predict(shown, deterministic=True)
            observation, reward, terminated, truncated, _ = game.step(action)
            total, ended = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


def main() -> None:
    """Train; what is timed is ``learn``: from the first reset to the end of the last update."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("algorithm", choices=("ppo", "sac"))
    arguments.add_argument("environment")
    arguments.add_argument("--steps", type=int, required=True)
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument("--settings", type=json.loads, required=True, help="keyword arguments of the class, as JSON")
    arguments.add_argument("--episodes", type=int, required=True, help="greedy episodes after training")
    arguments.add_argument("--threads", type=int, default=0, help="threads of torch; 0 leaves its own default")
    options = arguments.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = _make(options.algorithm, options.environment, options.settings, options.seed)
    curve = _Curve()
    started = time.perf_counter()
    model.learn(options.steps, callback=curve)
    seconds = time.perf_counter() - started
    say(
        steps=model.num_timesteps,
        seconds=seconds,
        curve=curve.points,
        final_return=curve.points[-1][1] if curve.points else None,
        evaluations=[
            [model.num_timesteps, float(np.mean(_greedy_returns(model, options.environment, options.episodes)))]
        ],
        threads=torch.get_num_threads(),
        versions={
            "python": sys.version.split()[0],
            "stable-baselines3": stable_baselines3.__version__,
            "torch": torch.__version__,
            "gymnasium": gymnasium.__version__,
        },
    )


if __name__ == "__main__":
    main()
