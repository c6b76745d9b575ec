"""A run in trackio. Imported by the process that logs it, and by no other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.toolkit.tracking import Line, TrackedRun, flattened
from framework_trackio.config import TrackioConfig

_LEVELS = {"done": "info", "stopped": "info", "failed": "error", "interrupted": "warn", "killed": "warn"}


class TrackioRun:
    """See `framework.toolkit.tracking.TrackerRun`. A step of trackio is an environment step."""

    def __init__(self, config: TrackioConfig, run: TrackedRun):
        if config.directory is not None:  # read when trackio is imported
            os.environ["TRACKIO_DIR"] = str(run.source / Path(config.directory).expanduser())
        import trackio

        self._trackio: Any = trackio
        project = config.project or str(run.pipeline["run"]["name"])
        self._run = self._trackio.init(
            project=project,
            name=run.name,
            group=config.group,
            space_id=config.space,
            server_url=config.server,
            config=flattened(run.pipeline),
            resume="never" if run.id is None else "allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.id = str(self._run.id)
        if run.has_metrics and self.id != run.id:
            raise RuntimeError(
                f"project {project!r} of trackio has another run named {run.name!r}, or this one no more: trackio finds"
                " runs by their names, so each needs one of its own"
            )

    def log(self, lines: Sequence[Line]) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        for line in lines:
            self._run.log(line.values, step=line.steps)

    def log_video(self, video: Path, steps: int) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        self._run.log({"evaluation/video": self._trackio.Video(str(video))}, step=steps)

    def log_checkpoint(self, checkpoint: Path) -> None:
        """See `framework.toolkit.tracking.TrackerRun`. One artifact, with a version for each checkpoint."""
        name = f"checkpoint-{self._run.name}"
        self._run.log_artifact(str(checkpoint), name=name, type="model", aliases=[checkpoint.name])

    def finish(self, status: str) -> None:
        """See `framework.toolkit.tracking.TrackerRun`. Runs of trackio have no status: an alert tells it."""
        level = self._trackio.AlertLevel(_LEVELS[status])
        self._run.alert(title=status, text=f"the run has ended: {status}", level=level)
        self._trackio.finish()
