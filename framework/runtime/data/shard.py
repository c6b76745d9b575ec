"""The state of a shard between two trajectories: small, plain, and enough for anyone to go on from.

An episode is a function of its seed, its task and its actions. So the state is the number of each environment's
episode in progress, its task, and its actions so far; whoever takes the shard over plays them again, and compares the
observations it arrives at with the recorded digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import field, frozen

from framework.runtime.data.tasks import decode_tasks, encode_tasks
from framework.runtime.data.trajectory import Trajectory, group

_DIGEST_BYTES = 16


def shard_environments(environments: int, size: int) -> list[range]:
    """The environments of each shard."""
    return [range(start, start + size) for start in range(0, environments, size)]


def digests(observations: Mapping[str, np.ndarray]) -> np.ndarray:
    """A fingerprint of each environment's observation: ``{name: [N, ...]}`` -> [N, 16] uint8."""
    rows = [np.ascontiguousarray(observations[name]) for name in sorted(observations)]
    parts = [
        hashlib.blake2b(b"".join(row[n].tobytes() for row in rows), digest_size=_DIGEST_BYTES).digest()
        for n in range(len(rows[0]))
    ]
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, _DIGEST_BYTES)


@frozen
class ShardState:
    """What the trajectory ``number`` of a shard starts from."""

    number: int
    episode: np.ndarray  #: [N] int64: number of each environment's episode in progress
    actions: tuple[tuple[np.ndarray, ...], ...]  #: of each environment: pieces [L, ...] of the actions of that episode
    action_dtype: np.dtype[Any]  #: that the environments take; whole numbers that fit are kept in a byte each
    digest: np.ndarray  #: [N, 16] uint8: of the observation that the next action is chosen for
    memory: dict[str, np.ndarray] = field(factory=dict)  #: the policy's, {name: [N, ...]}
    tasks: tuple[Any, ...] = ()  #: of each environment's episode in progress, where there is a curriculum

    def advance(self, trajectory: Trajectory) -> ShardState:
        """The state after ``trajectory``."""
        return _after(trajectory, self.actions)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for the wire and for checkpoints."""
        whole = [np.concatenate(pieces) for pieces in self.actions]
        return {
            "number": np.array([self.number], np.int64),
            "episode": self.episode,
            "digest": self.digest,
            "lengths": np.array([len(actions) for actions in whole], np.int64),
            "actions": np.concatenate(whole),
            "action": np.empty(0, self.action_dtype),  # which tells its dtype
            **{f"memory/{name}": value for name, value in self.memory.items()},
            **({"tasks": encode_tasks(self.tasks)} if self.tasks else {}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ShardState:
        """What `to_arrays` gave."""
        ends = np.cumsum(arrays["lengths"])
        pieces = np.split(np.array(arrays["actions"]), ends[:-1])
        return cls(
            number=int(arrays["number"][0]),
            episode=np.array(arrays["episode"]),
            actions=tuple((piece,) for piece in pieces),
            action_dtype=arrays.get("action", pieces[0]).dtype,  # older checkpoints do not tell: they keep it as it is
            digest=np.array(arrays["digest"]),
            memory={name: np.array(value) for name, value in group(arrays, "memory").items()},
            tasks=tuple(decode_tasks(arrays["tasks"])) if "tasks" in arrays else (),
        )


def first_state(trajectory: Trajectory) -> ShardState:
    """The state after a shard's first trajectory."""
    nothing: tuple[tuple[np.ndarray, ...], ...] = ((),) * trajectory.arrays["rewards"].shape[1]
    return _after(trajectory, nothing)


def _after(trajectory: Trajectory, before: Sequence[tuple[np.ndarray, ...]]) -> ShardState:
    arrays = trajectory.arrays
    first, actions = arrays["first"], _narrowed(arrays["actions"])
    pieces = []
    for n, earlier in enumerate(before):
        starts = np.flatnonzero(first[:, n])
        recent = np.array(actions[starts[-1] if starts.size else 0 :, n])
        pieces.append((recent,) if starts.size else (*earlier, recent))
    last = {name: array[-1] for name, array in group(arrays, "observations").items()}
    return ShardState(
        number=trajectory.number + 1,
        episode=np.array(arrays["episode"]),
        actions=tuple(pieces),
        action_dtype=arrays["actions"].dtype,
        digest=digests(last),
        memory={name: np.array(array) for name, array in group(arrays, "memory_after").items()},
        tasks=trajectory.tasks(),
    )


def _narrowed(actions: np.ndarray) -> np.ndarray:
    """The same actions in a byte each, where they are whole numbers from 0 to 255."""
    fit = actions.dtype.kind in "iu" and actions.min() >= 0 and actions.max() <= np.iinfo(np.uint8).max
    return actions.astype(np.uint8) if fit else actions
