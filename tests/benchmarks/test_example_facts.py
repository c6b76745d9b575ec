"""What `framework examples` says of measurements."""

from __future__ import annotations

import json

from framework.bundled import example_names
from measure import example_facts
from measure.aims import aims


def test_the_file_is_current() -> None:
    """It says what the result files say: `python benchmarks/pages.py` would change nothing."""
    assert example_facts.PATH.read_text(encoding="utf-8") == example_facts.facts()


def test_every_example_with_an_aim_was_measured() -> None:
    """Each has what its runs reached, and the minutes that they took; nothing else is in the file than examples."""
    examples = json.loads(example_facts.facts())["examples"]
    assert aims().keys() <= examples.keys() <= set(example_names())
    assert all(0 < low <= high for low, high in (fact["minutes"] for fact in examples.values()))


def test_decimals_are_written_as_in_the_examples() -> None:
    """Without the leading zero, in two places at most."""
    assert [example_facts._decimal(number) for number in (0.0, 0.2, 0.9257, 1.0)] == ["0", ".2", ".93", "1"]
