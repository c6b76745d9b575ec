"""Early stopping, by the evaluations of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from framework.callbacks import CallbackContext, RunControl
from framework.studies.recorded_run import RecordedRun
from framework_callbacks.config import EarlyStoppingConfig


class EarlyStopping:
    """Stops a run whose evaluations have reached a return, or do not improve any more.

    It remembers nothing: all evaluations are in the run's record, also after the run was killed and resumed.
    """

    def __init__(self, config: EarlyStoppingConfig, context: CallbackContext):
        self._config = config

    def evaluation_finished(self, directory: Path, control: RunControl) -> None:
        """Look at all evaluations so far."""
        returns = [line["evaluation/return"] for line in RecordedRun(directory).evaluations]
        target, patience = self._config.target, self._config.patience
        if target is not None and returns[-1] >= target:
            control.stop(f"an evaluation had a mean return of {returns[-1]:.2f}, and {target:g} is the target")
        elif (
            patience is not None
            and (without := evaluations_since_best(returns, self._config.min_improvement)) >= patience
        ):
            control.stop(f"the last {without} evaluations had no better mean return than {max(returns):.2f}")


def evaluations_since_best(returns: Sequence[float], min_improvement: float) -> int:
    """How many evaluations have followed the last that was better, by more than ``min_improvement``, than the best."""
    best, since = float("-inf"), 0
    for mean_return in returns:
        since += 1
        if mean_return > best + min_improvement or best == float("-inf"):
            best, since = mean_return, 0
    return since
