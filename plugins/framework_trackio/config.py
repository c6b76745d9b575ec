"""Options of trackio."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option
from framework.toolkit.tracker import TrackerConfig


@frozen
class TrackioConfig(TrackerConfig):
    """Options of trackio. Tokens are where trackio looks for them: `hf auth login`, or ``TRACKIO_WRITE_TOKEN``."""

    project: str | None = option(None, help="Project. Default: the pipeline's `run.name`.")
    group: str | None = option(None, help="Group of runs that belong together, such as the seeds of one setting.")
    space: str | None = option(None, help="Hugging Face Space to log to, `name/space`. Default: this machine.")
    server: str | None = option(None, help="Address of a trackio server to log to. Default: this machine.")
    directory: str | None = option(
        None,
        help="Folder of trackio's databases, seen from the pipeline file. Default: `TRACKIO_DIR`, or what trackio "
        "takes without it.",
    )

    def __attrs_post_init__(self) -> None:
        if self.space and self.server:
            raise OptionError("a run is logged to one of them: a space or a server", "space", "server")
        if "write_token" in (self.server or ""):
            raise OptionError("a token does not belong into a pipeline: set TRACKIO_WRITE_TOKEN", "server")
