"""A run in MLflow. Imported by the process that logs it, and by no other."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from framework.pipeline import to_toml
from framework.toolkit.tracking import Line, TrackedRun, flattened
from framework_mlflow.config import MlflowConfig

_STATUSES = {
    "done": "FINISHED",
    "stopped": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "killed": "KILLED",
}
#: What a server takes in one request, and the longest value of a parameter.
_METRICS, _PARAMETERS, _LONGEST = 1000, 100, 6000


class MlflowRun:
    """See `framework.toolkit.tracking.TrackerRun`. A step of MLflow is an environment step."""

    def __init__(self, config: MlflowConfig, run: TrackedRun):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would write into the home directory
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self._metric, self._param = Metric, Param
        self._client = MlflowClient(config.tracking_uri)
        self.id = run.id or self._create(config, run)
        self._client.update_run(self.id, status="RUNNING")
        self._log_pipeline(run)

    def _create(self, config: MlflowConfig, run: TrackedRun) -> str:
        name = config.experiment or str(run.pipeline["run"]["name"])
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            identity = self._client.create_experiment(name, artifact_location=config.artifacts)
        else:
            identity = experiment.experiment_id
        return str(self._client.create_run(identity, run_name=run.name, tags=dict(config.tags)).info.run_id)

    def _log_pipeline(self, run: TrackedRun) -> None:
        """Parameters cannot change: those of the run's start stay, and the file has what it was resumed as."""
        logged = self._client.get_run(self.id).data.params
        values = {key: _text(value) for key, value in flattened(run.pipeline).items()}
        new = [self._param(key, value) for key, value in values.items() if key not in logged]
        for parameters in _batches(new, _PARAMETERS):
            self._client.log_batch(self.id, params=parameters)
        self._client.log_text(self.id, to_toml(run.pipeline), "pipeline.toml")

    def log(self, lines: Sequence[Line]) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        now = int(time.time() * 1000)
        metrics = [
            self._metric(name, float(value), now, line.steps) for line in lines for name, value in line.values.items()
        ]
        for batch in _batches(metrics, _METRICS):
            self._client.log_batch(self.id, metrics=batch)

    def log_video(self, video: Path, steps: int) -> None:
        """See `framework.toolkit.tracking.TrackerRun`. Artifacts have no step, but the name of the file."""
        self._client.log_artifact(self.id, str(video), "videos")

    def log_checkpoint(self, checkpoint: Path) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        self._client.log_artifacts(self.id, str(checkpoint), f"checkpoints/{checkpoint.name}")

    def finish(self, status: str) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        self._client.set_tag(self.id, "status", status)
        self._client.set_terminated(self.id, _STATUSES[status])


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
