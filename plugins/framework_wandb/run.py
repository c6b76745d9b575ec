"""A run in Weights & Biases. Imported by the process that logs it, and by no other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framework.toolkit.tracking import Line, TrackedRun
from framework_wandb.config import WandbConfig

#: What wandb takes for a run's success, and its number for how it failed otherwise.
_EXIT_CODES = {"done": 0, "stopped": 0, "failed": 1, "interrupted": 130, "killed": 137}


class WandbRun:
    """See `framework.toolkit.tracking.TrackerRun`. A step of wandb is an environment step."""

    def __init__(self, config: WandbConfig, run: TrackedRun):
        folder = run.directory if config.directory is None else run.source / Path(config.directory).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        # What wandb puts into the home directory otherwise.
        for name in ("CACHE", "CONFIG", "DATA"):
            os.environ.setdefault(f"WANDB_{name}_DIR", str(folder / "wandb" / name.lower()))
        import wandb

        self._wandb: Any = wandb
        self._run: Any = self._wandb.init(
            project=config.project or str(run.pipeline["run"]["name"]),
            entity=config.entity,
            group=config.group,
            name=run.name,
            tags=config.tags,
            mode=config.mode,
            dir=str(folder),
            id=run.id,
            resume=None if config.mode == "offline" else "allow",
            settings=wandb.Settings(console="off", x_disable_stats=True, disable_git=True, save_code=False),
        )
        self._run.config.update(run.pipeline, allow_val_change=True)  # where it was resumed as another
        self.id = str(self._run.id)

    def log(self, lines: Sequence[Line]) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        for line in lines:
            self._run.log(line.values, step=line.steps)

    def log_video(self, video: Path, steps: int) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        film = self._wandb.Video(str(video), format=video.suffix.removeprefix("."))
        self._run.log({"evaluation/video": film}, step=max(steps, self._run.step))

    def log_checkpoint(self, checkpoint: Path) -> None:
        """See `framework.toolkit.tracking.TrackerRun`. One artifact, with a version for each checkpoint."""
        artifact = self._wandb.Artifact(f"checkpoint-{self.id}", type="model", metadata={"name": checkpoint.name})
        artifact.add_dir(str(checkpoint))
        self._run.log_artifact(artifact, aliases=[checkpoint.name])

    def finish(self, status: str) -> None:
        """See `framework.toolkit.tracking.TrackerRun`."""
        self._run.summary["status"] = status
        self._run.finish(exit_code=_EXIT_CODES[status])
