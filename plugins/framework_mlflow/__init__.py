"""MLflow: logs the runs whose pipelines name it."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_callbacks(register: Register) -> None:
    """Offer the tracker."""
    register(
        "mlflow",
        "framework_mlflow.tracker:MlflowTracker",
        config="framework_mlflow.config:MlflowConfig",
        summary="Logs metrics, configuration, videos and checkpoints to MLflow.",
    )
