"""The state of a shard between two trajectories: small, plain, and enough for anyone to go on from.

An episode is a function of its seed, its task and its actions. So the state is the number of each environment's
episode in progress, its task, and its actions so far; whoever takes the shard over plays them again, and compares the
observations it arrives at with the recorded digests. Where environments offer snapshots, the actions since the newest
one are enough for whoever can load it, and those before it are for whoever cannot. Actions that are too many are let
go: that episode is lost where its shard is taken over by somebody who needs them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
    #: Beside them: the actions [L, ...] of the episode before its snapshot, none where it has none; None where the
    #: episode has too many.
    before: tuple[np.ndarray | None, ...] = ()

    def advance(self, trajectory: Trajectory, limit: int | None = None) -> ShardState:
        """The state after ``trajectory``; of an episode of over ``limit`` actions, those since a snapshot are kept."""
        return _after(trajectory, self, limit)

    def actions_since(self, n: int, snapshot: EpisodeSnapshot | None) -> np.ndarray | None:
        """Actions [L, ...] of environment ``n`` since its ``snapshot``, or for None since its episode's start.

        None where they were too many to be kept.
        """
        pieces: tuple[np.ndarray, ...] | None = self.actions[n]
        if snapshot is None and self.snapshots and self.snapshots[n] is not None:
            before = self.before[n] if self.before else None
            pieces = None if pieces is None or before is None else (before, *pieces)
        return None if pieces is None else np.concatenate(pieces).astype(self.action_dtype)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As named arrays, for the wire and for checkpoints."""
        lengths, actions = _joined([None if pieces is None else np.concatenate(pieces) for pieces in self.actions])
        before_lengths, before = _joined(self.before)
        return {
            "number": np.array([self.number], np.int64),
            "episode": self.episode,
            "digest": self.digest,
            "lengths": lengths,
            "actions": np.empty(0, self.action_dtype) if actions is None else actions,
            "action": np.empty(0, self.action_dtype),  # which tells its dtype
            **{f"memory/{name}": value for name, value in self.memory.items()},
            **({"tasks": encode_tasks(self.tasks)} if self.tasks else {}),
            **encode_snapshots(self.snapshots),
            **({"before_lengths": before_lengths} if self.before else {}),
            **({} if before is None else {"before": before}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ShardState:
        """What `to_arrays` gave."""
        actions = _parted(arrays["lengths"], arrays["actions"])
        snapshots = decode_snapshots(arrays)
        unrecorded = np.full(len(snapshots), -1)
        return cls(
            number=int(arrays["number"][0]),
            episode=np.array(arrays["episode"]),
            actions=tuple(None if piece is None else (piece,) for piece in actions),
            # Older checkpoints do not tell: they keep it as it is.
            action_dtype=arrays.get("action", arrays["actions"]).dtype,
            digest=np.array(arrays["digest"]),
            memory={name: np.array(value) for name, value in group(arrays, "memory").items()},
            tasks=tuple(decode_tasks(arrays["tasks"])) if "tasks" in arrays else (),
            snapshots=snapshots,
            before=_parted(arrays.get("before_lengths", unrecorded), arrays.get("before", arrays["actions"][:0])),
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
    before_snapshots: list[np.ndarray | None] = []
    for n in range(actions.shape[1]):
        starts = np.flatnonzero(first[:, n])
        continued = None if starts.size else before
        recent = np.array(actions[starts[-1] if starts.size else 0 :, n])
        earlier = () if continued is None else continued.actions[n]
        snapshot = continued.snapshots[n] if continued and continued.snapshots else None
        kept = None if earlier is None else (*earlier, recent)
        if not taken:
            pieces.append(_within(limit, kept))
            continue
        before_snapshot = recent[:0] if continued is None else continued.before[n] if continued.before else None
        if taken[n] is not None:
            whole = None if before_snapshot is None or kept is None else np.concatenate((before_snapshot, *kept))
            before_snapshot, kept, snapshot = whole, (recent[:0].copy(),), taken[n]
        if before_snapshot is not None and _within(limit, kept, len(before_snapshot)) is None:
            before_snapshot = None
        pieces.append(kept)
        snapshots.append(snapshot)
        before_snapshots.append(before_snapshot)
    last = {name: array[-1] for name, array in group(arrays, "observations").items()}
    return ShardState(
        number=trajectory.number + 1,
        episode=np.array(arrays["episode"]),
        actions=tuple(pieces),
        action_dtype=arrays["actions"].dtype,
        digest=digests(last),
        memory={name: np.array(array) for name, array in group(arrays, "memory_after").items()},
        tasks=trajectory.tasks(),
        snapshots=tuple(snapshots),
        before=tuple(before_snapshots),
    )


def _within(limit: int | None, pieces: tuple[np.ndarray, ...] | None, before: int = 0) -> tuple[np.ndarray, ...] | None:
    """The pieces of an episode, or None where they and the steps ``before`` them are longer than ``limit``."""
    if pieces is None or limit is None:
        return pieces
    # Only the first may have another length than a trajectory: there may be a thousand of them.
    steps = before + len(pieces[0]) + (len(pieces) - 1) * len(pieces[-1])
    return pieces if steps <= limit else None


def _joined(rows: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray | None]:
    """Lengths [N] of the rows, -1 for None, and all that are not None in one array, if any."""
    kept = [row for row in rows if row is not None]
    lengths = np.array([-1 if row is None else len(row) for row in rows], np.int64)
    return lengths, np.concatenate(kept) if kept else None


def _parted(lengths: np.ndarray, joined: np.ndarray) -> tuple[np.ndarray | None, ...]:
    """What `_joined` was given."""
    rows = np.split(np.array(joined), np.cumsum(lengths.clip(0))[:-1]) if len(lengths) else []
    return tuple(None if length < 0 else row for length, row in zip(lengths, rows, strict=True))


def _narrowed(actions: np.ndarray) -> np.ndarray:
    """The same actions in a byte each, where they are whole numbers from 0 to 255."""
    fit = actions.dtype.kind in "iu" and actions.min() >= 0 and actions.max() <= np.iinfo(np.uint8).max
    return actions.astype(np.uint8) if fit else actions
