"""Options of Weights & Biases."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from framework.schema import option
from framework.toolkit.tracker import TrackerConfig


@frozen
class WandbConfig(TrackerConfig):
    """Options of Weights & Biases. The API key is where `wandb login` has put it, or in ``WANDB_API_KEY``."""

    project: str | None = option(None, help="Project. Default: the pipeline's `run.name`.")
    entity: str | None = option(None, help="User or team. Default: that of the account.")
    group: str | None = option(None, help="Group of runs that belong together, such as the seeds of one setting.")
    tags: tuple[str, ...] = option((), help="Tags of the run.")
    mode: Literal["online", "offline"] = option("online", help="`offline` writes files, which `wandb sync` sends.")
    directory: str | None = option(
        None, help="Folder for wandb's files and caches, seen from the pipeline file. Default: the run directory."
    )
