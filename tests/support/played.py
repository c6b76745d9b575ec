"""Made-up play in several environments, as batches and as plain lists, for the tests of replay buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from attrs import define, field
from gymnasium.spaces import Box, Discrete

from framework.interfaces import Batch, Context

STACK = 3


def context(columns: int, steps: int = 1, **fields: Any) -> Context:
    """What a replay buffer is built with."""
    spaces = {"number": Box(-np.inf, np.inf, (1,), np.float32)}
    sizes = {"num_envs": columns, "rollout_length": steps, "total_steps": 1}
    return Context(
        **{"observation_space": spaces, "action_space": Discrete(4), "seed": 0, "device": "cpu"} | sizes | fields
    )


@define
class Step:
    """One step, and what came after it."""

    observation: dict[str, np.ndarray]
    action: int
    reward: float
    terminated: bool
    ended: bool
    valid: bool
    after: dict[str, np.ndarray]  #: the true next observation
    mask: np.ndarray
    mask_after: np.ndarray
    extra: np.ndarray


@define
class Play:
    """Environments whose observations are all different; episodes end with probability ``end``.

    ``lost`` columns of the next batch start anew though nothing ended. With ``reset_steps``, an ended episode is
    followed by a step that is not valid, as in vector environments that reset themselves.
    """

    columns: int
    seed: int = 0
    end: float = 0.2
    reset_steps: bool = False
    stacks: bool = True
    steps: list[list[Step]] = field(factory=list)  #: [row][column]
    rng: np.random.Generator = field(init=False)
    _count: int = 0
    _current: list[dict[str, np.ndarray]] = field(init=False)
    _mask: np.ndarray = field(init=False)
    _first: np.ndarray = field(init=False)
    _resets: np.ndarray = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._current = [self._start() for _ in range(self.columns)]
        self._mask = self._masks()
        self._first = np.ones(self.columns, bool)
        self._resets = np.zeros(self.columns, bool)

    def batch(self, count: int, lost: tuple[int, ...] = (), progress: float = 0.0) -> Batch:
        """The next ``count`` steps of all columns."""
        for column in lost:
            if self.steps:
                step = self.steps[-1][column]
                step.ended, step.mask_after = True, np.ones(4, bool)
            self._current[column], self._first[column], self._resets[column] = self._start(), True, False
        observed, firsts, masks, finals, index = [self._current.copy()], [self._first.copy()], [self._mask], [], []
        for row in range(count):
            played, mask = [], self._masks()
            for column, current in enumerate(self._current):
                valid = not self._resets[column]
                ended = bool(valid and self.rng.random() < self.end)
                after = self._next(current) if valid else self._start()
                step = Step(
                    current,
                    int(self.rng.integers(4)),
                    float(self.rng.normal()),
                    ended and self.rng.random() < 0.5,
                    ended,
                    bool(valid),
                    after,
                    self._mask[column],
                    np.ones(4, bool) if ended else mask[column],
                    self.rng.normal(size=2).astype(np.float32),
                )
                if ended:
                    finals.append(after)
                    index.append(row * self.columns + column)
                self._resets[column] = ended and self.reset_steps
                self._first[column] = (ended and not self.reset_steps) or not valid
                self._current[column] = self._start() if ended and not self.reset_steps else after
                played.append(step)
            self.steps.append(played)
            self._mask = mask
            observed.append(self._current.copy())
            firsts.append(self._first.copy())
            masks.append(mask)
        return self._make(self.steps[-count:], observed, np.array(firsts), masks, finals, index, progress)

    def expected(self, number: int, n: int) -> dict[str, Any]:
        """The transition that starts with the step of this id, step by step."""
        row, column = divmod(number, self.columns)
        first = last = self.steps[row][column]
        rewards = [first.reward]
        while len(rewards) < n and not last.ended and row + len(rewards) < len(self.steps):
            last = self.steps[row + len(rewards)][column]
            rewards.append(last.reward)
        return {
            "observations": first.observation,
            "actions": first.action,
            "rewards": np.array(rewards + [0.0] * (n - len(rewards)), np.float32),
            "steps": len(rewards),
            "terminated": last.terminated,
            "next_observations": last.after,
            "action_mask": first.mask,
            "next_action_mask": last.mask_after,
            "extras": {"noise": first.extra},
        }

    def _make(
        self,
        rows: list[list[Step]],
        observed: Any,
        firsts: np.ndarray,
        masks: Any,
        finals: Any,
        index: Any,
        progress: float,
    ) -> Batch:
        def of(name: str, kind: Any = None) -> torch.Tensor:
            return torch.tensor(np.array([[getattr(step, name) for step in row] for row in rows]), dtype=kind)

        ended = of("ended")
        ended[:] = False
        ended.view(-1)[index] = True
        order = self.rng.permutation(len(index))  # ends of several shards do not come in the order of their steps
        shapes = {name: x[None][:0] for name, x in self._current[0].items()}
        last = {
            name: np.array([finals[k][name] for k in order], x.dtype) if finals else x for name, x in shapes.items()
        }
        observations = {
            name: np.array([[observation[name] for observation in row] for row in observed]) for name in shapes
        }
        return Batch(
            observations={name: torch.from_numpy(x) for name, x in observations.items()},
            actions=of("action"),
            rewards=of("reward", torch.float32),
            terminated=of("terminated"),
            truncated=ended & ~of("terminated"),
            first=torch.from_numpy(firsts),
            valid=of("valid"),
            final_index=torch.tensor(np.array(index, np.int64)[order]),
            final_observations={name: torch.from_numpy(x) for name, x in last.items()},
            action_mask=torch.from_numpy(np.array(masks)),
            extras={"noise": of("extra"), "final_value": torch.zeros(len(index))},
            progress=progress,
        )

    def _start(self) -> dict[str, np.ndarray]:
        number, frame = self._new()
        return {"number": number} | ({"frames": np.stack([frame] * STACK)} if self.stacks else {})

    def _next(self, before: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        number, frame = self._new()
        return {"number": number} | (
            {"frames": np.concatenate((before["frames"][1:], frame[None]))} if self.stacks else {}
        )

    def _new(self) -> tuple[np.ndarray, np.ndarray]:
        self._count += 1
        return np.array([self._count], np.float32), self.rng.integers(0, 256, (2, 2), np.uint8)

    def _masks(self) -> np.ndarray:
        return self.rng.random((self.columns, 4)) < 0.7


def plain(transitions: Any, row: int) -> dict[str, Any]:
    """One of the transitions of a sample, as `Play.expected` gives them."""

    def pick(value: Any) -> Any:
        return {name: pick(x) for name, x in value.items()} if isinstance(value, dict) else value[row].numpy()

    names = (*("observations", "actions", "rewards", "steps", "terminated"), "next_observations", "action_mask")
    return {name: pick(getattr(transitions, name)) for name in (*names, "next_action_mask", "extras")}


def same(actual: Any, expected: Any) -> bool:
    """Whether two such transitions are equal in every bit."""
    if isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(same(actual[name], expected[name]) for name in expected)
    return np.array_equal(actual, np.asarray(expected, actual.dtype))
