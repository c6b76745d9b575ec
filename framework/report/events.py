"""Events of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Messages of the events that users should know of at once.
NOTABLE = {
    "sampler_lost": "{sampler} died (status {status})",
    "sampler_replaced": "{sampler} is restarted",
    "sampler_disconnected": "{sampler} (process {process}) cannot be reached: it may be stopped, or hang",
    "sampler_reconnected": "{sampler} is back",
    "sampler_gone": "{sampler} did not come back: others do its work",
    "launched": "{launcher} keeps {samplers} samplers at work",
    "listening": "listening at {endpoint}",
    "join_file": "samplers on other machines join with: framework sampler --join {join}",
    "host_joined": "{host} has joined with {samplers} samplers",
    "host_disconnected": "{host} cannot be reached",
    "host_reconnected": "{host} is back",
    "host_gone": "{host} did not come back: its work is given to others",
    "host_left": "{host} has left",
    "host_refused": "{host} was refused: {reason}",
    "host_quarantined": "{host} takes no part any more: its samplers end without delivering anything",
    "sampler_differs": "{sampler} differs from the learner, so results may by rounding: {differs}",
    "nothing_delivered": "nobody has delivered anything for {seconds} s",
    "sampler_refused": "a sampler was refused: {reason}",
    "events_left_out": "too many events of samplers and hosts: {count} are left out",
    "not_replayable": "environments {environments} could not be restored (they are not deterministic, cannot be "
    "seeded, or play longer than sampling.max_replay_steps): they start new episodes, and the run is not exactly "
    "repeatable",
    "episodes_too_long": "episodes of environments {environments} are longer than sampling.max_replay_steps = "
    "{max_replay_steps}: where their shard moves or the run is resumed they start anew, and the run is then not "
    "exactly repeatable",
    "environment_failed": "{traceback}\nenvironment {environment} failed in {call}: {reason}; its episode {episode} is "
    "given up, and the next begins (failed episodes so far: {failures})",
    "plugin_dropped": "plugin {plugin} failed in {hook} and is left out from here on\n{reason}",
    "callback_dropped": "callback {callback} failed in {hook} and is left out from here on\n{reason}",
    "stopped": "stopped: {reason}",
    "video_failed": "an evaluation could not be filmed: {reason}",
    "checkpoint_failed": "checkpoint {checkpoint} could not be saved: {reason}",
    "checkpoint_skipped": "{reason}",
    "close_failed": "{reason}",
    "report_failed": "report.html could not be written: {reason}",
    "weights_loaded": "{what}",
    "online": "learned offline for {steps:,} steps: from here on trajectories are collected",
    "bfloat16_emulated": 'this processor has no bfloat16 arithmetic: precision = "float32" is many times faster',
}
#: Messages of those that are worth reading afterwards.
_WORTH_READING = {
    "resumed": "resumed from {checkpoint}, after update {update}",
    "sampler_failed": "{sampler} failed: {message}",
    "failed": "{reason}",
}
#: Messages of those that belong to every run.
_ORDINARY = {
    "sampler_joined": "{sampler} is ready (process {process})",
    "finished": "the run has ended: {status}",
}
_MESSAGES = NOTABLE | _WORTH_READING | _ORDINARY
#: Notable, but of every run that listens.
_EXPECTED = {"launched", "listening", "join_file", "host_joined", "host_left"}


def describe(event: str, fields: Mapping[str, Any]) -> str:
    """An event in words; its fields where there are no words for it, or not all of them."""
    try:
        if event == "pipeline_changed":
            return ", ".join(f"{key}: {before} → {now}" for key, (before, now) in fields["changes"].items())
        return _MESSAGES[event].format(**fields)
    except (LookupError, TypeError, ValueError, AttributeError):  # of another version, or of another hand
        return ", ".join(f"{name} {value}" for name, value in fields.items() if name not in ("time", "event"))


def is_worth_reading(event: str) -> bool:
    """Whether an event says more than that all is well; those that nobody has words for do."""
    return event not in _ORDINARY and event not in _EXPECTED
