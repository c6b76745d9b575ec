"""PPO of Stable-Baselines3, with the settings of ``pipelines/``: ``python -m peers.sb3 cartpole|pong|solve``."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env, make_vec_env
from stable_baselines3.common.vec_env import VecFrameStack

from measure.processes import say

_ENVIRONMENTS = 8
_EPISODES = 20
_EVERY = 2048  # environment steps between evaluations


class _Watch(BaseCallback):
    """Records the learning curve, and evaluates until the score ``until`` is reached where there is one."""

    def __init__(self, until: float | None):
        super().__init__()
        self.until = until
        self.curve: list[list[float]] = []
        self.evaluations: list[list[float]] = []
        self.solved = False

    def _on_rollout_end(self) -> None:
        if self.model.ep_info_buffer:
            mean = float(np.mean([episode["r"] for episode in self.model.ep_info_buffer]))
            self.curve.append([self.num_timesteps, mean])

    def _on_rollout_start(self) -> None:
        if self.until is None or self.num_timesteps < _EVERY * (len(self.evaluations) + 1):
            return
        score = _greedy_return(self.model)
        self.evaluations.append([self.num_timesteps, score])
        self.solved = score >= self.until

    def _on_step(self) -> bool:
        return not self.solved


def _greedy_return(model: Any) -> float:
    """Mean return of one episode in each of some environments, acting on them as one batch."""
    environments = [gymnasium.make("CartPole-v1") for _ in range(_EPISODES)]
    observations = np.stack([environment.reset(seed=1_000_000 + n)[0] for n, environment in enumerate(environments)])
    returns, playing = np.zeros(_EPISODES), np.ones(_EPISODES, bool)
    while playing.any():
        actions, _ = model.predict(observations, deterministic=True)
        for n in np.flatnonzero(playing):
            observations[n], reward, terminated, truncated, _ = environments[n].step(int(actions[n]))
            returns[n] += reward
            playing[n] = not (terminated or truncated)
    return float(returns.mean())


def _make(task: str, seed: int) -> stable_baselines3.PPO:
    if task == "solve":
        environment = make_vec_env("CartPole-v1", _ENVIRONMENTS, seed=seed)
        return stable_baselines3.PPO(
            "MlpPolicy",
            environment,
            n_steps=32,
            batch_size=256,
            n_epochs=20,
            gamma=0.98,
            gae_lambda=0.8,
            ent_coef=0.0,
            learning_rate=lambda left: 1e-3 * left,
            clip_range=lambda left: 0.2 * left,
            seed=seed,
            device="cpu",
        )
    if task == "cartpole":
        policy, environment = "MlpPolicy", make_vec_env("CartPole-v1", _ENVIRONMENTS, seed=seed)
    else:
        import ale_py

        gymnasium.register_envs(ale_py)
        games = make_atari_env("PongNoFrameskip-v4", _ENVIRONMENTS, seed=seed)
        policy, environment = "CnnPolicy", VecFrameStack(games, 4)
    return stable_baselines3.PPO(
        policy,
        environment,
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        learning_rate=3e-4,
        ent_coef=0.01,
        seed=seed,
        device="cpu",
    )


def main() -> None:
    """Train; what is timed is ``learn``: from the first reset to the end of the last update."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("task", choices=("cartpole", "pong", "solve"))
    arguments.add_argument("--steps", type=int, required=True)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--threads", type=int, default=0, help="threads of torch; 0 leaves its own default")
    arguments.add_argument("--until", type=float, help="greedy return at which training ends")
    options = arguments.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model, watch = _make(options.task, options.seed), _Watch(options.until)
    ready, started = time.time(), time.perf_counter()
    model.learn(options.steps, callback=watch)
    seconds = time.perf_counter() - started
    say(
        steps=model.num_timesteps,
        seconds=seconds,
        rate=model.num_timesteps / seconds,
        ready=ready,
        curve=watch.curve,
        final_return=watch.curve[-1][1] if watch.curve else None,
        evaluations=watch.evaluations,
        solved=watch.solved,
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
