"""Options of MLflow."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import frozen

from framework.schema import OptionError, option
from framework.toolkit.tracker import TrackerConfig


@frozen
class MlflowConfig(TrackerConfig):
    """Options of MLflow. Credentials of a server are where MLflow looks for them, as in ``MLFLOW_TRACKING_TOKEN``."""

    experiment: str | None = option(None, help="Experiment. Default: the pipeline's `run.name`.")
    tags: dict[str, str] = option(factory=dict, help="Tags of the run, by key.")
    tracking_uri: str | None = option(
        None,
        help="A server (`http://host:5000`) or a database (`sqlite:////absolute/mlflow.db`). Default: "
        "`MLFLOW_TRACKING_URI`, or what MLflow takes without it, a database in the working directory.",
    )
    artifacts: str | None = option(
        None, help="Where a new experiment keeps videos and checkpoints: a folder or a URI. Default: as MLflow does."
    )

    def __attrs_post_init__(self) -> None:
        if urlsplit(self.tracking_uri or "").password is not None:
            raise OptionError(
                "a password does not belong into a pipeline: set MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and"
                " MLFLOW_TRACKING_PASSWORD",
                "tracking_uri",
            )
