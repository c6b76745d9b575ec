"""A trained policy that acts: for evaluations, and for whoever wants to use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from framework.errors import FrameworkError
from framework.pipeline.build import build_environment, build_policy
from framework.runtime.data.policy_snapshot import unpack
from framework.runtime.disk.checkpoint import load, resolve_checkpoint, restoring
from framework.runtime.disk.load_run import load_run
from framework.runtime.rollout.environments import close_environment, make_environment
from framework.toolkit.spaces import (
    environment_actions,
    flat_mask,
    flat_space,
    flatten,
    flatten_batch,
    single_actions,
    truths,
)

if TYPE_CHECKING:
    import gymnasium

    from framework.interfaces import Policy
    from framework.pipeline.sections import Pipeline


class Acting:
    """A policy in some environments side by side, with its memory and its random numbers."""

    def __init__(self, policy: Policy, seed: int, deterministic: bool):
        self._policy = policy
        self._deterministic = deterministic
        self._generator = torch.Generator().manual_seed(seed)
        self._memory: dict[str, torch.Tensor] = {}
        self._first: torch.Tensor | None = None

    def __call__(self, observations: Mapping[str, np.ndarray], action_mask: np.ndarray | None) -> np.ndarray:
        """``{name: [N, ...]}`` and the legal actions -> actions [N, ...]."""
        tensors = {name: torch.from_numpy(np.array(array)) for name, array in observations.items()}
        count = len(next(iter(tensors.values())))
        if self._first is None:
            self._first = torch.ones(count, dtype=torch.bool)
            with torch.inference_mode():
                self._memory = self._policy.initial_memory(count)
        with torch.inference_mode():
            actions, _, self._memory = self._policy.act(
                tensors,
                self._memory,
                self._first,
                self._generator,
                action_mask=None if action_mask is None else torch.from_numpy(np.array(action_mask)),
                deterministic=self._deterministic,
            )
        self._first = torch.zeros(count, dtype=torch.bool)
        return actions.numpy()

    @property
    def count(self) -> int | None:
        """How many environments it acts in, N; None before the first step."""
        return None if self._first is None else len(self._first)

    def start(self, mask: np.ndarray) -> None:
        """Have the next observations of the environments in ``mask`` [N] be the first ones of episodes."""
        if self._first is not None:
            self._first = self._first | torch.from_numpy(np.array(mask))


class Agent:
    """A trained policy, with the observations and actions of its environment: one at a time, or batches of them.

    Made by `framework.load_agent`.
    """

    def __init__(self, policy: Policy, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]):
        self.policy = policy
        self.observation_space = observation_space
        self.action_space = action_space
        self.reset()

    def reset(self, mask: Any = None, *, seed: int = 0, deterministic: bool = True) -> None:
        """Forget the episodes so far: what comes next are the first observations of others.

        With a ``mask`` [N] bool only in those environments of the batch, where random numbers go on. Without one,
        ``deterministic`` says whether the most probable actions are taken, or others are drawn with ``seed``. Raises
        `FrameworkError` where the mask does not fit the batch.
        """
        if mask is None:
            self._acting = Acting(self.policy, seed, deterministic)
            return
        rows, count = truths("mask", mask), self._acting.count
        if rows.ndim != 1 or count not in (None, len(rows)):
            raise FrameworkError(
                f"the mask has shape {rows.shape}: it must have one value for each environment, {count}"
            )
        self._acting.start(rows)

    def act(self, observation: Any, action_mask: Any = None) -> Any:
        """The action for an observation, both as the environment's spaces have them."""
        flat = flatten(self.observation_space, observation)
        mask = None if action_mask is None else self._flat_mask(action_mask)[None]
        return single_actions(self.action_space, self._act({name: array[None] for name, array in flat.items()}, mask))[
            0
        ]

    def act_batch(self, observations: Any, action_masks: Any = None) -> Any:
        """The actions [N, ...] for observations side by side, as vector environments give and take them.

        ``observations`` have the structure of the observation space, with arrays [N, ...] as leaves, and actions that
        of the action space; ``action_masks`` are [N, actions]. Raises `FrameworkError` where a leaf does not fit, or N
        is not that of the step before.
        """
        flat = flatten_batch(self.observation_space, observations)
        actions = self._act(flat, None if action_masks is None else np.asarray(action_masks, bool))
        return environment_actions(self.action_space, actions)

    def _flat_mask(self, action_mask: Any) -> np.ndarray:
        """One environment's mask [M], of several parts as the environment gives it."""
        if isinstance(action_mask, dict | tuple):
            return flat_mask(self.action_space, action_mask)
        return np.asarray(action_mask, bool)

    def _act(self, observations: Mapping[str, np.ndarray], action_masks: np.ndarray | None) -> np.ndarray:
        """Actions as the policy gives them."""
        count = len(next(iter(observations.values())))
        if self._acting.count not in (None, count):
            raise FrameworkError(
                f"the agent acts in {self._acting.count} environments and got the observations of {count}: call reset()"
                " before it acts in others"
            )
        return self._acting(observations, action_masks)


def load_agent(run: str | Path, checkpoint: str = "best", *, trust: bool = False) -> Agent:
    """The trained policy of a run: ``load_agent(run).act(observation)``.

    Args:
        run: a run directory.
        checkpoint: ``"best"`` by evaluation (the last where there was none), ``"last"``, or a checkpoint's name.
        trust: import the Python files that the run names, as for `load_run`.
    """
    run = Path(run)
    pipeline = load_run(run, trust=trust)
    environment = make_environment(build_environment(pipeline))
    observation_space, action_space = environment.observation_space, environment.action_space
    close_environment(environment, "environment")
    policy, _ = load_policy(run, pipeline, flat_space(observation_space), action_space, checkpoint)
    return Agent(policy, observation_space, action_space)


def load_policy(
    run: Path,
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    checkpoint: str,
    precision: str | None = None,
) -> tuple[Policy, Path]:
    """The policy of a run's checkpoint, on a CPU, and the checkpoint's folder.

    The observation space is flat; ``precision`` is the pipeline's unless it is given.
    """
    path = resolve_checkpoint(run, checkpoint)
    snapshots = load(path, "versions")
    policy = build_policy(pipeline, observation_space, action_space, precision=precision)
    with restoring(path):
        unpack(policy, snapshots[max(snapshots, key=int)]["weights"])
    return policy, path
