"""The learner: takes trajectories, updates the algorithm, hands out weights, and keeps the record."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

import torch
from attrs import frozen

from framework.errors import RunError
from framework.interfaces import EpisodeScores
from framework.pipeline.build import build_algorithm, build_curriculum, build_environment
from framework.plugins import Lifecycle
from framework.runtime import checkpoint
from framework.runtime.agent import Acting
from framework.runtime.episodes import Episodes
from framework.runtime.evaluate import evaluate
from framework.runtime.inprocess import InProcess
from framework.runtime.interrupt import Interrupt
from framework.runtime.launch import Launcher
from framework.runtime.leases import Leases
from framework.runtime.link import Accepted, Admission, Event, Link
from framework.runtime.memory import keep_freed_memory
from framework.runtime.metrics import numbers_by_name
from framework.runtime.record import Record, components_fingerprint
from framework.runtime.rounds import FixedLag, Free
from framework.runtime.seeds import evaluation_seed
from framework.runtime.shard import ShardState
from framework.runtime.tasks import Tasks
from framework.runtime.trajectory import Trajectory, bad_value, collate
from framework.runtime.weights import Version, pack
from framework.runtime.worker import Worker
from framework.toolkit.processor import emulates_bfloat16

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline

#: Policies below so many parameters are updated faster by one thread than by several.
SMALL_POLICY = 1_000_000
_POLL = 0.2  # seconds


@frozen
class Update:
    """One update of a run that is going on."""

    number: int
    steps: int  #: environment steps so far
    metrics: dict[str, Any]  #: its line of ``metrics.jsonl``
    evaluation: dict[str, Any] | None = None  #: the line of the evaluation that followed it


class Source(Protocol):
    """Where trajectories come from: a `Link`, or an `InProcess`."""

    def publish(self, number: int, version: Version) -> None:
        """Make a version known."""

    def trained(self, trajectories: int) -> None:
        """So many accepted trajectories have been used up."""

    def receive(self, timeout: float) -> Accepted | Event | None:
        """The next news, or None after ``timeout`` seconds. Raises `RunError` when the run cannot go on."""

    def close(self) -> None:
        """End all that this source started."""


class Learner:
    """One run, from its start or from its newest whole checkpoint.

    Args:
        pipeline: what to run.
        record: where it is recorded; its checkpoints are resumed from when it has any and ``resume`` is true.
        launcher: starts the samplers; None acts inside this process.
        interrupt: ends the run in good order.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        record: Record,
        lifecycle: Lifecycle,
        launcher: Launcher | None,
        *,
        resume: bool = False,
        interrupt: Interrupt | None = None,
    ):
        self._pipeline = pipeline
        self._record = record
        self._lifecycle = lifecycle
        self._interrupt = interrupt or Interrupt()
        sampling = pipeline.sampling
        self._shards = sampling.environments // sampling.shard
        self._steps_per_update = sampling.environments * sampling.rollout_length
        self._updates = math.ceil(pipeline.run.total_steps / self._steps_per_update)
        self._lag: int | None = sampling.policy_lag if isinstance(sampling.policy_lag, int) else None
        self._kept_versions = self._lag if self._lag is not None else Worker.FREE_VERSIONS
        self._device = _device(pipeline.runtime.device)
        # How weights are initialised depends on the number of threads: always one, as in a sampler.
        torch.set_num_threads(1)
        with self._interrupt.at_once():
            self._worker = Worker(pipeline)
        saved = resume and bool(checkpoint.checkpoints(record.checkpoints))
        self._algorithm = build_algorithm(
            pipeline,
            self._worker.observation_space,
            self._worker.action_space,
            device=self._device,
            tell=None if saved else lambda text: record.event("weights_loaded", what=text),
        )
        if pipeline.runtime.precision == "bfloat16" and emulates_bfloat16(self._device):
            record.event("bfloat16_emulated")
        keep_freed_memory()
        torch.set_num_threads(_threads(pipeline.runtime.threads, self._algorithm.policy))

        self.update = 0
        self._elapsed = 0.0
        self._episodes = Episodes()
        self._best = -math.inf
        self._states: dict[int, ShardState] = {}
        curriculum = build_curriculum(pipeline, self._worker.observation_space, self._worker.action_space)
        # One for every eighth step: where episodes are shorter, tasks are played more than once.
        count = sampling.environments * math.ceil(sampling.rollout_length / 8)
        self._tasks = Tasks(curriculum, pipeline.run.seed, count)
        self._versions = {0: self._version()}
        self._at_boundary = True
        self._saved_at = monotonic()
        if resume:
            self._resume()
        self._started = monotonic() - self._elapsed

        rounds = FixedLag(self._shards) if self._lag is not None else Free(self._shards, sampling.max_lag)
        self._rounds: FixedLag | Free = rounds
        self._source = self._open_source(launcher)
        for number, version in sorted(self._versions.items()):
            self._source.publish(number, version)
        self._interrupt.rescue = self._save

    @property
    def steps(self) -> int:
        """Environment steps that have been learned from."""
        return self.update * self._steps_per_update

    def run(self) -> Iterator[Update]:
        """Update until the run is done, or interrupted (`KeyboardInterrupt`); a checkpoint is saved either way."""
        error: BaseException | None = None
        try:
            while self.update < self._updates:
                yield self._advance()
                self._interrupt.check()
                self._record.check_place()
                if monotonic() - self._saved_at >= self._pipeline.checkpoint.every_seconds:
                    self._save()
        except BaseException as raised:
            error = raised
            raise
        finally:
            try:
                saved = not self._at_boundary or self._save()
                if not saved and not isinstance(error, Exception):  # which says more
                    raise RunError(
                        f"{self._record.directory}: the last checkpoint could not be saved: mend the cause, and"
                        " resume the run from the checkpoint before"
                    )
            finally:
                self.close()

    def close(self) -> None:
        """End the samplers and free everything that this run holds."""
        try:
            self._source.close()
        finally:
            with self._interrupt.closing():
                problems = self._worker.close()
            for problem in problems:
                self._record.event("close_failed", reason=problem)

    # One update.

    def _advance(self) -> Update:
        waited = monotonic()
        accepted, dropped = self._gather()
        started = monotonic()
        self._at_boundary = False
        trajectories = [item.trajectory for item in accepted]
        for trajectory in trajectories:
            self._check_values(trajectory)
        lag = self.update - min(trajectory.version for trajectory in trajectories)
        progress = self.steps / self._pipeline.run.total_steps
        batch = collate(trajectories, self._device, progress=progress, lag=lag)
        learned = numbers_by_name("the algorithm's update()", self._algorithm.update(batch))
        ended = self._episodes.add([*(item.trajectory for item in dropped), *trajectories], self._scores())
        learned |= self._tasks.update(ended)
        self._check_metrics(learned, trajectories)
        self.update += 1
        self._versions[self.update] = self._version()
        for old in [version for version in self._versions if version < self.update - self._kept_versions]:
            del self._versions[old]
        self._source.trained(len(accepted))
        self._source.publish(self.update, self._versions[self.update])
        for item in (*dropped, *accepted):
            self._states[item.trajectory.shard] = item.state
        self._at_boundary = True
        finished = monotonic()

        metrics: dict[str, Any] = {
            "update": self.update,
            "steps": self.steps,
            "episodes": self._episodes.count,
            **self._episodes.means(),
            "lag": lag,
            **({"dropped": len(dropped)} if self._lag is None else {}),
            **learned,
            "time/seconds": finished - self._started,
            "time/steps_per_second": self._steps_per_update / (finished - waited),
            "time/waiting": started - waited,
            "time/updating": finished - started,
            **_sampler_times(trajectories),
        }
        self._record.episodes([{"update": self.update, "steps": self.steps, **episode} for episode in ended])
        self._record.metrics(metrics)
        self._lifecycle.call("update_finished", directory=self._record.directory, metrics=metrics)
        evaluation = self._evaluate() if self._evaluation_due() else None
        return Update(self.update, self.steps, metrics, evaluation)

    def _gather(self) -> tuple[list[Accepted], list[Accepted]]:
        dropped: list[Accepted] = []
        while True:
            ready, late = self._rounds.take(self.update)
            dropped += late
            self._source.trained(len(late))
            if ready:
                return ready, dropped
            with self._interrupt.at_once():
                news = self._source.receive(_POLL)
            if isinstance(news, Event):
                self._record.event(news.name, **news.fields)
            elif news is not None:
                self._rounds.add(news)

    def _check_values(self, trajectory: Trajectory) -> None:
        size = self._pipeline.sampling.shard
        environments = range(trajectory.shard * size, (trajectory.shard + 1) * size)
        bad = bad_value(trajectory, environments)
        if bad is not None:
            raise RunError(f"{bad}; the trajectory is in {self._save_bad([trajectory])}")

    def _check_metrics(self, metrics: dict[str, float], trajectories: list[Trajectory]) -> None:
        bad = [name for name, value in metrics.items() if not math.isfinite(value)]
        if bad:
            found = ", ".join(f"{name} is {metrics[name]}" for name in bad)
            raise RunError(f"update {self.update + 1}: {found}; the batch is in {self._save_bad(trajectories)}")

    def _save_bad(self, trajectories: list[Trajectory]) -> Path:
        state = {f"shard {item.shard}": {**item.arrays, "version": item.version} for item in trajectories}
        return checkpoint.save(self._record.checkpoints, f"bad-{self.update:08d}", state)

    def _scores(self) -> Sequence[float]:
        """Of the episodes in the last batch, where a curriculum may want them."""
        if self._pipeline.curriculum is None or not isinstance(self._algorithm, EpisodeScores):
            return []
        scores: list[float] = self._algorithm.episode_scores().tolist()
        return scores

    def _version(self) -> Version:
        return {"weights": pack(self._algorithm.policy), **self._tasks.draw(self.update)}

    # Evaluation.

    def _evaluation_due(self) -> bool:
        settings = self._pipeline.evaluation
        if not settings.episodes:
            return False
        every = settings.every_steps
        crossed = bool(every) and self.steps // every > (self.steps - self._steps_per_update) // every
        return crossed or self.update == self._updates

    def _evaluate(self) -> dict[str, Any]:
        settings = self._pipeline.evaluation
        seed = evaluation_seed(self._pipeline.run.seed)
        policy = self._worker.lend_policy(self._versions[self.update]["weights"])
        acting = Acting(policy, seed, settings.deterministic)
        started = monotonic()
        with self._interrupt.at_once():
            environment = build_environment(self._pipeline)
            result = evaluate(acting, environment, settings.episodes, seed, tasks=settings.tasks)
        line = {
            "update": self.update,
            "steps": self.steps,
            **{f"evaluation/{name}": value for name, value in result.summary().items()},
            "time/evaluation": monotonic() - started,
        }
        self._record.metrics(line)
        self._lifecycle.call("evaluation_finished", directory=self._record.directory, evaluation=line)
        if line["evaluation/return"] > self._best:
            self._best = line["evaluation/return"]
            self._save(best=True)
        return line

    # Checkpoints.

    def _save(self, best: bool = False) -> bool:
        """Save a checkpoint, where there is none of this update; whether there is one now."""
        prefix = "best-" if best else "update-"
        folder = self._record.checkpoints
        name = f"{prefix}{self.update:08d}"
        if not best and (folder / name).is_dir():
            return True
        state = {
            "update": self.update,
            "elapsed": monotonic() - self._started,
            "episodes": self._episodes.state_dict(),
            "best": self._best,
            "algorithm": self._algorithm.state_dict(),
            "curriculum": self._tasks.state_dict(),
            "versions": {str(number): version for number, version in self._versions.items()},
            "shards": {str(shard): state.to_arrays() for shard, state in self._states.items()},
        }
        try:
            path = checkpoint.save(folder, name, state)
        except OSError as error:  # a full disk must not end the run: the checkpoint before this one is still whole
            self._record.event("checkpoint_failed", checkpoint=name, reason=str(error))
            return False
        finally:
            if not best:
                self._saved_at = monotonic()
        checkpoint.prune(folder, 1 if best else self._pipeline.checkpoint.keep, prefix)
        self._lifecycle.call("checkpoint_saved", directory=self._record.directory, checkpoint=path)
        return True

    def _resume(self) -> None:
        if not checkpoint.checkpoints(self._record.checkpoints):  # ended before the first: all of it happens again
            self._record.rewind(0)
            self._record.event("resumed", checkpoint=None, update=0)
            return
        path, problems = checkpoint.load_newest(self._record.checkpoints, self._restore)
        for problem in problems:
            self._record.event("checkpoint_skipped", reason=problem)
        self._record.rewind(self.update)
        self._record.event("resumed", checkpoint=path.name, update=self.update)

    def _restore(self, state: dict[str, Any]) -> None:
        self.update = state["update"]
        self._elapsed = state["elapsed"]
        self._episodes.load_state_dict(state["episodes"])
        self._best = state["best"]
        self._algorithm.load_state_dict(state["algorithm"])
        self._tasks.load_state_dict(state["curriculum"])
        self._versions = {int(number): version for number, version in state["versions"].items()}
        self._states = {int(shard): ShardState.from_arrays(arrays) for shard, arrays in state["shards"].items()}

    def _open_source(self, launcher: Launcher | None) -> Source:
        samplers = self._pipeline.runtime.samplers
        leases = Leases(self._shards, self._lag, self._states, credit=2 * self._shards, expected=samplers)
        if launcher is None:
            return InProcess(leases, self._worker)
        admission = Admission(
            run=self._record.directory.name,
            pipeline=self._pipeline.to_plain(),
            directory=str(self._pipeline.directory.resolve()),
            components=components_fingerprint(self._pipeline),
            specification=self._worker.specification,
        )
        return Link(launcher.endpoint, leases, admission, launcher, samplers, self._kept_versions)


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise RunError(f"runtime.device = {name!r} cannot be used here: {error}") from None
    return name


def _threads(setting: int | str, policy: Any) -> int:
    """The learner's threads. It depends on nothing that may change between equal runs on one machine."""
    if isinstance(setting, int):
        return setting
    small = sum(parameter.numel() for parameter in policy.parameters()) < SMALL_POLICY
    return 1 if small else len(os.sched_getaffinity(0))


def _sampler_times(trajectories: list[Trajectory]) -> dict[str, float]:
    return {
        f"time/{name}": sum(getattr(trajectory.timing, name) for trajectory in trajectories)
        for name in ("acting", "stepping", "total")
    }
