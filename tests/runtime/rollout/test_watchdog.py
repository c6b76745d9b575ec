from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from framework.runtime.rollout import watchdog as module
from framework.runtime.rollout.watchdog import Watchdog

HANGS = """
import time
from framework.runtime.rollout import watchdog

watchdog._INTERVAL = 0.05
dog = watchdog.Watchdog(0.2)
with dog:
    for _ in range(6):
        time.sleep(0.1)
        dog.progress()
time.sleep(0.5)
print("here", flush=True)
with dog:
    {hang}
print("not here")
"""


@pytest.mark.parametrize("hang", ["time.sleep(60)", "import re; re.match('(a+)+$', 'a' * 60 + 'b')"])
def test_what_does_not_come_back_ends_the_process(hang: str) -> None:
    """With a traceback, also where Python's lock is held; what comes back each time may take long in all."""
    process = subprocess.run(
        [sys.executable, "-c", HANGS.format(hang=hang)], capture_output=True, text=True, check=False, timeout=60
    )
    assert process.returncode == 1
    assert process.stdout == "here\n"
    assert "most recent call first" in process.stderr


class Alarm:
    """What `faulthandler` is told."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def dump_traceback_later(self, seconds: float, exit: bool, file: int) -> None:
        assert exit
        self.calls.append(seconds)

    def cancel_dump_traceback_later(self) -> None:
        self.calls.append("cancelled")


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch) -> Alarm:
    alarm = Alarm()
    monkeypatch.setattr(module, "faulthandler", alarm)
    return alarm


class Vector:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def step(self, actions: np.ndarray) -> None:
        self.calls.append(actions)

    def reset(self, *arguments: Any) -> None:
        self.calls.append(arguments)


def test_steps_and_resets_are_progress(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm is set anew when one comes back, but not more often than once a second."""
    now = 10.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    dog, vector = Watchdog(5.0), Vector()
    assert dog.watch(vector) is vector  # type: ignore[arg-type]
    with dog:
        for _ in range(4):
            now += 0.6
            vector.step(np.zeros(1))
        vector.reset(1, 2, 3)
    assert alarm.calls == [6.0, 6.0, 6.0, "cancelled"]
    assert vector.calls[-1] == (1, 2, 3)
    assert len(vector.calls) == 5


def test_zero_watches_nothing(alarm: Alarm) -> None:
    """The vector stays as it is."""
    dog, vector = Watchdog(0.0), Vector()
    dog.watch(vector)  # type: ignore[arg-type]
    with dog:
        vector.step(np.zeros(1))
    assert alarm.calls == []
    assert vars(vector).keys() == {"calls"}
