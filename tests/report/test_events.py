import pytest

from framework.report.events import NOTABLE, describe, is_worth_reading


def test_events_are_told_in_words():
    """With what they are about."""
    assert describe("sampler_lost", {"sampler": "sampler-1", "status": 77}) == "sampler-1 died (status 77)"
    assert describe("failed", {"reason": "the disk is full"}) == "the disk is full"
    changes = {"run.total_steps": [10, 20], "runtime.samplers": [2, None]}
    assert describe("pipeline_changed", {"changes": changes}) == "run.total_steps: 10 → 20, runtime.samplers: 2 → None"


@pytest.mark.parametrize("event", [*NOTABLE, "pipeline_changed", "of_a_later_version"])
def test_events_that_lack_something_are_told_by_their_fields(event):
    """Such as those of another version."""
    fields = {"time": "now", "event": event, "changes": 3, "place": "here"}
    if event != "bfloat16_emulated":
        assert describe(event, fields) == "changes 3, place here"
    assert describe("sampler_lost", {"sampler": "{0.__class__}", "status": "{x}"}) == "{0.__class__} died (status {x})"


def test_what_is_worth_reading():
    """All but what every run has: those that nobody has words for too."""
    assert all(map(is_worth_reading, ("sampler_lost", "failed", "resumed", "report_failed", "of_a_later_version")))
    assert not any(map(is_worth_reading, ("sampler_joined", "finished", "listening", "host_joined")))
