"""A pipeline whose updates take milliseconds, of components whose every number is plain to recompute."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from attrs import frozen
from gymnasium.spaces import Box, Discrete
from torch import nn

import framework
from framework.interfaces import Batch
from framework.pipeline.sections import Pipeline
from framework.runtime.data.policy_snapshot import pack
from framework.runtime.disk import checkpoint
from framework.runtime.disk.run_directory import Record
from framework.schema import option

Tensors = dict[str, torch.Tensor]

PIPELINE = """
[run]
seed = 3
total_steps = 64

[environment]
use = "tiny:Environment"

[algorithm]
use = "tiny:Algorithm"

[sampling]
environments = 4
shard = 2
rollout_length = 4
policy_lag = 1

[evaluation]
episodes = 0

[checkpoint]
every_seconds = 0.0

[runtime]
samplers = 0
device = "cpu"
"""
CURRICULUM = '[curriculum]\nuse = "tiny:Curriculum"\n'


def load(folder: Path, text: str = "", **overrides: Any) -> Pipeline:
    """The pipeline with more tables; ``a__b=c`` overrides ``a.b``."""
    folder.mkdir(exist_ok=True)
    path = folder / "pipeline.toml"
    path.write_text(PIPELINE + text)
    return framework.load(path, {name.replace("__", "."): value for name, value in overrides.items()})


def recorded(folder: Path, text: str = "", **overrides: Any) -> Path:
    """The directory of a run of it that has not begun."""
    record = Record.create(load(folder, text, **overrides), folder / "runs")
    record.close()
    return record.directory


def save(directory: Path, name: str, weight: float) -> Path:
    """Save a checkpoint that has no more than a policy with this weight, and an older version of it, 9."""
    update = int(name.partition("-")[2])
    versions = {str(version): {"weights": weights(weight if version == update else -1.0)} for version in (9, update)}
    return checkpoint.save(directory / "checkpoints", name, {"update": update, "versions": versions})


def weights(weight: float) -> np.ndarray:
    """The weights of a policy, as they travel."""
    policy = Policy()
    policy.weight.data.fill_(weight)
    return pack(policy)


def digest(seed: int, task: Any, actions: list[int]) -> bytes:
    """What an episode looks like after these actions: 8 bytes that nobody gets who did anything else."""
    return hashlib.blake2b(json.dumps([seed, task, actions]).encode(), digest_size=8).digest()


def shown(seed: int, task: Any, actions: list[int]) -> np.ndarray:
    """The observation after these actions, [4] float32."""
    return np.frombuffer(digest(seed, task, actions)[:4], np.uint8).astype(np.float32) / 256


def reward(seed: int, task: Any, actions: list[int]) -> float:
    """The reward for the last of these actions."""
    return digest(seed, task, actions)[4] / 7 - 18


def length(seed: int, longest: int) -> int:
    """How many steps an episode has; it is truncated where the number is even."""
    return 1 + seed % longest


class Hashed(gymnasium.Env[Any, Any]):
    """Its observations and rewards are hashes of the seed, the task and all actions of the episode."""

    observation_space = Box(0, 1, (4,), np.float32)
    action_space = Discrete(2)

    def __init__(self, longest: int = 6):
        self.longest = longest
        self.closed = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self.task = options["task"] if options else None
        self.actions: list[int] = []
        return shown(self.seed, self.task, []), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.actions.append(int(action))
        steps, last = len(self.actions), length(self.seed, self.longest)
        assert steps <= last, "stepped after its end"
        history = self.seed, self.task, self.actions
        info = {"success": last > 3} if steps == last else {}
        return shown(*history), reward(*history), steps == last and last % 2 == 1, steps == last and last % 2 == 0, info

    def close(self) -> None:
        self.closed = True


class Environment:
    """The component that makes `Hashed` environments, and remembers them."""

    supports = frozenset({"tasks"})

    @frozen
    class Config:
        longest: int = option(6, help="Steps of the longest episodes.")

    def __init__(self, config: Any, context: Any):
        self.config = config
        self.environments: list[Hashed] = []

    def make(self) -> Hashed:
        self.environments.append(Hashed(self.config.longest))
        return self.environments[-1]


class Policy(nn.Module):
    """Acts at random, and by chance as its weight says; its memory counts the steps of each episode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def initial_memory(self, count: int) -> Tensors:
        return {"steps": torch.zeros(count)}

    def act(
        self,
        observation: Tensors,
        memory: Tensors,
        first: torch.Tensor,
        generator: torch.Generator,
        *,
        action_mask: torch.Tensor | None = None,
        deterministic: bool = False,
    ) -> tuple[torch.Tensor, Tensors, Tensors]:
        before = memory["steps"] * ~first
        chance = torch.rand(len(first), generator=generator)
        actions = torch.zeros(len(first), dtype=torch.int64) if deterministic else (chance < 0.5).long()
        extras = {"before": before, "weight": self.weight.detach().expand(len(first)).clone()}
        return actions, extras, {"steps": before + 1}

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """The extras, the memory after each step in place of that before, and the rewards at the ends of episodes."""
        ends = batch.rewards.flatten()[batch.final_index]
        return {"after": batch.extras["before"] + 1, "weight": batch.extras["weight"], "final_reward": ends}


class Algorithm:
    """Adds all rewards to the weight of its policy: equal weights come of equal data."""

    supports = frozenset({"memory", "off_policy"})

    def __init__(self, config: Any, context: Any):
        self.policy = self.make_policy(config, context)
        self.updates = 0

    @staticmethod
    def make_policy(config: Any, context: Any) -> Policy:
        return Policy()

    def update(self, batch: Batch) -> dict[str, float]:
        self.updates += 1
        with torch.no_grad():
            self.policy.weight += batch.rewards.sum()
        return {"loss": float(batch.rewards.mean()), "updates": float(self.updates)}

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "policy": self.policy.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        self.policy.load_state_dict(state["policy"])


class Scored(Algorithm):
    """Scores the episodes of its last batch by their place in it."""

    def update(self, batch: Batch) -> dict[str, float]:
        self.ends = len(batch.final_index)
        return super().update(batch)

    def episode_scores(self) -> np.ndarray:
        return np.arange(self.ends, dtype=np.float64)


class Curriculum:
    """Numbers all tasks that it gives."""

    def __init__(self, config: Any, context: Any):
        self.sampled = 0
        self.heard = 0

    def sample(self, count: int, rng: np.random.Generator) -> list[int]:
        first, self.sampled = self.sampled, self.sampled + count
        return list(range(first, self.sampled))

    def update(self, episodes: Any) -> dict[str, float]:
        self.heard += len(list(episodes))
        return {"heard": float(self.heard)}

    def state_dict(self) -> dict[str, Any]:
        return {"sampled": self.sampled, "heard": self.heard}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampled, self.heard = state["sampled"], state["heard"]
