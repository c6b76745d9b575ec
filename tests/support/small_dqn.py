"""DQN on made-up spaces, with a replay buffer so plain that it is right by looking at it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import torch
from small_ppo import make_context

from framework.interfaces import Batch, Context, Transitions
from framework_dqn.config import DQNConfig
from framework_dqn.dqn import DQN


class ListReplay:
    """Every step ever added, in lists; sampled uniformly, or by the priorities given where ``prioritized``."""

    def __init__(self, n_step: int = 1, prioritized: bool = False):
        self.n_step, self.prioritized = n_step, prioritized
        self.rows: list[dict[str, Any]] = []
        self.last: dict[int, int] = {}  # column -> its newest row
        self.priorities: list[float] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, batch: Batch) -> np.ndarray:
        steps, count = batch.rewards.shape
        finals = {int(index): k for k, index in enumerate(batch.final_index)}
        ids = np.full((steps, count), -1)
        for t in range(steps):
            for n in range(count):
                if not batch.valid[t, n]:
                    continue
                ids[t, n] = len(self.rows)
                if n in self.last:
                    self.rows[self.last[n]]["next"] = len(self.rows)
                done = bool(batch.terminated[t, n] | batch.truncated[t, n])
                k = finals.get(t * count + n)
                after = {name: x[t + 1, n] for name, x in batch.observations.items()}
                last = {name: x[k] for name, x in batch.final_observations.items()} if done else after
                mask = None if batch.action_mask is None else batch.action_mask[t, n]
                next_mask = None if mask is None else batch.action_mask[t + 1, n]
                self.rows.append(
                    {
                        "observation": {name: x[t, n] for name, x in batch.observations.items()},
                        "action": batch.actions[t, n],
                        "reward": float(batch.rewards[t, n]),
                        "terminated": bool(batch.terminated[t, n]),
                        "done": done,
                        "next_observation": last,
                        "mask": mask,
                        "next_mask": torch.ones_like(next_mask) if mask is not None and done else next_mask,
                        "next": None,
                    }
                )
                self.last[n] = len(self.rows) - 1
                self.priorities.append(max(self.priorities, default=1.0))
        return ids

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Transitions, np.ndarray, np.ndarray]:
        chances = np.asarray(self.priorities if self.prioritized else np.ones(len(self)))
        chances = chances / chances.sum()
        ids = rng.choice(len(self), count, p=chances)
        weights = 1.0 / (len(self) * chances[ids])
        return self.transitions(ids), ids, (weights / weights.max()).astype(np.float32)

    def transitions(self, ids: np.ndarray) -> Transitions:
        paths = [self._path(int(index)) for index in ids]
        first, last = [path[0] for path in paths], [path[-1] for path in paths]
        rewards = torch.zeros(len(paths), self.n_step)
        for row, path in zip(rewards, paths, strict=True):
            row[: len(path)] = torch.tensor([step["reward"] for step in path])
        masked = first[0]["mask"] is not None
        return Transitions(
            observations=_stacked([step["observation"] for step in first]),
            actions=torch.stack([step["action"] for step in first]),
            rewards=rewards,
            steps=torch.tensor([len(path) for path in paths]),
            terminated=torch.tensor([step["terminated"] for step in last]),
            next_observations=_stacked([step["next_observation"] for step in last]),
            action_mask=torch.stack([step["mask"] for step in first]) if masked else None,
            next_action_mask=torch.stack([step["next_mask"] for step in last]) if masked else None,
        )

    def update_priorities(self, ids: Any, priorities: Any) -> None:
        for index, priority in zip(ids, priorities, strict=True):
            self.priorities[int(index)] = float(priority)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": [dict(row) for row in self.rows], "last": dict(self.last), "priorities": list(self.priorities)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = [dict(row) for row in state["rows"]]
        self.last, self.priorities = dict(state["last"]), list(state["priorities"])

    def _path(self, index: int) -> list[dict[str, Any]]:
        path = [self.rows[index]]
        while len(path) < self.n_step and not path[-1]["done"] and path[-1]["next"] is not None:
            path.append(self.rows[path[-1]["next"]])
        return path


def dqn_context(*args: Any, replay: Callable[[], Any] = ListReplay, **fields: Any) -> Context:
    """What `small_ppo.make_context` makes, with a replay buffer."""
    return attrs.evolve(make_context(*args, **fields), make_replay=replay)


def dqn(context: Context, **options: Any) -> DQN:
    """DQN with these options; it learns from the first batch on."""
    return DQN(DQNConfig(**{"learning_starts": 0, "minibatch_size": 16, **options}), context)


def slow_projection(points: list[float], probabilities: list[float], atoms: list[float]) -> list[float]:
    """Algorithm 1 of C51, one point after the other."""
    gap = (atoms[-1] - atoms[0]) / (len(atoms) - 1)
    result = [0.0] * len(atoms)
    for point, probability in zip(points, probabilities, strict=True):
        place = (min(max(point, atoms[0]), atoms[-1]) - atoms[0]) / gap
        lower = min(math.floor(place), len(atoms) - 1)
        upper = min(lower + 1, len(atoms) - 1)
        result[lower] += probability * (lower + 1 - place)
        result[upper] += probability * (place - lower)
    return result


def _stacked(observations: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([observation[name] for observation in observations]) for name in observations[0]}
