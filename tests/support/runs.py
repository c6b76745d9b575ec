"""Small runs for the tests of the runtime, and what makes two of them equal."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import framework
from framework.runtime.disk.checkpoint import checkpoints, load
from framework.runtime.disk.run_directory import Record, is_time
from framework.runtime.learn.update import Update
from framework.runtime.session import Session

#: The command line, as a process of its own.
FRAMEWORK = [sys.executable, "-m", "framework"]

CARTPOLE = """
[run]
seed = 3
total_steps = 2048
report = false

[environment]
use = "gymnasium"
id = "CartPole-v1"

[encoder]
use = "mlp"
hidden = [16, 16]

[algorithm]
use = "ppo"
minibatch_size = 64
epochs = 2

[sampling]
environments = 8
shard = 2
rollout_length = 16
policy_lag = 1

[evaluation]
episodes = 2

[checkpoint]
every_seconds = 0.0
"""


def write(folder: Path, text: str = CARTPOLE) -> Path:
    """A pipeline file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pipeline.toml"
    path.write_text(text)
    return path


def session(pipeline: Path, root: Path, **overrides: Any) -> Session:
    """A run of a pipeline file; ``a__b=c`` overrides ``a.b``."""
    values = {name.replace("__", "."): value for name, value in overrides.items()}
    return Session(framework.load(pipeline, values), root=root)


def recorded(folder: Path, *overrides: str) -> Path:
    """The directory of a run that has not begun, of this account; its pipeline file lies in ``folder``."""
    record = Record.create(framework.load(write(folder), overrides), folder / "runs")
    record.close()
    return record.directory


def change_manifest(directory: Path, **changes: Any) -> None:
    """Change a run's manifest, as who has the files can."""
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def run(pipeline: Path, root: Path, during: Callable[[Session, Update], None] | None = None, **overrides: Any) -> Path:
    """Run to the end, calling ``during`` after each update; returns the run directory."""
    started = session(pipeline, root, **overrides)
    for update in started.updates():
        if during is not None:
            during(started, update)
    return started.directory


def metrics(directory: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without the columns that tell the time."""
    return [
        {name: value for name, value in line.items() if not is_time(name)} for line in lines(directory, "metrics.jsonl")
    ]


def lines(directory: Path, file: str) -> Iterator[dict[str, Any]]:
    """The lines of one of a run's JSONL files."""
    return (json.loads(line) for line in (directory / file).read_text().splitlines())


def events(directory: Path, name: str) -> list[dict[str, Any]]:
    """The events of one name."""
    return [event for event in lines(directory, "events.jsonl") if event["event"] == name]


def final_weights(directory: Path) -> bytes:
    """The policy's weights at the end of a run."""
    state = load(checkpoints(directory / "checkpoints")[-1])
    weights: bytes = state["versions"][str(state["update"])]["weights"].tobytes()
    return weights


def assert_equal_runs(first: Path, second: Path) -> None:
    """Both runs are the same, bit for bit, but for the time that they took."""
    assert metrics(first) == metrics(second)
    assert list(lines(first, "episodes.jsonl")) == list(lines(second, "episodes.jsonl"))
    assert final_weights(first) == final_weights(second)


def moment(event: dict[str, Any]) -> float:
    """When an event was recorded, in seconds as `time.time` has them."""
    return datetime.fromisoformat(event["time"]).timestamp()


def updates_done(directory: Path) -> int:
    """Updates that a run has recorded so far."""
    file = directory / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for_updates(root: Path, count: int, process: subprocess.Popen[bytes]) -> Path:
    """The directory of the run that ``process`` does in ``root``, once it has done so many updates."""
    while True:
        for directory in root.glob("run-*"):
            if updates_done(directory) >= count:
                return directory
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.002)


def kill_and_resume(path: Path, root: Path, moments: list[int], overrides: tuple[str, ...] = ()) -> Path:
    """Start ``framework run``, kill it with -9 when so many updates are done, resume it, and so on to the end."""
    directory: Path | None = None
    for count in moments:
        arguments = ["--resume", str(directory)] if directory else [str(path), *overrides, "--runs", str(root)]
        with subprocess.Popen([*FRAMEWORK, "run", *arguments], stdout=subprocess.DEVNULL) as process:
            directory = wait_for_updates(root, count, process)
            process.kill()
    assert directory is not None
    for _ in framework.train(framework.load_run(directory), resume=directory):
        pass
    return directory
