"""A learner in several processes, as torchrun and accelerate start them: the results of one process, bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import runs
from processes import wait_for

HERE = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
#: Small, but with everything that an update may draw random numbers for.
SMALL = ["run.total_steps=2048", "sampling.policy_lag=1", "evaluation.every_steps=0", "evaluation.episodes=0"]
DOORKEY = [
    'encoder={use="multimodal", width=32, heads=2}',
    'environment.observation="dict"',
    "algorithm.normalize_observations=false",
    "algorithm.epochs=2",
    "sampling.rollout_length=32",
    *SMALL,
]
DQN = [*SMALL, "run.total_steps=3000", "algorithm.learning_starts=500", "replay.use=prioritized"]
SEQUENCES = [*DQN, 'encoder={use="gru", features=8}', "algorithm.updates_per_step=0.1", "algorithm.burn_in=8"]
RAINBOW = [*DQN, "algorithm.distribution=quantile", "algorithm.noisy=true", "algorithm.munchausen=true"]


def run(folder: Path, launcher: Sequence[str], pipeline: Path, *overrides: str) -> Path:
    """The run directory of a pipeline that was run to its end."""
    with started(folder, launcher, pipeline, *overrides) as process:
        assert process.wait(240) == 0, (folder / "log").read_text()
    (directory,) = (folder / "runs").iterdir()
    return directory


@contextmanager
def started(
    folder: Path, launcher: Sequence[str], pipeline: Path, *overrides: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The processes of a run; they have ended afterwards."""
    folder.mkdir()
    command = [*launcher, "-m", "framework", "run", str(pipeline), "--runs", str(folder / "runs"), *overrides]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in family:
            if child.is_running():
                child.kill()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("example", "overrides"),
    [
        ("cartpole.toml", SMALL),
        ("minigrid-doorkey.toml", DOORKEY),
        ("cartpole-dqn.toml", DQN),
        ("cartpole-dqn.toml", SEQUENCES),
        ("cartpole-pqn.toml", SMALL),
        ("cartpole-dqn.toml", RAINBOW),
    ],
)
def test_two_processes_learn_what_one_does(example: str, overrides: list[str], tmp_path: Path) -> None:
    """With four slices: CartPole, DoorKey with a transformer over modalities, DQN from steps, sequences, with noise."""
    how = HERE / "examples" / example, "algorithm.slices=4", *overrides
    alone = run(tmp_path / "alone", [sys.executable], *how)
    together = run(tmp_path / "together", TORCHRUN, *how)
    runs.assert_equal_runs(alone, together)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_imitated_steps_are_shared_out_too(tmp_path: Path) -> None:
    """Of PPO with a replay buffer, which each process has a copy of."""
    how = HERE / "examples" / "cartpole.toml", "algorithm.slices=2", 'replay={use="prioritized"}', *SMALL
    alone = run(tmp_path / "alone", [sys.executable], *how)
    runs.assert_equal_runs(alone, run(tmp_path / "together", TORCHRUN, *how))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bonuses_and_memory_are_shared_out_too(tmp_path: Path) -> None:
    """Sequences are sliced by environments; bonuses are learned by each process."""
    how = (
        HERE / "examples" / "cartpole-gru.toml",
        "algorithm.slices=2",
        'bonus=[{use="rnd", encoder="mlp"}, {use="icm", encoder="mlp"}]',
        "sampling.rollout_length=64",
        *SMALL,
    )
    alone = run(tmp_path / "alone", [sys.executable], *how)
    runs.assert_equal_runs(alone, run(tmp_path / "together", TORCHRUN, *how))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_script_may_be_started_so_too(tmp_path: Path) -> None:
    """``framework.train`` has the updates in the first process, and none in the others."""
    pipeline = runs.write(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, framework\n"
        f"pipeline = framework.load({str(pipeline)!r}, {{'algorithm.slices': 2}})\n"
        "print('updates', sum(1 for _ in framework.train(pipeline, root=sys.argv[1])))\n"
    )
    for launcher, folder in (([sys.executable], "alone"), (TORCHRUN, "together")):
        command = [*launcher, str(script), str(tmp_path / folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        said = sorted(done.stdout.split("updates ")[1:])
        assert [line.strip() for line in said] == ["16"] if launcher == [sys.executable] else ["0", "16"]
    (alone,), (together,) = (list((tmp_path / folder).iterdir()) for folder in ("alone", "together"))
    runs.assert_equal_runs(alone, together)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [0, 1])
def test_a_process_that_is_killed_changes_nothing(number: int, tmp_path: Path) -> None:
    """torchrun starts all of them again; they go on from the newest checkpoint, in the same run directory."""
    pipeline = HERE / "examples" / "cartpole.toml"
    how = pipeline, "algorithm.slices=2", "checkpoint.every_seconds=0.0", *SMALL, "run.total_steps=8192"
    alone = run(tmp_path / "alone", [sys.executable], *how)
    folder = tmp_path / "together"
    with started(folder, [*TORCHRUN, "--max-restarts", "3"], *how) as process:
        directory = wait_for(lambda: next((folder / "runs").glob("*"), None), 60)
        wait_for(lambda: runs.updates_done(directory) >= 3, 60)
        os.kill(rank(process.pid, number).pid, signal.SIGKILL)
        assert process.wait(240) == 0, (folder / "log").read_text()
    assert list((folder / "runs").iterdir()) == [directory]
    assert runs.events(directory, "resumed")
    runs.assert_equal_runs(alone, directory)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_samplers_of_other_machines_outlive_the_processes(tmp_path: Path) -> None:
    """They wait until torchrun has started the learner again, and end with the run."""
    pipeline = HERE / "examples" / "cartpole.toml"
    how = pipeline, "algorithm.slices=2", "checkpoint.every_seconds=0.0", *SMALL, "run.total_steps=8192"
    alone = run(tmp_path / "alone", [sys.executable], *how)
    folder = tmp_path / "together"
    listening = ('runtime.listen="127.0.0.1:0"', "runtime.samplers=0")
    with started(folder, [*TORCHRUN, "--max-restarts", "3"], *how, *listening) as process:
        directory = wait_for(lambda: next((folder / "runs").glob("*"), None), 60)
        wait_for((directory / "join").exists, 60)
        join = [*runs.FRAMEWORK, "sampler", "--join", str(directory / "join"), "--workers", "2"]
        with subprocess.Popen(join, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as host:
            try:
                wait_for(lambda: runs.updates_done(directory) >= 3, 60)
                os.kill(rank(process.pid, 0).pid, signal.SIGKILL)
                assert process.wait(240) == 0, (folder / "log").read_text()
                assert host.wait(30) == 0
            finally:
                host.kill()
    assert runs.events(directory, "resumed")
    runs.assert_equal_runs(alone, directory)


def rank(agent: int, number: int) -> psutil.Process:
    """The process of a learner that torchrun has given this number."""
    return next(child for child in psutil.Process(agent).children() if child.environ().get("RANK") == str(number))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_interrupted_run_is_saved_by_all(tmp_path: Path) -> None:
    """SIGTERM to torchrun ends the first in good order, and the others with it."""
    folder = tmp_path / "together"
    how = HERE / "examples" / "cartpole.toml", "algorithm.slices=2", *SMALL, "run.total_steps=10000000"
    with started(folder, TORCHRUN, *how) as process:
        directory = wait_for(lambda: next((folder / "runs").glob("*"), None), 60)
        wait_for(lambda: runs.updates_done(directory) >= 3, 60)
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(40)
        deadline = time.monotonic() + 10
        while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert runs.events(directory, "finished")[-1]["status"] == "interrupted"
    assert list((directory / "checkpoints").glob("update-*"))


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(find_spec("accelerate") is None, reason="accelerate is not installed: pip install accelerate")
def test_accelerate_starts_them_too(tmp_path: Path) -> None:
    """It passes through to torchrun."""
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launcher += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    how = HERE / "examples" / "cartpole.toml", "algorithm.slices=2", *SMALL
    alone = run(tmp_path / "alone", [sys.executable], *how)
    runs.assert_equal_runs(alone, run(tmp_path / "together", launcher, *how))
