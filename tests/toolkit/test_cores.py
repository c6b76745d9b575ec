import os

import pytest

from framework.toolkit import cores
from framework.toolkit.cores import affine_cores, granted_cores, usable_cores


@pytest.mark.parametrize(
    ("text", "granted"), [("max 100000\n", None), ("200000 100000\n", 2.0), ("50000 100000\n", 0.5), (None, None)]
)
def test_control_groups_grant_processors(tmp_path, text, granted):
    """As time in each period; without a limit, or without control groups, there is none."""
    file = tmp_path / "cpu.max"
    if text is not None:
        file.write_text(text)
    assert granted_cores(file) == granted


@pytest.mark.parametrize(("affine", "granted", "usable"), [(8, None, 8), (8, 2.5, 2), (2, 6.0, 2), (8, 0.5, 1)])
def test_usable_cores_are_the_fewest(monkeypatch, affine, granted, usable):
    """Of those that the scheduler gives and those that the control group grants; one at least."""
    monkeypatch.setattr(cores, "affine_cores", lambda: affine)
    monkeypatch.setattr(cores, "granted_cores", lambda: granted)
    assert usable_cores() == usable


def test_affinity_counts(monkeypatch):
    """Not the processors of the machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 5}, raising=False)
    assert affine_cores() == 3
