"""The callback that has a run logged to Weights & Biases."""

from __future__ import annotations

from framework.toolkit.tracker import Tracker


class WandbTracker(Tracker):
    """Logs a run to Weights & Biases, see `framework_wandb.run`."""

    package = "wandb"
    extra = "wandb"
    open_run = "framework_wandb.run:WandbRun"
