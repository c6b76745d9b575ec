"""Weights & Biases: logs the runs whose pipelines name it."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_callbacks(register: Register) -> None:
    """Offer the tracker."""
    register(
        "wandb",
        "framework_wandb.tracker:WandbTracker",
        config="framework_wandb.config:WandbConfig",
        summary="Logs metrics, configuration, videos and checkpoints to Weights & Biases.",
    )
