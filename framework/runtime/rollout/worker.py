"""What does the work of a grant, in a sampler or inside the learner: the pipeline's environments and policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from framework.errors import PluginError
from framework.pipeline.build import build_curriculum, build_environment, build_policy
from framework.runtime.data.policy_snapshot import PolicySnapshot, kept_versions, pack, unpack
from framework.runtime.data.shard import ShardState, shard_environments
from framework.runtime.data.specification import Specification
from framework.runtime.data.tasks import decode_tasks, draw_tasks
from framework.runtime.data.trajectory import Trajectory
from framework.runtime.rollout.collector import Collector
from framework.runtime.rollout.make_vector import make_vector
from framework.runtime.rollout.watchdog import Watchdog
from framework.toolkit.processor import emulates_bfloat16

if TYPE_CHECKING:
    from framework.interfaces import Policy
    from framework.pipeline.sections import Pipeline
    from framework.runtime.rollout.vector import Vector


def _check_default_dtype() -> None:
    if torch.get_default_dtype() != torch.float32:
        raise PluginError(
            f"the environment has set torch's default dtype to {torch.get_default_dtype()}, which networks would be"
            " made with: leave out torch.set_default_dtype, and give dtype where it is needed"
        )


class Worker:
    """Collects trajectories of any shard of a pipeline's run.

    Args:
        pipeline: what is to be collected, and with which policy.
        watchdog: hears of every step and reset.
    """

    def __init__(self, pipeline: Pipeline, watchdog: Watchdog | None = None):
        self._pipeline = pipeline
        self._watchdog = watchdog or Watchdog(0.0)
        self._seed = pipeline.run.seed
        sampling = pipeline.sampling
        self._shards = shard_environments(sampling.environments, sampling.shard)
        self._environment = build_environment(pipeline)
        vector = self._make_vector()
        self._vectors = [vector]
        # Only what can be replayed can be set back to its very beginning.
        self._spare = [vector] if vector.replayable else []
        #: Steps of an episode that are recorded at most, and always those since a snapshot.
        self.max_replay_steps = sampling.max_replay_steps if vector.replayable else 0
        self._collectors: dict[int, Collector] = {}
        self._snapshots: dict[int, PolicySnapshot] = {}
        self._loaded: int | None = None
        try:
            self._prepare(pipeline, vector)
        except BaseException:
            self.close()
            raise

    def _prepare(self, pipeline: Pipeline, vector: Vector) -> None:
        """Make the policy, and an example of what will be collected."""
        _check_default_dtype()
        self.observation_space, self.action_space = vector.observation_space, vector.action_space
        self.nested_observation_space = vector.nested_observation_space
        # Samplers act on CPUs, which have no arithmetic for float16, and not all of them for bfloat16.
        precision = pipeline.runtime.precision
        if precision == "float16" or (precision == "bfloat16" and emulates_bfloat16("cpu")):
            precision = "float32"
        self._policy = build_policy(pipeline, vector.observation_space, vector.action_space, precision=precision)
        example = Collector(self._seed, 0, self._shards[0], vector, 1)
        example.restore(None, self._policy)
        curriculum = build_curriculum(pipeline, vector.observation_space, vector.action_space)
        #: The policy as it was built, to collect with where there is no learner.
        self.example_snapshot: PolicySnapshot = {"weights": pack(self._policy)}
        if curriculum is not None:
            self.example_snapshot["tasks"] = draw_tasks(curriculum, 1, self._seed, 0)
        tasks = decode_tasks(self.example_snapshot["tasks"]) if curriculum is not None else None
        self.specification = Specification(example.collect(self._policy, 0, tasks), pipeline.sampling.rollout_length)
        _check_default_dtype()

    def _make_vector(self) -> Vector:
        restart = self._pipeline.runtime.on_environment_error == "restart"
        vector = make_vector(self._environment, self._pipeline.sampling.shard, restart=restart)
        return self._watchdog.watch(vector)

    def keep(self, version: int, snapshot: PolicySnapshot) -> None:
        """Keep a version for the grants that name it; versions that none can name any more are let go."""
        self._snapshots[version] = snapshot
        oldest = version - kept_versions(self._pipeline.sampling)
        for old in [number for number in self._snapshots if number < oldest]:
            del self._snapshots[old]

    def has(self, version: int) -> bool:
        """Whether grants with this version can be worked on."""
        return version in self._snapshots

    def done(self, shard: int, number: int) -> bool:
        """Whether this trajectory has been collected here already."""
        return shard in self._collectors and number < self._collectors[shard].number

    def restore(self, shard: int, state: ShardState | None) -> list[int]:
        """Bring a shard's environments to a state; returns the environments that had to start new episodes."""
        if shard not in self._collectors:
            if not self._spare:
                self._vectors.append(self._make_vector())
            vector = self._spare.pop() if self._spare else self._vectors[-1]
            length = self._pipeline.sampling.rollout_length
            self._collectors[shard] = Collector(self._seed, shard, self._shards[shard], vector, length)
        return self._collectors[shard].restore(state, self._policy)

    def collect(self, shard: int, number: int, version: int) -> Trajectory:
        """The next trajectory of a shard that was restored before."""
        collector = self._collectors[shard]
        if collector.number != number:
            raise RuntimeError(f"trajectory {number} of shard {shard} was granted, but {collector.number} is next")
        snapshot = self._snapshots[version]
        if self._loaded != version:
            unpack(self._policy, snapshot["weights"])
            self._loaded = version
        tasks = decode_tasks(snapshot["tasks"]) if "tasks" in snapshot else None
        return collector.collect(self._policy, version, tasks)

    def forget(self) -> None:
        """Begin anew: every shard has to be restored, and every version kept, before it is worked on."""
        self.close()
        self._vectors.clear()
        self._spare.clear()
        self._collectors.clear()
        self._snapshots.clear()
        self._loaded = None

    def lend_policy(self, weights: np.ndarray) -> Policy:
        """The worker's policy with these weights, until the next `collect`."""
        unpack(self._policy, weights)
        self._loaded = None
        return self._policy

    def close(self) -> list[str]:
        """Close all environments; what they raised in doing so, a line each."""
        return [problem for vector in self._vectors for problem in vector.close()]
