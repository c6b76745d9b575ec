"""The callback that has a run logged to MLflow."""

from __future__ import annotations

import os
from importlib.util import find_spec

from framework.callbacks import CallbackContext
from framework.errors import PluginError
from framework.toolkit.tracker import Tracker
from framework_mlflow.config import MlflowConfig

_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class MlflowTracker(Tracker):
    """Logs a run to MLflow, see `framework_mlflow.run`."""

    package = "mlflow"
    extra = "mlflow"
    open_run = "framework_mlflow.run:MlflowRun"

    def __init__(self, config: MlflowConfig, context: CallbackContext):
        super().__init__(config, context)
        uri = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:"
        if uri.startswith(_DATABASES) and find_spec("sqlalchemy") is None:
            raise PluginError(
                f"mlflow-skinny cannot write a database ({uri}): pip install mlflow, or name a server with tracking_uri"
            )
