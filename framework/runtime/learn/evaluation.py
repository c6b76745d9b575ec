"""Evaluations of the policy while it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from framework.errors import FrameworkError
from framework.interfaces import Policy
from framework.pipeline.build import build_environment
from framework.pipeline.sections import Pipeline
from framework.runtime.data.seeds import evaluation_seed
from framework.runtime.evaluate.agent import Acting
from framework.runtime.evaluate.evaluate import Record, evaluate
from framework.runtime.evaluate.video import VideoWriter, check_filmable, frames_per_second
from framework.runtime.learn.interrupt import Interrupt

SUFFIX = ".mp4"


class Evaluator:
    """Plays the evaluations of a run.

    Raises `FrameworkError` where they are to be filmed and cannot be.
    """

    def __init__(self, pipeline: Pipeline, interrupt: Interrupt):
        self._pipeline = pipeline
        self._settings = pipeline.evaluation
        self._steps_per_update = pipeline.sampling.environments * pipeline.sampling.rollout_length
        self._interrupt = interrupt
        self._frames_per_second = 0.0
        if self._settings.video:
            environment = build_environment(pipeline, render_mode="rgb_array")
            check_filmable(environment)
            self._frames_per_second = frames_per_second(environment)

    def due(self, steps: int, *, last: bool = False) -> bool:
        """Whether there is one after so many environment steps: wherever `every_steps` are crossed, and at the end,
        where the run is done or this update is its ``last``.
        """
        if not self._settings.episodes:
            return False
        every = self._settings.every_steps
        crossed = bool(every) and steps // every > (steps - self._steps_per_update) // every
        return crossed or last or steps >= self._pipeline.run.total_steps

    def evaluate(self, policy: Policy, film: Film | None = None) -> dict[str, Any]:
        """Play the episodes, the same each time; returns their metrics and ``time/evaluation`` in seconds."""
        settings, seed = self._settings, evaluation_seed(self._pipeline.run.seed)
        started = monotonic()
        with self._interrupt.at_once(), ExitStack() as opened:
            evaluation = evaluate(
                Acting(policy, seed, settings.deterministic),
                build_environment(self._pipeline, render_mode="rgb_array" if film else None),
                settings.episodes,
                seed,
                tasks=settings.tasks,
                record=opened.enter_context(film.opened(self._frames_per_second)) if film else None,
                filmed=settings.video,
            )
        metrics = {f"evaluation/{name}": value for name, value in evaluation.summary().items()}
        return {**metrics, "time/evaluation": monotonic() - started}


class Film:
    """The video of one evaluation. Where it cannot be written the evaluation goes on, and `problem` says why."""

    def __init__(self, path: Path):
        self.path = path
        self.problem = ""
        self._writer: VideoWriter | None = None

    @contextmanager
    def opened(self, frames_per_second: float) -> Iterator[Record]:
        """What takes the pictures."""
        with self._tolerating():
            self._writer = VideoWriter(self.path, frames_per_second)
        try:
            yield self._add
        finally:
            if self._writer is not None:
                with self._tolerating():
                    self._writer.close()

    def _add(self, pictures: Sequence[np.ndarray]) -> None:
        if self._writer is not None and not self.problem:
            with self._tolerating():
                self._writer.add(pictures)

    @contextmanager
    def _tolerating(self) -> Iterator[None]:
        try:
            yield
        except FrameworkError as error:
            self.problem = self.problem or str(error)
