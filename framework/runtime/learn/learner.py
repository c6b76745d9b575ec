"""The learner: gathers trajectories, updates the algorithm, publishes its policy, records, evaluates and saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from attrs import frozen

from framework.errors import RunError
from framework.interfaces import EpisodeScores
from framework.pipeline.sections import Pipeline
from framework.plugins import Lifecycle
from framework.runtime.data.trajectory import Trajectory, collate, sampler_times
from framework.runtime.disk import checkpoint
from framework.runtime.disk.run_directory import Record
from framework.runtime.launch.base import Launcher
from framework.runtime.learn.checks import bad_metrics, bad_value, numbers_by_name
from framework.runtime.learn.device import learner_threads, usable_device
from framework.runtime.learn.evaluation import Evaluator
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.learn.malloc import keep_freed_memory
from framework.runtime.learn.sampling import open_source
from framework.runtime.learn.state import Checkpoints, initial_state
from framework.runtime.link.rounds import FixedLag, Free, Rounds
from framework.runtime.link.source import Accepted, Event
from framework.runtime.rollout.worker import Worker
from framework.toolkit.processor import emulates_bfloat16

_POLL = 0.2  # seconds


@frozen
class Update:
    """One update of a run that is going on."""

    number: int
    steps: int  #: environment steps so far
    metrics: dict[str, Any]  #: its line of ``metrics.jsonl``
    evaluation: dict[str, Any] | None = None  #: the line of the evaluation that followed it


class Learner:
    """One run, from its start or from its newest whole checkpoint.

    Args:
        pipeline: what to run.
        record: where it is recorded; its checkpoints are resumed from when it has any and ``resume`` is true.
        launcher: starts the samplers, which connect to ``endpoint``; None acts inside this process.
        interrupt: ends the run in good order.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        record: Record,
        lifecycle: Lifecycle,
        launcher: Launcher | None,
        endpoint: str,
        *,
        resume: bool = False,
        interrupt: Interrupt | None = None,
    ):
        self._pipeline = pipeline
        self._record = record
        self._lifecycle = lifecycle
        self._interrupt = interrupt or Interrupt()
        sampling = pipeline.sampling
        self._steps_per_update = sampling.environments * sampling.rollout_length
        self._device = usable_device(pipeline.runtime.device)
        # How weights are initialised depends on the number of threads: always one, as in a sampler.
        torch.set_num_threads(1)
        with self._interrupt.at_once():
            self._worker = Worker(pipeline)
        self._open = ExitStack()
        self._open.callback(self._close_worker)
        try:
            self._prepare(launcher, endpoint, resume)
        except BaseException:
            self._open.close()
            raise

    def _prepare(self, launcher: Launcher | None, endpoint: str, resume: bool) -> None:
        """Make the state or resume it, and have trajectories collected."""
        pipeline, record, sampling = self._pipeline, self._record, self._pipeline.sampling
        saved = resume and bool(checkpoint.checkpoints(record.checkpoints))
        self._state = initial_state(
            pipeline,
            self._worker.observation_space,
            self._worker.action_space,
            self._device,
            tell=None if saved else lambda text: record.event("weights_loaded", what=text),
        )
        if pipeline.runtime.precision == "bfloat16" and emulates_bfloat16(self._device):
            record.event("bfloat16_emulated")
        keep_freed_memory()
        torch.set_num_threads(learner_threads(pipeline.runtime.threads, self._state.parameters))
        self._updating = False  # whether the state is between two updates, so that no checkpoint may hold it
        self._checkpoints = Checkpoints(record, self._lifecycle, pipeline.checkpoint, self._state)
        if resume:
            self._checkpoints.resume()
        self._evaluator = Evaluator(pipeline, self._steps_per_update, self._interrupt)
        shards = sampling.environments // sampling.shard
        self._fixed_lag = isinstance(sampling.policy_lag, int)
        self._rounds: Rounds = FixedLag(shards) if self._fixed_lag else Free(shards, sampling.max_lag)
        self._source = self._open.enter_context(
            open_source(pipeline, record.directory.name, self._state.shards, self._worker, launcher, endpoint)
        )
        for version, snapshot in sorted(self._state.snapshots.items()):
            self._source.publish(version, snapshot)
        self._interrupt.rescue = self._checkpoints.save

    def run(self) -> Iterator[Update]:
        """Update until the run is done, or interrupted (`KeyboardInterrupt`); a checkpoint is saved either way."""
        error: BaseException | None = None
        try:
            if self._state.evaluated < self._state.update and self._evaluator.due(self._steps):
                self._evaluate(self._progress)  # which was interrupted
                self._checkpoints.save()  # or else it would be played, and recorded, again
            while self._steps < self._pipeline.run.total_steps:
                yield self._advance()
                self._interrupt.check()
                self._record.check_place()
                if self._checkpoints.due:
                    self._checkpoints.save()
        except BaseException as raised:
            error = raised
            raise
        finally:
            with self._open:
                saved = self._updating or self._checkpoints.save()
                if not saved and not isinstance(error, Exception):  # which says more
                    raise RunError(
                        f"{self._record.directory}: the last checkpoint could not be saved: mend the cause, and"
                        " resume the run from the checkpoint before"
                    )

    @property
    def _steps(self) -> int:
        """Environment steps that have been learned from."""
        return self._state.update * self._steps_per_update

    @property
    def _progress(self) -> dict[str, int]:
        """What each line of the record begins with."""
        return {"update": self._state.update, "steps": self._steps}

    def _advance(self) -> Update:
        """One update, and the evaluation that follows it."""
        state, waited = self._state, monotonic()
        accepted, dropped = self._gather()
        started = monotonic()
        trajectories = [item.trajectory for item in accepted]
        lag = state.update - min(trajectory.version for trajectory in trajectories)
        self._updating = True
        learned, ended = self._learn(trajectories, [item.trajectory for item in dropped], lag)
        state.update += 1
        snapshot = state.take_snapshot()
        self._source.release(len(accepted))
        self._source.publish(state.update, snapshot)
        for item in (*dropped, *accepted):
            state.shards[item.trajectory.shard] = item.state
        self._updating = False
        finished = monotonic()

        progress = self._progress
        metrics: dict[str, Any] = {
            **progress,
            "episodes": state.episodes.count,
            **state.episodes.means(),
            "lag": lag,
            **({} if self._fixed_lag else {"dropped": len(dropped)}),
            **learned,
            "time/seconds": finished - state.started,
            "time/steps_per_second": self._steps_per_update / (finished - waited),
            "time/waiting": started - waited,
            "time/updating": finished - started,
            **sampler_times(trajectories),
        }
        self._record.episodes([{**progress, **episode} for episode in ended])
        self._record.metrics(metrics)
        self._lifecycle.call("update_finished", directory=self._record.directory, metrics=metrics)
        evaluation = self._evaluate(progress) if self._evaluator.due(self._steps) else None
        return Update(state.update, self._steps, metrics, evaluation)

    def _gather(self) -> tuple[list[Accepted], list[Accepted]]:
        """What the next update learns from, and what was too old to be learned from."""
        dropped: list[Accepted] = []
        while True:
            stale = self._rounds.stale(self._state.update)
            self._source.release(len(stale))
            dropped += stale
            if ready := self._rounds.take(self._state.update):
                return ready, dropped
            with self._interrupt.at_once():
                news = self._source.receive(_POLL)
            if isinstance(news, Event):
                self._record.event(news.name, **news.fields)
            elif news is not None:
                self._rounds.add(news)

    def _learn(
        self, trajectories: list[Trajectory], dropped: list[Trajectory], lag: int
    ) -> tuple[dict[str, float], list[dict[str, Any]]]:
        """Update the algorithm and the curriculum; returns their metrics and the episodes that have ended."""
        state, size = self._state, self._pipeline.sampling.shard
        for trajectory in trajectories:
            if bad := bad_value(trajectory, range(trajectory.shard * size, (trajectory.shard + 1) * size)):
                raise RunError(f"{bad}; the trajectory is in {self._save_bad([trajectory])}")
        progress = self._steps / self._pipeline.run.total_steps
        batch = collate(trajectories, self._device, progress=progress, lag=lag)
        metrics = numbers_by_name("the algorithm's update()", state.algorithm.update(batch))
        ended = state.episodes.add([*dropped, *trajectories], self._scores())
        metrics |= state.tasks.update(ended)
        if bad := bad_metrics(metrics):
            raise RunError(f"update {state.update + 1}: {bad}; the batch is in {self._save_bad(trajectories)}")
        return metrics, ended

    def _scores(self) -> Sequence[float]:
        """Of the episodes in the last batch, where a curriculum may want them."""
        algorithm = self._state.algorithm
        if self._pipeline.curriculum is None or not isinstance(algorithm, EpisodeScores):
            return []
        scores: list[float] = algorithm.episode_scores().tolist()
        return scores

    def _save_bad(self, trajectories: list[Trajectory]) -> Path:
        arrays = {f"shard {item.shard}": {**item.arrays, "version": item.version} for item in trajectories}
        return checkpoint.save(self._record.checkpoints, f"bad-{self._state.update:08d}", arrays)

    def _evaluate(self, progress: dict[str, int]) -> dict[str, Any]:
        policy = self._worker.lend_policy(self._state.snapshots[self._state.update]["weights"])
        evaluation = {**progress, **self._evaluator.evaluate(policy)}
        self._record.metrics(evaluation)
        self._state.evaluated = self._state.update
        self._lifecycle.call("evaluation_finished", directory=self._record.directory, evaluation=evaluation)
        if evaluation["evaluation/return"] > self._state.best:
            self._state.best = evaluation["evaluation/return"]
            self._checkpoints.save_best()
        return evaluation

    def _close_worker(self) -> None:
        with self._interrupt.closing():
            problems = self._worker.close()
        for problem in problems:
            self._record.event("close_failed", reason=problem)
