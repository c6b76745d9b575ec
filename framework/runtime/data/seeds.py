"""Every random number of a run, as a function of its seed and of what it is for."""

from __future__ import annotations

import numpy as np

_EPISODE, _TRAJECTORY, _EVALUATION, _TASKS, _TASK_ORDER = range(5)


def _seed(*key: int) -> int:
    """31 bits: what every environment takes."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint32)[0] >> 1)


def episode_seed(run: int, environment: int, number: int) -> int:
    """What episode ``number`` of ``environment`` is reset with."""
    return _seed(run, _EPISODE, environment, number)


def trajectory_seed(run: int, shard: int, number: int) -> int:
    """What the policy's random numbers in trajectory ``number`` of ``shard`` start from."""
    return _seed(run, _TRAJECTORY, shard, number)


def tasks_seed(run: int, version: int) -> int:
    """What the tasks that go with a policy version are drawn with."""
    return _seed(run, _TASKS, version)


def task_order_seed(run: int, shard: int, number: int) -> int:
    """What the order of the tasks in trajectory ``number`` of ``shard`` follows from."""
    return _seed(run, _TASK_ORDER, shard, number)


def evaluation_seed(run: int) -> int:
    """What evaluations start from: the same episodes each time, and none of those trained on."""
    return _seed(run, _EVALUATION)
