"""trackio: logs the runs whose pipelines name it."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_callbacks(register: Register) -> None:
    """Offer the tracker."""
    register(
        "trackio",
        "framework_trackio.tracker:TrackioTracker",
        config="framework_trackio.config:TrackioConfig",
        summary="Logs metrics, configuration, videos and checkpoints to trackio.",
    )
