"""PPO in one loop and one process, as in a careful single-file script: ``python -m peers.single_file``.

Settings are those of ``pipelines/``. Truncated episodes count as terminated, as is usual in such scripts.
"""

from __future__ import annotations

import argparse
import time
from collections import deque

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from torch import Tensor, nn
from torch.distributions import Categorical

from measure.processes import say

ENVIRONMENTS, LENGTH, EPOCHS, MINIBATCH = 8, 128, 4, 256
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM = 0.99, 0.95, 0.2, 0.01, 1.0, 0.5


def make_environments(task: str, native: bool) -> VectorEnv:
    """Eight environments; ``native`` takes ALE's own vector environment."""
    same_step = AutoresetMode.SAME_STEP
    if task == "cartpole":
        return SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * ENVIRONMENTS, autoreset_mode=same_step)
    import ale_py

    gymnasium.register_envs(ale_py)
    if native:
        from ale_py.vector_env import AtariVectorEnv

        return AtariVectorEnv("pong", ENVIRONMENTS, autoreset_mode=same_step)

    def pong() -> gymnasium.Env:
        game = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0)
        return gymnasium.wrappers.FrameStackObservation(gymnasium.wrappers.AtariPreprocessing(game), 4)

    return SyncVectorEnv([pong] * ENVIRONMENTS, autoreset_mode=same_step)


def layer(module: nn.Module, gain: float = 2**0.5) -> nn.Module:
    """Orthogonal weights, no bias."""
    nn.init.orthogonal_(module.weight, gain)
    nn.init.zeros_(module.bias)
    return module


class Agent(nn.Module):
    """Two MLPs for vectors, one Nature network with two heads for images."""

    def __init__(self, observation_shape: tuple[int, ...], actions: int):
        super().__init__()
        if len(observation_shape) == 1:
            self.body: nn.Module = nn.Identity()
            self.actor, self.critic = (
                self._mlp(observation_shape[0], n, gain) for n, gain in ((actions, 0.01), (1, 1.0))
            )
        else:
            convolutions = nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3, 1)
            modules = [module for convolution in convolutions for module in (layer(convolution), nn.ReLU())]
            self.body = nn.Sequential(*modules, nn.Flatten(), layer(nn.Linear(3136, 512)), nn.ReLU())
            self.actor, self.critic = layer(nn.Linear(512, actions), 0.01), layer(nn.Linear(512, 1), 1.0)

    @staticmethod
    def _mlp(inputs: int, outputs: int, gain: float) -> nn.Module:
        hidden = layer(nn.Linear(inputs, 64)), nn.Tanh(), layer(nn.Linear(64, 64)), nn.Tanh()
        return nn.Sequential(*hidden, layer(nn.Linear(64, outputs), gain))

    def forward(self, observations: Tensor) -> tuple[Categorical, Tensor]:
        """Action distribution and values [N]."""
        if observations.dtype == torch.uint8:
            observations = observations.float() / 255.0
        features = self.body(observations)
        return Categorical(logits=self.actor(features), validate_args=False), self.critic(features).squeeze(-1)


class Rollout:
    """The data of one rollout, [T, N] each."""

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype):
        self.observations = torch.zeros((LENGTH, ENVIRONMENTS, *shape), dtype=dtype)
        self.actions = torch.zeros((LENGTH, ENVIRONMENTS), dtype=torch.int64)
        self.log_probs, self.rewards, self.dones, self.values = (torch.zeros(LENGTH, ENVIRONMENTS) for _ in range(4))


def update(agent: Agent, optimizer: torch.optim.Optimizer, rollout: Rollout, last_value: Tensor) -> None:
    """Advantages, then epochs of minibatches."""
    advantages = torch.zeros(LENGTH, ENVIRONMENTS)
    running = torch.zeros(ENVIRONMENTS)
    for t in reversed(range(LENGTH)):
        following = last_value if t == LENGTH - 1 else rollout.values[t + 1]
        continues = 1.0 - rollout.dones[t]
        error = rollout.rewards[t] + GAMMA * continues * following - rollout.values[t]
        advantages[t] = running = error + GAMMA * LAMBDA * continues * running
    returns = (advantages + rollout.values).flatten()
    advantages = advantages.flatten()
    observations, actions = rollout.observations.flatten(0, 1), rollout.actions.flatten()
    log_probs = rollout.log_probs.flatten()
    for _ in range(EPOCHS):
        for index in torch.randperm(LENGTH * ENVIRONMENTS).split(MINIBATCH):
            distribution, values = agent(observations[index])
            ratio = (distribution.log_prob(actions[index]) - log_probs[index]).exp()
            advantage = advantages[index]
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            gain = torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()
            value_loss = 0.5 * (values - returns[index]).square().mean()
            loss = -gain + VALUE * value_loss - ENTROPY * distribution.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
            optimizer.step()


def main() -> None:
    """Train; what is timed is everything from the first step on."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("task", choices=("cartpole", "pong"))
    arguments.add_argument("--steps", type=int, required=True)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--threads", type=int, default=0, help="threads of torch; 0 leaves its own default")
    arguments.add_argument("--native", action="store_true", help="ALE's own vector environment")
    options = arguments.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    environments = make_environments(options.task, options.native)
    shape = environments.single_observation_space.shape
    agent = Agent(shape, int(environments.single_action_space.n))
    optimizer = torch.optim.Adam(agent.parameters(), 3e-4, eps=1e-5)
    rollout = Rollout(shape, torch.uint8 if len(shape) == 3 else torch.float32)

    ready, started = time.time(), time.perf_counter()
    observation = torch.as_tensor(environments.reset(seed=options.seed)[0])
    returns = np.zeros(ENVIRONMENTS)
    window: deque[float] = deque(maxlen=100)
    curve: list[list[float]] = []
    steps = 0
    while steps < options.steps:
        for t in range(LENGTH):
            with torch.no_grad():
                distribution, value = agent(observation)
                action = distribution.sample()
                rollout.log_probs[t] = distribution.log_prob(action)
            rollout.observations[t], rollout.actions[t], rollout.values[t] = observation, action, value
            following, reward, terminated, truncated, _ = environments.step(action.numpy())
            done = terminated | truncated
            rollout.rewards[t] = torch.as_tensor(reward)
            rollout.dones[t] = torch.as_tensor(done)
            observation = torch.as_tensor(following)
            returns += reward
            window.extend(returns[done].tolist())
            returns[done] = 0.0
        steps += LENGTH * ENVIRONMENTS
        with torch.no_grad():
            last_value = agent(observation)[1]
        update(agent, optimizer, rollout, last_value)
        if window:
            curve.append([steps, float(np.mean(window))])
    seconds = time.perf_counter() - started
    say(
        steps=steps,
        seconds=seconds,
        rate=steps / seconds,
        ready=ready,
        curve=curve,
        final_return=curve[-1][1] if curve else None,
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
