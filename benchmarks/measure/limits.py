"""The cost of each part of training alone, in one process: ``python -m measure.limits PIPELINE``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import framework
from framework.pipeline import Pipeline
from framework.pipeline.build import build_algorithm, build_environment
from framework.runtime.data.trajectory import collate
from framework.runtime.learn.device import SMALL_POLICY
from framework.runtime.rollout.collector import Collector
from framework.runtime.rollout.make_vector import make_vector
from framework.runtime.rollout.vector import Vector
from measure.processes import say


def environment(vector: Vector, seconds: float) -> dict[str, float]:
    """Microseconds of a step and of a reset of one environment, under random actions."""
    everyone = np.arange(vector.count)
    vector.action_space.seed(0)
    actions = [np.stack([vector.action_space.sample() for _ in everyone]) for _ in range(1024)]
    vector.reset(everyone, range(vector.count), [None] * vector.count)
    stepping = resetting = 0.0
    steps = resets = 0
    while stepping + resetting < seconds:
        before = time.perf_counter()
        vector.step(actions[steps % len(actions)])
        stepping += time.perf_counter() - before
        steps += 1
        done = np.flatnonzero(vector.terminated | vector.truncated)
        if done.size and not vector.self_resetting:
            before = time.perf_counter()
            vector.reset(done, [resets + n for n in range(len(done))], [None] * len(done))
            resetting += time.perf_counter() - before
            resets += len(done)
    return {"step": stepping / steps / vector.count * 1e6, "reset": resetting / max(resets, 1) * 1e6}


def repeated(call: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Wall and processor microseconds of one call, after a few that do not count."""
    for _ in range(3):
        call()
    calls, started, processor = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        call()
        calls += 1
    return (time.perf_counter() - started) / calls * 1e6, (time.process_time() - processor) / calls * 1e6


def parts(pipeline: Pipeline, seconds: float) -> dict[str, Any]:
    """Microseconds per environment step of the environments, of acting, and of learning."""
    sampling = pipeline.sampling
    vector = make_vector(build_environment(pipeline), sampling.shard)
    algorithm = build_algorithm(pipeline, vector.observation_space, vector.action_space, device=pipeline.runtime.device)
    all_threads = torch.get_num_threads()
    policy: Any = algorithm.policy
    policy.eval()
    torch.set_num_threads(1)  # as in a sampler
    shards = [range(start, start + sampling.shard) for start in range(0, sampling.environments, sampling.shard)]
    trajectories = []
    for number, shard in enumerate(shards):
        collector = Collector(pipeline.run.seed, number, shard, vector, sampling.rollout_length)
        collector.restore(None, policy)
        trajectories.append(collector.collect(policy, 0))
    observations = {name: torch.from_numpy(array.copy()) for name, array in vector.observations.items()}
    mask = None if vector.action_mask is None else torch.from_numpy(vector.action_mask.copy())
    memory, first = policy.initial_memory(vector.count), torch.zeros(vector.count, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)

    def act() -> None:
        policy.act(observations, memory, first, generator, action_mask=mask)

    with torch.inference_mode():
        acting, _ = repeated(act, seconds)
    costs = environment(vector, seconds)
    vector.close()

    lag = sampling.policy_lag if isinstance(sampling.policy_lag, int) else 1
    batch = collate(trajectories, pipeline.runtime.device, progress=0.0, lag=lag)
    if isinstance(pipeline.runtime.threads, int):
        torch.set_num_threads(pipeline.runtime.threads)
    elif sum(parameter.numel() for parameter in policy.parameters()) >= SMALL_POLICY:
        torch.set_num_threads(all_threads)
    policy.train()
    updating, processor = repeated(lambda: algorithm.update(batch), seconds)
    return {
        "environment": costs["step"],
        "reset": costs["reset"],
        "policy": acting / sampling.shard,
        "update": updating / batch.steps,
        "update_processor": processor / batch.steps,
        "learner_threads": torch.get_num_threads(),
    }


def main() -> None:
    """Measure each part for so many seconds."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("pipeline")
    arguments.add_argument("overrides", nargs="*")
    arguments.add_argument("--seconds", type=float, default=3.0)
    options = arguments.parse_args()
    say(**parts(framework.load(options.pipeline, options.overrides), options.seconds))


if __name__ == "__main__":
    main()
