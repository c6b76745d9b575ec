"""The runtime's own cost of each trajectory, piece by piece: ``python -m measure.pieces PIPELINE``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch

import framework
from framework.pipeline import Pipeline
from framework.pipeline.build import build_algorithm
from framework.runtime.data.policy_snapshot import pack, unpack
from framework.runtime.data.shard import first_state, shard_environments
from framework.runtime.data.trajectory import Trajectory, collate
from framework.runtime.learn.checks import bad_value
from framework.runtime.link import wire
from framework.runtime.rollout.worker import Worker
from measure.limits import repeated
from measure.processes import say


def pieces(pipeline: Pipeline, seconds: float) -> dict[str, float]:
    """Microseconds per trajectory; those of the weights, which travel once for an update and sampler, per update."""
    worker = Worker(pipeline)
    algorithm = build_algorithm(pipeline, worker.observation_space, worker.action_space, device="cpu")
    weights = pack(algorithm.policy)
    worker.keep(0, {"weights": weights})
    worker.restore(0, None)
    trajectory = worker.collect(0, 0, 0)
    state, later = first_state(trajectory), worker.collect(0, 1, 0)
    environments = shard_environments(pipeline.sampling.environments, pipeline.sampling.shard)
    limit = sum(worker.specification.bytes.values())
    frames = [bytes(frame) for frame in _encode(trajectory)]
    arrays = dict(wire.decode(frames, limit=limit).arrays)
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: _encode(trajectory),
        "decode": lambda: wire.decode(frames, limit=limit),
        "check dtypes and shapes": lambda: worker.specification.check(arrays),
        "shard's state": lambda: state.advance(later),
        "look for NaN": lambda: bad_value(trajectory, environments[0]),
        "batch": lambda: collate([trajectory] * len(environments)),
        "pack weights": lambda: pack(algorithm.policy),
        "unpack weights": lambda: unpack(algorithm.policy, weights),
    }
    costs = {name: repeated(call, seconds)[0] for name, call in calls.items()}
    costs["batch"] /= len(environments)
    worker.close()
    return costs


def _encode(trajectory: Trajectory) -> list[Any]:
    fields = {"shard": trajectory.shard, "number": trajectory.number, "version": trajectory.version}
    return wire.encode("trajectory", trajectory.arrays, **fields, timing=[0.0, 0.0, 0.0])


def main() -> None:
    """Measure each piece for so many seconds, on one thread."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pipeline")
    arguments.add_argument("overrides", nargs="*")
    arguments.add_argument("--seconds", type=float, default=0.5)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    say(**pieces(framework.load(options.pipeline, options.overrides), options.seconds))


if __name__ == "__main__":
    main()
