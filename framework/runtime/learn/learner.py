"""The learner: gathers trajectories, updates the algorithm, publishes its policy, records, evaluates and saves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from framework.errors import RunError
from framework.lifecycle import Lifecycle, StopRequest
from framework.pipeline.sections import Pipeline
from framework.runtime.data.trajectory import sampler_times
from framework.runtime.disk.run_directory import Record
from framework.runtime.evaluate.agent import Agent
from framework.runtime.launch.starter import Starter
from framework.runtime.learn.device import learner_threads
from framework.runtime.learn.evaluation import SUFFIX, Film
from framework.runtime.learn.gather import gather
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.learn.machines import Machines
from framework.runtime.learn.malloc import keep_freed_memory
from framework.runtime.learn.prepare import Prepared, prepare
from framework.runtime.learn.ranks import Group, Rank, slices_of
from framework.runtime.learn.sampling import open_source
from framework.runtime.learn.state import Checkpoints
from framework.runtime.learn.update import Update, Updater
from framework.runtime.link.rounds import make_rounds
from framework.runtime.link.source import Accepted, Event, Source
from framework.toolkit.processor import emulates_bfloat16


class Learner:
    """One run, from its start or from its newest whole checkpoint.

    Args:
        pipeline: what to run.
        record: where it is recorded; its checkpoints are resumed from when it has any and ``resume`` is true.
        starter: starts the samplers of this machine, which connect to ``endpoint``; None acts inside this process.
        interrupt: ends the run in good order.
        control: hooks ask by it that the run be stopped.
        prepared: what `prepare` has made of the pipeline; by default it is made here.
        rank: of this process, the first of those that share the learner's work; None where there is no other.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        record: Record,
        lifecycle: Lifecycle,
        starter: Starter | None,
        endpoint: str,
        *,
        resume: bool = False,
        interrupt: Interrupt | None = None,
        control: StopRequest | None = None,
        rank: Rank | None = None,
        prepared: Prepared | None = None,
    ):
        self._pipeline = pipeline
        self._record = record
        self._lifecycle = lifecycle
        self._interrupt = interrupt or Interrupt()
        self._control = control or StopRequest()
        prepared = prepared or prepare(pipeline, self._interrupt, rank, record.checkpoints if resume else None)
        self._device, self._worker, self._state = prepared.device, prepared.worker, prepared.state
        self._evaluator = prepared.evaluator
        self._open = ExitStack()
        self._open.callback(self._close_worker)
        try:
            for text in prepared.weights_loaded:
                record.event("weights_loaded", what=text)
            self._prepare(starter, endpoint, resume, rank)
        except BaseException:
            self._open.close()
            raise

    def _prepare(self, starter: Starter | None, endpoint: str, resume: bool, rank: Rank | None) -> None:
        """Go to where the run stands, and have trajectories collected."""
        pipeline, record, device = self._pipeline, self._record, self._device
        if pipeline.runtime.precision == "bfloat16" and emulates_bfloat16(device):
            record.event("bfloat16_emulated")
        keep_freed_memory()
        torch.set_num_threads(learner_threads(pipeline.runtime.threads, self._state.parameters, slices_of(pipeline)))
        self._updating = False  # whether the state is in the midst of an update, so that no checkpoint may hold it
        self._told_of_long_episodes = False
        self._checkpoints = Checkpoints(record, self._lifecycle, pipeline, self._state)
        if resume:
            self._checkpoints.resume()
        self._followers = None
        if rank is not None and rank.count > 1:
            from framework.runtime.learn.follower import Followers

            self._followers = Followers(self._open.enter_context(closing(Group(rank))), pipeline)
            self._open.callback(self._end_followers)
            self._followers.begin(self._state.algorithm)
        self._updater = Updater(pipeline, record, self._state, device, self._followers)
        self._machines = Machines()
        self._starter, self._endpoint = starter, endpoint
        self._source: Source | None = None
        if self._state.shards or not pipeline.run.offline_steps:  # else the first update that needs it has it begin
            self._collect()
        self._interrupt.rescue = self._checkpoints.save

    @property
    def _offline(self) -> bool:
        """Whether the next update learns from the replay buffer alone."""
        return self._state.is_offline(self._pipeline.run.offline_steps)

    def _collect(self) -> Source:
        """Have trajectories collected from here on; returns what brings them."""
        pipeline, record, state = self._pipeline, self._record, self._state
        self._rounds = make_rounds(pipeline.sampling, state.offline_updates)
        listener = None
        if pipeline.runtime.listen is not None:
            from framework.runtime.link.listener import Listener  # imports asyncio, which nobody else needs

            listener = Listener(pipeline.runtime.listen, record.directory, self._tell_of_token)
        where = record.directory, state.shards, self._worker, self._starter, self._endpoint, listener
        source = self._open.enter_context(open_source(pipeline, *where, state.offline_updates))
        for version, snapshot in sorted(state.snapshots.items()):
            source.publish(version, snapshot)
        self._source = source
        return source

    def _go_online(self) -> Source:
        """As `_collect`, after updates without."""
        self._record.event("online", updates=self._state.update, steps=self._state.steps)
        return self._collect()

    def run(self) -> Iterator[Update]:
        """Update until the run is done, or interrupted (`KeyboardInterrupt`); a checkpoint is saved either way."""
        error: BaseException | None = None
        try:
            if self._state.evaluated < self._state.update and self._evaluator.due(self._state.steps):
                self._evaluate()  # which was interrupted
                self._checkpoints.save()  # else it would be played, and recorded, again
            while self._state.steps < self._pipeline.run.total_steps and not self._control.reason:
                update = self._advance()
                if update.number == 1:
                    self._checkpoints.prove()
                yield update
                self._interrupt.check()
                self._record.check_place()
                if self._checkpoints.due:
                    self._checkpoints.save()
            if self._control.reason:
                self._record.event("stopped", reason=self._control.reason)
            if self._source is not None:
                self._source.complete()
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

    def _advance(self) -> Update:
        """One update, and the evaluation that follows it."""
        state, waited = self._state, monotonic()
        accepted: list[Accepted] = []
        ended: list[dict[str, Any]] = []
        if self._offline:
            started = monotonic()
            self._updating = True
            learned = self._updater.update_offline()
            state.offline_updates += 1
            state.update += 1
            state.take_snapshot()
        else:
            source = self._source or self._go_online()
            accepted, dropped = gather(source, self._rounds, state.update, self._hear, self._interrupt)
            trajectories, old = ([item.trajectory for item in items] for items in (accepted, dropped))
            started = monotonic()
            self._updating = True
            learned, ended = self._updater.update(trajectories, old)
            state.update += 1
            snapshot = state.take_snapshot()
            source.release(len(accepted))
            source.publish(state.update, snapshot)
            for item in (*dropped, *accepted):
                state.shards[item.trajectory.shard] = item.state
        self._updating = False
        self._tell_of_long_episodes()
        finished = monotonic()

        progress = self._progress
        metrics: dict[str, Any] = {
            **progress,
            **learned,
            "time/seconds": finished - state.started,
            "time/steps_per_second": state.steps_per_update / (finished - waited),
            "time/waiting": started - waited,
            "time/updating": finished - started,
            **sampler_times([item.trajectory for item in accepted]),
            **self._machines.columns(accepted, state.update - 1, finished - waited),
        }
        self._record.episodes([{**progress, **episode} for episode in ended])
        self._record.metrics(metrics)
        self._tell("update_finished", metrics=metrics, control=self._control)
        if self._pipeline.runtime.on_environment_error == "restart":
            state.environment_errors.check(self._pipeline.runtime.environment_error_share)
        due = self._evaluator.due(state.steps, last=bool(self._control.reason))
        evaluation = self._evaluate() if due else None
        return Update(state.update, state.steps, metrics, evaluation)

    def _tell_of_long_episodes(self) -> None:
        """Say once that episodes are too long to be recorded; where none would be recorded, users know."""
        limit = self._worker.max_replay_steps
        if limit and not self._told_of_long_episodes and (environments := self._state.unrecorded):
            self._told_of_long_episodes = True
            self._record.event("episodes_too_long", environments=environments, max_replay_steps=limit)

    @property
    def _progress(self) -> dict[str, int]:
        """What each line of the record begins with."""
        return {"update": self._state.update, "steps": self._state.steps}

    def _evaluate(self) -> dict[str, Any]:
        policy = self._worker.lend_policy(self._state.snapshots[self._state.update]["weights"])
        film = self._film()
        evaluation = {**self._progress, **self._evaluator.evaluate(policy, film)}
        self._record.metrics(evaluation)
        self._state.evaluated = self._state.update
        agent = Agent(policy, self._worker.nested_observation_space, self._worker.action_space)
        self._tell("evaluation_finished", evaluation=evaluation, agent=agent, control=self._control)
        if film is not None and not film.problem:
            self._tell("video_saved", video=film.path, steps=self._state.steps)
        elif film is not None:
            self._record.event("video_failed", reason=film.problem)
        self._checkpoints.save_if_best(evaluation["evaluation/return"])
        return evaluation

    def _film(self) -> Film | None:
        """The video of the evaluation that follows this update, where there is to be one."""
        if not self._pipeline.evaluation.video:
            return None
        return Film(self._record.directory / "videos" / f"update-{self._state.update:08d}{SUFFIX}")

    def _tell(self, hook: str, **arguments: Any) -> None:
        self._lifecycle.call(hook, directory=self._record.directory, **arguments)

    def _hear(self, event: Event) -> None:
        self._record.event(event.name, **event.fields)
        self._machines.hear(event)

    def _tell_of_token(self, file: Path | None, endpoint: str) -> None:
        self._record.event("listening", endpoint=endpoint)
        if file is not None:
            self._record.event("join_file", join=str(file))

    def _end_followers(self) -> None:
        if not self._updating and self._followers is not None:  # else they are in the midst of it, and lose this one
            self._followers.end()

    def _close_worker(self) -> None:
        with self._interrupt.closing():
            problems = self._worker.close()
        for problem in problems:
            self._record.event("close_failed", reason=problem)
