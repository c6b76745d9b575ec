"""A process that makes the same updates as the one that has the run, and computes its share of the gradients."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from framework.errors import RunError
from framework.interfaces import Algorithm
from framework.pipeline.build import build_algorithm
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import fingerprints, versions
from framework.runtime.data.policy_snapshot import pack
from framework.runtime.data.trajectory import Trajectory, collate
from framework.runtime.disk import checkpoint
from framework.runtime.learn.device import learner_threads, usable_device
from framework.runtime.learn.malloc import keep_freed_memory
from framework.runtime.learn.ranks import Group, Rank, local_device, slices_of
from framework.runtime.link import wire
from framework.runtime.link.admission import differences
from framework.runtime.rollout.worker import Worker


class Followers:
    """The other processes of a learner, as the one that has the run sees them."""

    def __init__(self, group: Group, pipeline: Pipeline):
        self._group = group
        described = {
            "pipeline": pipeline.for_other_processes().to_plain(),
            "directory": str(pipeline.directory.resolve()),
            "has": _has(pipeline),
        }
        self._group.send([json.dumps(described).encode()])
        _check_equal(self._group, [])

    def begin(self, algorithm: Algorithm) -> None:
        """Have them start from this algorithm's state."""
        self._group.send(list(checkpoint.encode(algorithm.state_dict()).values()))

    def update(self, trajectories: Sequence[Trajectory], **fields: Any) -> None:
        """Have them learn from a batch, as this process is about to."""
        self._group.send([json.dumps({"trajectories": len(trajectories), **fields}).encode()])
        for trajectory in trajectories:
            self._group.send(wire.encode("trajectory", trajectory.arrays, **_numbers(trajectory), timing=[]))

    def check(self, algorithm: Algorithm) -> None:
        """Raise `RunError` where one has come to other weights."""
        _check_weights(self._group, algorithm)

    def end(self) -> None:
        """Have them end."""
        self._group.send([json.dumps({"trajectories": 0}).encode()])


def follow(rank: Rank) -> None:
    """Be one of the others, until the first says that it was the last update.

    Signals are for the first, which ends all in good order. Raises `RunError` where one of them is lost.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with closing(Group(rank)) as group:
        _follow(rank, group)


def _follow(rank: Rank, group: Group) -> None:
    described = json.loads(bytes(group.receive()[0]))
    pipeline = Pipeline.from_plain(described["pipeline"], Path(described["directory"]))
    _check_equal(group, list(differences(described["has"], _has(pipeline)).values()))
    device = local_device(usable_device(pipeline.runtime.device), rank)
    algorithm = _algorithm(pipeline, device)
    tensors, state = group.receive()
    algorithm.load_state_dict(checkpoint.decode({"tensors.safetensors": bytes(tensors), "state.json": bytes(state)}))
    while True:
        fields = json.loads(bytes(group.receive()[0]))
        count = fields.pop("trajectories")
        if not count:
            break
        trajectories = [_trajectory(group) for _ in range(count)]
        algorithm.update(collate(trajectories, device, **fields))
        _check_weights(group, algorithm)


def _algorithm(pipeline: Pipeline, device: str) -> Algorithm:
    torch.set_num_threads(1)  # as in the first: how weights are initialised depends on it
    worker = Worker(pipeline)
    spaces = worker.observation_space, worker.action_space
    worker.close()
    algorithm = build_algorithm(pipeline, *spaces, device=device)
    policy: Any = algorithm.policy
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    keep_freed_memory()
    torch.set_num_threads(learner_threads(pipeline.runtime.threads, parameters, slices_of(pipeline)))
    return algorithm


def _trajectory(group: Group) -> Trajectory:
    message = wire.decode(group.receive(), limit=2**62)
    return Trajectory(message["shard"], message["number"], message["version"], dict(message.arrays))


def _numbers(trajectory: Trajectory) -> dict[str, int]:
    return {"shard": trajectory.shard, "number": trajectory.number, "version": trajectory.version}


def _has(pipeline: Pipeline) -> dict[str, str]:
    return {**versions(), **fingerprints(pipeline)}


def _check_equal(group: Group, differs: Sequence[str]) -> None:
    """Raise `RunError` where a process has other versions or components than the first."""
    told = group.compare(" | ".join(differs))
    if any(told):
        number = next(number for number, line in enumerate(told) if line)
        raise RunError(f"process {number} of the learner differs from the first: {told[number]}")


def _check_weights(group: Group, algorithm: Algorithm) -> None:
    digests = group.compare(hashlib.blake2b(pack(algorithm.policy).data, digest_size=16).hexdigest())
    differing = [number for number, digest in enumerate(digests) if digest != digests[0]]
    if differing:
        raise RunError(
            f"processes {differing} of the learner have come to other weights than the first: they need processors, or "
            "GPUs, of one kind"
        )
