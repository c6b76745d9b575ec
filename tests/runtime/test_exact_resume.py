"""Kills at random moments, on environments of several kinds. Slow; `test_determinism` is the quick part of it."""

import os
import random
import signal
from pathlib import Path

import pytest
import runs

pytestmark = pytest.mark.slow

DOORKEY = runs.CARTPOLE.replace(
    'use = "gymnasium"\nid = "CartPole-v1"', 'use = "minigrid"\nid = "MiniGrid-DoorKey-5x5-v0"\nobservation = "flat"'
)
PONG = (
    runs.CARTPOLE.replace('use = "gymnasium"\nid = "CartPole-v1"', 'use = "atari"\ngame = "pong"')
    .replace('use = "mlp"\nhidden = [16, 16]', 'use = "cnn"\nchannels = [8, 16]\nkernels = [8, 4]\nstrides = [4, 2]')
    .replace("features = 512", "features = 32")
    .replace("[evaluation]\nepisodes = 2", "[evaluation]\nepisodes = 0")
)
PIPELINES = {"cartpole": runs.CARTPOLE, "doorkey": DOORKEY, "pong": PONG}
EXTRAS = {"doorkey": "minigrid", "pong": "ale_py"}
UPDATES = 2048 // (8 * 16)


@pytest.fixture(params=sorted(PIPELINES))
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A pipeline of each kind of environment."""
    if request.param in EXTRAS:
        pytest.importorskip(EXTRAS[request.param])
    return runs.write(tmp_path, PIPELINES[request.param])


@pytest.mark.parametrize("lag", [0, 1])
def test_killed_five_times(pipeline: Path, tmp_path: Path, lag: int) -> None:
    """A run killed with -9 at five random moments and resumed each time is bit-equal to the uninterrupted one."""
    pipeline.write_text(pipeline.read_text().replace("policy_lag = 1", f"policy_lag = {lag}"))
    moments = sorted(random.Random(lag).sample(range(1, UPDATES), 5))
    undisturbed = runs.run(pipeline, tmp_path / "undisturbed", runtime__samplers=2)
    directory = runs.kill_and_resume(pipeline, tmp_path / "killed", moments, ("runtime.samplers=2",))
    runs.assert_equal_runs(undisturbed, directory)
    assert not runs.events(directory, "not_replayable")


@pytest.mark.parametrize("lag", [0, 1])
def test_samplers_killed_five_times(pipeline: Path, tmp_path: Path, lag: int) -> None:
    """Five samplers killed with -9 at random moments and replaced change not one bit."""
    pipeline.write_text(pipeline.read_text().replace("policy_lag = 1", f"policy_lag = {lag}"))
    moments = random.Random(lag).sample(range(1, UPDATES), 5)
    killed: set[int] = set()

    def kill(session: runs.Session, update: runs.Update) -> None:
        if update.number in moments:
            joined = [event["process"] for event in runs.events(session.directory, "sampler_joined")]
            process = next(process for process in reversed(joined) if process not in killed)
            os.kill(process, signal.SIGKILL)
            killed.add(process)

    undisturbed = runs.run(pipeline, tmp_path / "undisturbed", runtime__samplers=0)
    directory = runs.run(pipeline, tmp_path / "killed", kill, runtime__samplers=2)
    assert len(killed) == 5
    runs.assert_equal_runs(undisturbed, directory)
