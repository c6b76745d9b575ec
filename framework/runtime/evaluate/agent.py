"""A trained policy that acts: for evaluations, and for whoever wants to use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from framework.pipeline.build import build_environment, build_policy
from framework.runtime.data.policy_snapshot import unpack
from framework.runtime.disk.checkpoint import load, resolve_checkpoint, restoring
from framework.runtime.disk.load_run import load_run
from framework.runtime.rollout.environments import close_environment, make_environment
from framework.toolkit.spaces import environment_actions, flat_space, flatten

if TYPE_CHECKING:
    import gymnasium

    from framework.interfaces import Policy


class Acting:
    """A policy in some environments side by side, with its memory and its random numbers."""

    def __init__(self, policy: Policy, seed: int, deterministic: bool):
        self._policy = policy
        self._deterministic = deterministic
        self._generator = torch.Generator().manual_seed(seed)
        self._memory: dict[str, torch.Tensor] | None = None

    def __call__(self, observations: Mapping[str, np.ndarray], action_mask: np.ndarray | None) -> np.ndarray:
        """``{name: [N, ...]}`` and the legal actions -> actions [N, ...]."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in observations.items()}
        count = len(next(iter(tensors.values())))
        first = torch.full((count,), self._memory is None)
        with torch.inference_mode():
            if self._memory is None:
                self._memory = self._policy.initial_memory(count)
            actions, _, self._memory = self._policy.act(
                tensors,
                self._memory,
                first,
                self._generator,
                action_mask=None if action_mask is None else torch.from_numpy(np.array(action_mask)),
                deterministic=self._deterministic,
            )
        return actions.numpy()


class Agent:
    """A trained policy for one environment at a time, with the observations and actions of that environment.

    Made by `framework.load_agent`.
    """

    def __init__(self, policy: Policy, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]):
        self.policy = policy
        self.observation_space = observation_space
        self.action_space = action_space
        self.reset()

    def reset(self, seed: int = 0, deterministic: bool = True) -> None:
        """Forget the episode so far: what comes next is the first observation of another."""
        self._acting = Acting(self.policy, seed, deterministic)

    def act(self, observation: Any, action_mask: Any = None) -> Any:
        """The action for an observation, both as the environment's spaces have them."""
        flat = flatten(self.observation_space, observation)
        mask = None if action_mask is None else np.asarray(action_mask, bool)[None]
        actions = self._acting({name: np.asarray(array)[None] for name, array in flat.items()}, mask)
        return environment_actions(self.action_space, actions)[0]


def load_agent(run: str | Path, checkpoint: str = "best", *, trust: bool = False) -> Agent:
    """The trained policy of a run: ``load_agent(run).act(observation)``.

    Args:
        run: a run directory.
        checkpoint: ``"best"`` by evaluation (the last where there was none), ``"last"``, or a checkpoint's name.
        trust: import the Python files that the run names, as for `load_run`.
    """
    run = Path(run)
    pipeline = load_run(run, trust=trust)
    path = resolve_checkpoint(run, checkpoint)
    snapshots = load(path, "versions")
    environment = make_environment(build_environment(pipeline))
    observation_space, action_space = environment.observation_space, environment.action_space
    close_environment(environment, "environment")
    policy = build_policy(pipeline, flat_space(observation_space), action_space)
    with restoring(path):
        unpack(policy, snapshots[max(snapshots, key=int)]["weights"])
    return Agent(policy, observation_space, action_space)
