"""What of a run is made before its directory is: what cannot be made then leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import torch
from attrs import field, frozen

from framework.pipeline.sections import Pipeline
from framework.runtime.disk import checkpoint
from framework.runtime.learn.device import usable_device
from framework.runtime.learn.evaluation import Evaluator
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.learn.ranks import Rank, local_device
from framework.runtime.learn.state import RunState, initial_state, through_checkpoint
from framework.runtime.rollout.worker import Worker


@frozen
class Prepared:
    """A run before its first update."""

    device: str
    worker: Worker
    state: RunState
    evaluator: Evaluator
    weights_loaded: list[str] = field(factory=list)  #: what was taken from other runs, in words


def prepare(
    pipeline: Pipeline, interrupt: Interrupt, rank: Rank | None = None, checkpoints: Path | None = None
) -> Prepared:
    """Make the environments, the policy, and the state, into which that of a folder of checkpoints may be loaded.

    Raises `FrameworkError` with what is wrong.
    """
    resumed = checkpoints is not None and bool(checkpoint.checkpoints(checkpoints))
    device = local_device(usable_device(pipeline.runtime.device), rank)
    # How weights are initialised depends on the number of threads: always one, as in a sampler.
    torch.set_num_threads(1)
    with interrupt.at_once():
        worker = Worker(pipeline)
    try:
        told: list[str] = []
        spaces = worker.observation_space, worker.action_space
        state = initial_state(pipeline, *spaces, device, tell=None if resumed else told.append)
        through_checkpoint(state, pipeline)
        return Prepared(device, worker, state, Evaluator(pipeline, interrupt), told)
    except BaseException:
        worker.close()
        raise
