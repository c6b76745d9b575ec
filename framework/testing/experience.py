"""Batches as the kernel collects them, from random environments and a walk along a ring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from framework.testing.legal import is_legal, one_illegal_each, sample_legal, structured

if TYPE_CHECKING:
    from framework.interfaces import Batch, Context

Result = tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]


class Chance(gymnasium.Env[Any, Any]):
    """Random observations and rewards; a step ends the episode with probability ``ends``.

    An ended episode is truncated with probability ``truncates``, and terminated otherwise. Its last observation is
    multiplied by ``last`` (plain Box only), so that the same can be tried with another end. With ``masked`` true, one
    choice of each group is illegal at each step.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        ends: float = 0.2,
        truncates: float = 0.5,
        last: float = 1.0,
        masked: bool = False,
    ):
        # Copies, because a space carries the generator that it is sampled with.
        self.observation_space, self.action_space = deepcopy(observation_space), deepcopy(action_space)
        self._ends, self._truncates, self._last, self._masked = ends, truncates, last, masked

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return _draw(self.observation_space), self._info()

    def step(self, action: Any) -> Result:
        """One step; an action that is not in the space, or illegal, raises ValueError."""
        if not self.action_space.contains(action):
            raise ValueError(f"the action {action!r} is not in {self.action_space}")
        if self._masked and not is_legal(self.action_space, action, self._legal):
            raise ValueError(f"the action {action!r} is illegal")
        over = self.np_random.random() < self._ends
        truncated = bool(over and self.np_random.random() < self._truncates)
        reward = float(self.np_random.normal())
        observation = _draw(self.observation_space)
        if over and self._last != 1.0:
            observation = observation * np.asarray(self._last, observation.dtype)
        return observation, reward, bool(over and not truncated), truncated, self._info()

    def _info(self) -> dict[str, Any]:
        if not self._masked:
            return {}
        self._legal = one_illegal_each(self.action_space, self.np_random)
        return {"action_mask": structured(self.action_space, self._legal)}


def _draw(space: Space[Any]) -> Any:
    """As ``space.sample()``, which for a Box takes ten times as long as drawing the numbers does."""
    if not isinstance(space, Box) or space.dtype is None:
        return space.sample()
    if not (space.bounded_below.any() or space.bounded_above.any()):
        return space.np_random.normal(size=space.shape).astype(space.dtype)
    if not space.is_bounded():
        return space.sample()
    if space.dtype.kind == "f":
        return space.np_random.uniform(space.low, space.high).astype(space.dtype)
    return space.np_random.integers(space.low, space.high, dtype=space.dtype, endpoint=True)


class Ring(gymnasium.Env[Any, Any]):
    """A walk along one arc of a ring of ``2 * SIZE`` places; the observation shows the place, one-hot.

    Action 1 goes on, 0 goes back, both within the arc: ``SIZE`` places from 0, or those from ``SIZE`` on. Truncated
    after 20 steps. What is learned on one arc says nothing about the other.
    """

    SIZE = 8

    def __init__(self, arc: int):
        self.observation_space = Box(0, 1, (2 * self.SIZE,), np.float32)
        self.action_space = Discrete(2)
        self._start = arc * self.SIZE

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start anywhere on the arc."""
        super().reset(seed=seed)
        self._place, self._steps = int(self.np_random.integers(self.SIZE)), 0
        return self._observe(), {}

    def step(self, action: Any) -> Result:
        """Go on or back, without reward."""
        self._place = (self._place + 2 * int(action) - 1) % self.SIZE
        self._steps += 1
        return self._observe(), 0.0, False, self._steps == 20, {}

    def _observe(self) -> np.ndarray:
        observation = np.zeros(2 * self.SIZE, np.float32)
        observation[self._start + self._place] = 1.0
        return observation


class RandomPolicy:
    """Random legal actions, each recorded with a random number, the extra ``"chance"`` [T, N]."""

    def __init__(self, action_space: Space[Any]):
        self._space = deepcopy(action_space)

    def initial_memory(self, count: int) -> dict[str, Any]:
        """None."""
        return {}

    def act(
        self,
        observation: Any,
        memory: Any,
        first: Any,
        generator: Any,
        *,
        action_mask: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, dict[str, Any], Any]:
        """See `framework.interfaces.Policy`."""
        import torch

        from framework.toolkit.spaces import flat_action

        count = len(first)
        self._space.seed(int(torch.randint(2**31, (), generator=generator)))
        masks = [None] * count if action_mask is None else action_mask.numpy()
        drawn = [flat_action(self._space, sample_legal(self._space, mask)) for mask in masks]
        actions = torch.from_numpy(np.stack(drawn))
        return actions, {"chance": torch.rand(count, generator=generator)}, memory

    def postprocess_trajectory(self, batch: Batch) -> dict[str, Any]:
        """See `framework.interfaces.Policy`."""
        return dict(batch.extras)


class Experience(Iterator["Batch"]):
    """The batches that a policy (a random one by default) collects, each going on where the last one ended.

    ``make(n)`` makes environment ``n``; by default it is `Chance` over the context's spaces with ``chances``. The batch
    is what the kernel's own collector makes of them; ``progress`` grows with each.
    """

    def __init__(
        self,
        context: Context,
        policy: Any = None,
        *,
        make: Callable[[int], gymnasium.Env[Any, Any]] | None = None,
        seed: int = 0,
        lag: int = 0,
        **chances: Any,
    ):
        from framework.runtime.rollout.collector import Collector
        from framework.runtime.rollout.stepped_vector import SteppedVector

        self._space = nested(context)
        make = make or (lambda n: Chance(self._space, context.action_space, **chances))
        vector = SteppedVector([make(n) for n in range(context.num_envs)])
        self._policy = policy or RandomPolicy(context.action_space)
        self._collector = Collector(seed, 0, range(context.num_envs), vector, context.rollout_length)
        self._collector.restore(None, self._policy)
        self._lag, self._total, self._steps = lag, context.total_steps, 0

    def __next__(self) -> Batch:
        from framework.runtime.data.trajectory import collate

        trajectory = self._collector.collect(self._policy, 0)
        batch = collate([trajectory], progress=min(1.0, self._steps / self._total), lag=self._lag)
        self._steps += trajectory.steps
        return batch


def nested(context: Context) -> Space[Any]:
    """The observation space of a context, with its leaves nested in a Dict."""
    leaves = context.observation_space
    return leaves["observation"] if leaves.keys() == {"observation"} else gymnasium.spaces.Dict(dict(leaves))


def contents(batch: Batch) -> dict[str, Any]:
    """All fields of a batch by name."""
    return {name: getattr(batch, name) for name in batch.__annotations__}


def with_reset_step(batch: Batch, garbage: float = 0.0) -> Batch:
    """The batch as it would be where an environment spends a step on its reset, as some vector environments do.

    Such a step follows an episode's end; it is not ``valid``, has no reward, and its action means nothing. Both it
    and what was recorded of it become ``garbage``.
    """
    batch = deepcopy(batch)
    done = batch.terminated | batch.truncated
    for t, n in done[:-2].nonzero().tolist():
        if not done[t + 1, n]:
            break
    else:
        raise ValueError("no episode of this batch ends early enough")
    row = (t + 1, n)
    batch.valid[row] = False
    batch.rewards[row] = 0.0
    batch.first[t + 1, n], batch.first[t + 2, n] = False, True
    for name, value in batch.extras.items():
        if not name.startswith("final_") and value.is_floating_point():
            value[row] += garbage
    return batch
