"""The callback that has a run logged to trackio."""

from __future__ import annotations

from framework.toolkit.tracker import Tracker


class TrackioTracker(Tracker):
    """Logs a run to trackio, see `framework_trackio.run`."""

    package = "trackio"
    extra = "trackio"
    open_run = "framework_trackio.run:TrackioRun"
