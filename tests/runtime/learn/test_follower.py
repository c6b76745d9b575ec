"""The processes of a learner that have no run: they do what the first does, and end with it."""

from __future__ import annotations

from pathlib import Path

import ranked
import runs

#: A first process that makes three updates of made-up batches, and what the others must have come to.
PROGRAM = """
import sys
from pathlib import Path
import torch
import framework
from framework.runtime.data.trajectory import collate
from framework.runtime.learn.follower import Followers, follow
from framework.runtime.learn.ranks import Group, Rank
from framework.runtime.learn.state import initial_state
from framework.runtime.rollout.worker import Worker

CHANGES = {changes}
rank = Rank.of_environment()
if rank.number:
    try:
        follow(rank)
        print("ended")
    except framework.errors.FrameworkError as error:
        print(error)
    sys.exit()
torch.set_num_threads(1)
pipeline = framework.load({path!r}, {{"algorithm.slices": 2}})
worker = Worker(pipeline)
state = initial_state(pipeline, worker.observation_space, worker.action_space, "cpu", tell=None)
group = Group(rank)
followers = Followers(group, pipeline)
followers.begin(state.algorithm)
worker.keep(0, state.snapshots[0])
for shard in range(4):
    worker.restore(shard, None)
try:
    for number in range(3):
        trajectories = [worker.collect(shard, number, 0) for shard in range(4)]
        followers.update(trajectories, progress=0.0, lag=0)
        if number in CHANGES:
            next(iter(state.algorithm.policy.parameters())).data += 1.0
        state.algorithm.update(collate(trajectories, "cpu", progress=0.0, lag=0))
        followers.check(state.algorithm)
    followers.end()
    print("done")
except framework.errors.FrameworkError as error:
    print(error)
group.close()
worker.close()
"""


def outputs(folder: Path, changes: list[int]) -> list[str]:
    return ranked.run(folder, PROGRAM.format(path=str(runs.write(folder)), changes=changes), 2)


def test_followers_learn_what_the_first_does(tmp_path: Path) -> None:
    """They have its weights after each update, and end when it says so."""
    assert outputs(tmp_path, []) == ["done\n", "ended\n"]


def test_processes_that_drift_apart_end_the_run(tmp_path: Path) -> None:
    """As on processors that round differently."""
    first, other = outputs(tmp_path, [1])
    assert "processes [1] of the learner have come to other weights than the first" in first
    assert "processes [1] of the learner have come to other weights than the first" in other
