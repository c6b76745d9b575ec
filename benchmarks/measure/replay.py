"""The operations per second of a prioritized replay buffer: ``python -m measure.replay CAPACITY BATCH SECONDS``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from measure.processes import say

WIDTH = 64  # elements of an observation
BLOCK = 1024  # steps added at once, where that is possible
ALPHA, BETA, EPSILON = 0.6, 0.4, 1e-6
_WARM_UP = 300


def block(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Successive steps of one environment."""
    observations = rng.standard_normal((BLOCK + 1, WIDTH), dtype=np.float32)
    return {
        "observation": observations[:-1],
        "action": rng.integers(0, 4, BLOCK),
        "reward": rng.standard_normal(BLOCK, dtype=np.float32),
        "next_observation": observations[1:],
        "terminated": np.zeros(BLOCK, bool),
    }


def rates(step: Callable[[], Any], add: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Samples with updates, and steps added in blocks, per second; ``fastest_us`` is the shortest time of two samples
    with updates, halved, which other load on the machine hardly affects.
    """
    for _ in range(_WARM_UP):  # until priorities differ
        step()
    fastest, rounds, started = float("inf"), 0, time.perf_counter()
    while (now := time.perf_counter()) < started + seconds:
        step()
        step()
        fastest, rounds = min(fastest, time.perf_counter() - now), rounds + 2
    samples = rounds / (time.perf_counter() - started)
    added, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds / 2:
        add()
        added += BLOCK
    adds = added / (time.perf_counter() - started)
    return {"samples_per_second": samples, "fastest_us": fastest / 2 * 1e6, "adds_per_second": adds}


def _framework_replay(capacity: int, batch: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import torch
    from gymnasium.spaces import Box, Discrete

    from framework.interfaces import Batch, Context
    from framework_replay.config import PrioritizedConfig
    from framework_replay.prioritized import Prioritized

    context = Context(
        observation_space={"observation": Box(-np.inf, np.inf, (WIDTH,), np.float32)},
        action_space=Discrete(4),
        seed=0,
        device="cpu",
        num_envs=1,
        rollout_length=BLOCK,
        total_steps=1,
    )
    config = PrioritizedConfig(capacity=capacity, alpha=ALPHA, beta=BETA, beta_end=BETA, epsilon=EPSILON)
    replay, rng = Prioritized(config, context), np.random.default_rng(0)
    steps = {name: torch.from_numpy(np.ascontiguousarray(x))[:, None] for name, x in block(rng).items()}
    never = torch.zeros(BLOCK, 1, dtype=torch.bool)
    last = steps["next_observation"][-1:]
    experience = Batch(
        observations={"observation": torch.cat((steps["observation"], last))},
        actions=steps["action"],
        rewards=steps["reward"],
        terminated=never,
        truncated=never,
        first=torch.zeros(BLOCK + 1, 1, dtype=torch.bool),
        valid=~never,
        final_index=torch.zeros(0, dtype=torch.int64),
        final_observations={"observation": torch.zeros(0, WIDTH)},
    )
    while len(replay) < capacity:
        replay.add(experience)

    def step() -> None:
        _, ids, _ = replay.sample(batch, rng)
        replay.update_priorities(ids, rng.random(batch))

    return step, lambda: replay.add(experience)


def main() -> None:
    """Measure the framework's own."""
    capacity, batch, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    say(**rates(*_framework_replay(capacity, batch), seconds))


if __name__ == "__main__":
    main()
