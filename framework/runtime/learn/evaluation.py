"""Evaluations of the policy while it is trained."""

from __future__ import annotations

from time import monotonic
from typing import Any

from framework.interfaces import Policy
from framework.pipeline.build import build_environment
from framework.pipeline.sections import Pipeline
from framework.runtime.data.seeds import evaluation_seed
from framework.runtime.evaluate.agent import Acting
from framework.runtime.evaluate.evaluate import evaluate
from framework.runtime.learn.interrupt import Interrupt


class Evaluator:
    """Plays the evaluations of a run."""

    def __init__(self, pipeline: Pipeline, interrupt: Interrupt):
        self._pipeline = pipeline
        self._settings = pipeline.evaluation
        self._steps_per_update = pipeline.sampling.environments * pipeline.sampling.rollout_length
        self._interrupt = interrupt

    def due(self, steps: int) -> bool:
        """Whether there is one after so many environment steps: at the end, and wherever `every_steps` are crossed."""
        if not self._settings.episodes:
            return False
        every = self._settings.every_steps
        crossed = bool(every) and steps // every > (steps - self._steps_per_update) // every
        return crossed or steps >= self._pipeline.run.total_steps

    def evaluate(self, policy: Policy) -> dict[str, Any]:
        """Play the episodes, the same each time; returns their metrics and ``time/evaluation`` in seconds."""
        seed = evaluation_seed(self._pipeline.run.seed)
        started = monotonic()
        with self._interrupt.at_once():
            evaluation = evaluate(
                Acting(policy, seed, self._settings.deterministic),
                build_environment(self._pipeline),
                self._settings.episodes,
                seed,
                tasks=self._settings.tasks,
            )
        metrics = {f"evaluation/{name}": value for name, value in evaluation.summary().items()}
        return {**metrics, "time/evaluation": monotonic() - started}
