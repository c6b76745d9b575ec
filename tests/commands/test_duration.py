import click
import pytest

from framework.commands._duration import Duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("2d", 172_800), ("0", 0), (7, 7), (0.5, 0.5)],
)
def test_durations_are_seconds(text, seconds):
    """A number with a unit, or seconds without one."""
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1", "10 m", "1e3", "10M", "1h30m", "1234567890", "inf"])
def test_other_texts_are_refused(text):
    """With an example."""
    with pytest.raises(click.BadParameter, match="is no duration: write a number with s, m, h or d, such as 10m"):
        Duration().convert(text, None, None)


def test_durations_end():
    """So that what begins now ends at a date."""
    assert Duration().convert("36500d", None, None) == 36_500 * 86_400
    with pytest.raises(click.BadParameter, match="'999999999d' is longer than a hundred years"):
        Duration().convert("999999999d", None, None)
