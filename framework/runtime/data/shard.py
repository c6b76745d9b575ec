"""The state of a shard between two trajectories: small, plain, and enough for anyone to go on from.

An episode is a function of its seed, its task and its actions. So the state is the number of each environment's
episode in progress, its task, and its actions so far; whoever takes the shard over plays them again, and compares the
observations it arrives at with the recorded digests. Where environments offer snapshots, the newest one replaces the
actions before it. Actions that are too many are let go: that episode is lost where its shard is taken over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from framework.runtime.data.episode_snapshot import EpisodeSnapshot, decode_snapshots, encode_snapshots
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
    #: Of each environment: pieces [L, ...] of the actions of that episode, since its snapshot where it has one; None
    #: where they were too many.
    actions: tuple[tuple[np.ndarray, ...] | None, ...]
    action_dtype: np.dtype[Any]  #: that the environments take; whole numbers that fit are kept in a byte each
    digest: np.ndarray  #: [N, 16] uint8: of the observation that the next action is chosen for
    memory: dict[str, np.ndarray] = field(factory=dict)  #: the policy's, {name: [N, ...]}
    tasks: tuple[Any, ...] = ()  #: of each environment's episode in progress, where there is a curriculum
    #: The newest of each environment's episode in progress, where environments offer snapshots.
    snapshots: tuple[EpisodeSnapshot | None, ...] = ()

    def advance(self, trajectory: Trajectory, limit: int | None = None) -> ShardState:
        """The state after ``trajectory``; of an episode with more than ``limit`` actions it keeps none."""
        return _after(trajectory, self, limit)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for the wire and for checkpoints."""
        whole = [None if pieces is None else np.concatenate(pieces) for pieces in self.actions]
        kept = [actions for actions in whole if actions is not None]
        return {
            "number": np.array([self.number], np.int64),
            "episode": self.episode,
            "digest": self.digest,
            "lengths": np.array([-1 if actions is None else len(actions) for actions in whole], np.int64),
            "actions": np.concatenate(kept) if kept else np.empty(0, self.action_dtype),
            "action": np.empty(0, self.action_dtype),  # which tells its dtype
            **{f"memory/{name}": value for name, value in self.memory.items()},
            **({"tasks": encode_tasks(self.tasks)} if self.tasks else {}),
            **encode_snapshots(self.snapshots),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ShardState:
        """What `to_arrays` gave."""
        lengths = arrays["lengths"]
        pieces = np.split(np.array(arrays["actions"]), np.cumsum(lengths.clip(0))[:-1])
        return cls(
            number=int(arrays["number"][0]),
            episode=np.array(arrays["episode"]),
            actions=tuple(None if length < 0 else (piece,) for length, piece in zip(lengths, pieces, strict=True)),
            action_dtype=arrays.get("action", pieces[0]).dtype,  # older checkpoints do not tell: they keep it as it is
            digest=np.array(arrays["digest"]),
            memory={name: np.array(value) for name, value in group(arrays, "memory").items()},
            tasks=tuple(decode_tasks(arrays["tasks"])) if "tasks" in arrays else (),
            snapshots=decode_snapshots(arrays),
        )


def first_state(trajectory: Trajectory, limit: int | None = None) -> ShardState:
    """The state after a shard's first trajectory; ``limit`` as in `ShardState.advance`."""
    return _after(trajectory, None, limit)


def _after(trajectory: Trajectory, before: ShardState | None, limit: int | None) -> ShardState:
    arrays = trajectory.arrays
    first, actions = arrays["first"], _narrowed(arrays["actions"])
    taken = decode_snapshots(arrays)
    pieces: list[tuple[np.ndarray, ...] | None] = []
    snapshots: list[EpisodeSnapshot | None] = []
    for n in range(actions.shape[1]):
        starts = np.flatnonzero(first[:, n])
        continued = None if starts.size else before
        recent = np.array(actions[starts[-1] if starts.size else 0 :, n])
        earlier = () if continued is None else continued.actions[n]
        snapshot = continued.snapshots[n] if continued and continued.snapshots else None
        if taken and taken[n] is not None:
            earlier, recent, snapshot = (), recent[:0].copy(), taken[n]
        pieces.append(None if earlier is None else _within(limit, (*earlier, recent)))
        snapshots.append(snapshot)
    last = {name: array[-1] for name, array in group(arrays, "observations").items()}
    return ShardState(
        number=trajectory.number + 1,
        episode=np.array(arrays["episode"]),
        actions=tuple(pieces),
        action_dtype=arrays["actions"].dtype,
        digest=digests(last),
        memory={name: np.array(array) for name, array in group(arrays, "memory_after").items()},
        tasks=trajectory.tasks(),
        snapshots=tuple(snapshots) if taken else (),
    )


def _within(limit: int | None, pieces: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...] | None:
    """The pieces of an episode, or None where they are longer than ``limit``."""
    # Only the first may have another length than a trajectory: there may be a thousand of them.
    steps = len(pieces[0]) + (len(pieces) - 1) * len(pieces[-1])
    return pieces if limit is None or steps <= limit else None


def _narrowed(actions: np.ndarray) -> np.ndarray:
    """The same actions in a byte each, where they are whole numbers from 0 to 255."""
    fit = actions.dtype.kind in "iu" and actions.min() >= 0 and actions.max() <= np.iinfo(np.uint8).max
    return actions.astype(np.uint8) if fit else actions
