"""Connections between learner and samplers that are cut, and blocked, in the midst of a run."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import runs
from cut_link import CutLink

from framework.runtime.launch.local import LocalStarter

#: What is not to be heard of in a run whose connections come back within the grace.
TROUBLE = ("sampler_gone", "sampler_lost", "sampler_refused", "not_replayable")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("reference")
    return runs.run(runs.write(folder), folder, runtime__samplers=0)


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[CutLink]:
    """The link that all samplers of a run connect to, once there is one."""
    links: list[CutLink] = []
    start = LocalStarter.start

    def through_link(self: LocalStarter, endpoint: str, *who: object) -> None:
        if not links:
            links.append(CutLink(tmp_path, endpoint))
        start(self, links[0].endpoint, *who)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStarter, "start", through_link)
    return links


def disturbed(
    folder: Path, links: list[CutLink], begin: Callable[[CutLink], None], end: Callable[[CutLink], None], seconds: float
) -> Path:
    """A run of two samplers that is disturbed twice for so many seconds."""

    def disturb() -> None:
        begin(links[0])
        time.sleep(seconds)
        end(links[0])

    def during(session: runs.Session, update: runs.Update) -> None:
        if update.number in (3, 8):
            disturbance.append(threading.Thread(target=disturb))
            disturbance[-1].start()
            if update.number == 8:
                disturbance[0].join()

    disturbance: list[threading.Thread] = []
    directory = runs.run(runs.write(folder), folder, during, runtime__samplers=2)
    for thread in disturbance:
        thread.join()
    links[0].close()
    return directory


@pytest.mark.parametrize("seconds", [0.5, pytest.param(3.0, marks=pytest.mark.slow)])
def test_a_connection_that_drops_changes_nothing(
    reference: Path, tmp_path: Path, links: list[CutLink], seconds: float
) -> None:
    """Samplers connect again and go on; every trajectory is trained on once, and the weights are the same."""
    directory = disturbed(tmp_path, links, CutLink.cut, CutLink.mend, seconds)
    runs.assert_equal_runs(reference, directory)
    assert len(runs.events(directory, "sampler_reconnected")) >= 2
    assert not [event for name in TROUBLE for event in runs.events(directory, name)]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3.0, 10.0])
def test_a_connection_that_is_blocked_changes_nothing(
    reference: Path, tmp_path: Path, links: list[CutLink], seconds: float
) -> None:
    """Neither where nobody notices, nor where heartbeats end the connection."""
    directory = disturbed(tmp_path, links, CutLink.block, CutLink.unblock, seconds)
    runs.assert_equal_runs(reference, directory)
    assert bool(runs.events(directory, "sampler_reconnected")) == (seconds > 6)
    assert not [event for name in TROUBLE for event in runs.events(directory, name)]


@pytest.mark.slow
def test_work_of_who_stays_away_goes_to_others(reference: Path, tmp_path: Path, links: list[CutLink]) -> None:
    """After the grace, and the samplers that are back then join anew: the weights are the same all the same."""
    path = runs.write(tmp_path, runs.CARTPOLE + "[runtime]\nreconnect_grace = 1.0\n")

    def during(session: runs.Session, update: runs.Update) -> None:
        if update.number == 3:
            links[0].cut()
            threading.Timer(4.0, links[0].mend).start()

    directory = runs.run(path, tmp_path, during, runtime__samplers=2)
    links[0].close()
    assert runs.metrics(reference) == runs.metrics(directory)
    assert runs.final_weights(reference) == runs.final_weights(directory)
    assert len(runs.events(directory, "sampler_gone")) == 2
    assert len(runs.events(directory, "sampler_joined")) == 4


@pytest.mark.slow
@pytest.mark.parametrize("stays", [False, True])
def test_a_sampler_that_is_stopped_holds_nobody_up(reference: Path, tmp_path: Path, stays: bool) -> None:
    """It is noticed; it goes on where it stood, or, where it stays as it is, another does its work."""
    path = runs.write(tmp_path, runs.CARTPOLE + f"[runtime]\nreconnect_grace = {1.0 if stays else 60.0}\n")

    def during(session: runs.Session, update: runs.Update) -> None:
        if update.number == 3:
            process = runs.events(session.directory, "sampler_joined")[0]["process"]
            os.kill(process, signal.SIGSTOP)
            if not stays:
                threading.Timer(9.0, os.kill, (process, signal.SIGCONT)).start()

    started = time.monotonic()
    directory = runs.run(path, tmp_path, during, runtime__samplers=2)
    assert time.monotonic() - started < 20
    runs.assert_equal_runs(reference, directory)
    assert len(runs.events(directory, "sampler_disconnected")) == 1
    assert len(runs.events(directory, "sampler_gone" if stays else "sampler_reconnected")) == 1
