"""TensorBoard: the scalars of each run in its folder ``tensorboard``, where the package tensorboard is installed."""

from framework_tensorboard.hooks import evaluation_finished, run_finished, run_started, update_finished

__all__ = ["evaluation_finished", "run_finished", "run_started", "update_finished"]
