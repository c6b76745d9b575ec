"""A learner and hosts as processes of their own, on the machines of a `measure.network.Network`, to be disturbed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from framework.runtime.disk.checkpoint import checkpoints, load
from framework.runtime.disk.run_directory import is_time
from measure.network import Network
from measure.processes import environment
from measure.proxied import Proxied

LEARNER = "learner"
PORT = 5555

#: CartPole of which a step takes as long as ``STEP_SECONDS`` says: what is learned does not depend on that.
ENVIRONMENT = """
import os, time
import gymnasium

class Slow(gymnasium.Wrapper):
    def step(self, action):
        time.sleep(float(os.environ.get("STEP_SECONDS", "0")))
        return self.env.step(action)

class Environment:
    def __init__(self, config, context):
        pass
    def make(self):
        return Slow(gymnasium.make("CartPole-v1"))
"""
PIPELINE = """
[run]
name = "faults"
seed = 5
total_steps = {steps}

[environment]
use = "slow:Environment"

[encoder]
use = "mlp"
hidden = [16, 16]

[algorithm]
use = "ppo"
minibatch_size = 64
epochs = 1

[sampling]
environments = 16
shard = 2
rollout_length = 16
policy_lag = 1

[evaluation]
episodes = 0

[checkpoint]
every_seconds = {checkpoints}

[runtime]
samplers = {samplers}
environment_timeout = {timeout}
"""
#: Environment steps of one update.
STEPS = 16 * 16


def wait_for(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What ``condition`` gives once it is true. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {seconds} s in vain")
        time.sleep(0.005)
    return result


def write_pipeline(
    folder: Path, updates: int, *, samplers: int = 0, checkpoints: float = 1.0, timeout: float = 300.0
) -> Path:
    """The pipeline of a run of so many updates, and its environment beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "slow.py").write_text(ENVIRONMENT)
    path = folder / "pipeline.toml"
    steps = updates * STEPS
    path.write_text(PIPELINE.format(steps=steps, samplers=samplers, checkpoints=checkpoints, timeout=timeout))
    return path


def lines(directory: Path, file: str) -> list[dict[str, Any]]:
    """The whole lines of one of a run's JSONL files."""
    text = (directory / file).read_text() if (directory / file).exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def outcome(directory: Path) -> dict[str, str]:
    """Digests of all that a run has come to: its final weights, its metrics without times, its episodes.

    A trajectory that was lost, or learned from twice, changes each of them.
    """
    state = load(checkpoints(directory / "checkpoints")[-1])
    metrics = [
        {name: value for name, value in line.items() if not is_time(name)} for line in lines(directory, "metrics.jsonl")
    ]
    texts = {
        "weights": state["versions"][str(state["update"])]["weights"].tobytes(),
        "metrics": json.dumps(metrics).encode(),
        "episodes": json.dumps(lines(directory, "episodes.jsonl")).encode(),
    }
    return {name: hashlib.sha256(text).hexdigest()[:16] for name, text in texts.items()}


def run_alone(folder: Path, updates: int) -> dict[str, str]:
    """The outcome of the undisturbed run, in a single process."""
    return run_to_end(folder, write_pipeline(folder, updates))


def run_to_end(folder: Path, pipeline: Path, *overrides: str) -> dict[str, str]:
    """The outcome of a pipeline's run on this machine."""
    command = [sys.executable, "-m", "framework", "run", str(pipeline), "--runs", str(folder / "runs"), *overrides]
    subprocess.run(command, check=True, capture_output=True, env=environment())
    (directory,) = (folder / "runs").iterdir()
    return outcome(directory)


class Process:
    """A program on a machine of the network; its output is in a file."""

    def __init__(self, network: Network | Proxied, machine: str, output: Path, arguments: list[str], **variables: str):
        self.output = output
        command = network.inside(machine, [sys.executable, "-m", "framework", *arguments])
        with output.open("a") as file:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment() | variables
            )

    @property
    def main(self) -> psutil.Process:
        """The process of the program itself: ``ip netns exec`` becomes it."""
        return psutil.Process(self._process.pid)

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)

    def wait(self, seconds: float = 300.0) -> int:
        """Its exit code. Raises `TimeoutExpired`, and `RuntimeError` with its output for an unexpected one."""
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it, whatever it does; its own children end with it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        self._process.kill()
        self._process.wait()


class Fleet:
    """One run and the hosts that collect for it. A context manager; nothing is left running."""

    def __init__(
        self, network: Network | Proxied, folder: Path, pipeline: Path, *overrides: str, step_seconds: float = 0.0
    ):
        self.network, self.folder = network, folder
        self._run = [str(pipeline), *overrides]
        self._variables = {"STEP_SECONDS": str(step_seconds)}
        self._processes: list[Process] = []

    def __enter__(self) -> Fleet:
        self.folder.mkdir(parents=True, exist_ok=True)
        arguments = ["run", *self._run, "--runs", str(self.folder / "runs"), *self._listen()]
        self.learner = self._start(LEARNER, arguments)
        self.directory: Path = wait_for(lambda: next((self.folder / "runs").glob("*"), None))
        wait_for((self.directory / "join").exists)
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self._processes):
            process.close()

    def resume(self) -> None:
        """Start the learner again, which has ended."""
        self.learner = self._start(LEARNER, ["run", "--resume", str(self.directory), *self._listen()])

    def host(self, machine: str, workers: int = 1, *options: str) -> Process:
        """Start a host."""
        token = self.network.token(machine, self.directory / "join")
        join = ["sampler", "--join", str(token), "--workers", str(workers), "--name", machine]
        return self._start(machine, [*join, *options])

    def events(self, name: str, since: float = 0.0) -> list[dict[str, Any]]:
        """The events of a name, from a time of day on; ``at`` is their time of day."""
        named = [
            {**line, "at": datetime.fromisoformat(line["time"]).timestamp()}
            for line in lines(self.directory, "events.jsonl")
            if line["event"] == name
        ]
        return [line for line in named if line["at"] >= since - 0.001]

    def event(self, name: str, since: float, seconds: float = 120.0, **fields: Any) -> dict[str, Any]:
        """The first such event, waited for."""

        def such() -> dict[str, Any] | None:
            return next((event for event in self.events(name, since) if fields.items() <= event.items()), None)

        result: dict[str, Any] = wait_for(such, seconds)
        return result

    @property
    def updates(self) -> int:
        """How many updates there have been."""
        file = self.directory / "metrics.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def reach(self, update: int) -> None:
        """Wait for an update."""
        wait_for(lambda: self.updates >= update)

    def next_update(self) -> float:
        """Wait for one more update; returns the seconds that it took."""
        before, started = self.updates, time.monotonic()
        wait_for(lambda: self.updates > before)
        return time.monotonic() - started

    def end(self) -> dict[str, str]:
        """Wait for the end of the run; returns its outcome. Raises `RuntimeError` where it failed."""
        status = self.learner.wait()
        if status:
            raise RuntimeError(f"the learner ended with {status}:\n{self.learner.output.read_text()[-3000:]}")
        return outcome(self.directory)

    def _listen(self) -> list[str]:
        return ["--listen", f"{self.network.addresses[LEARNER]}:{PORT}"]

    def _start(self, machine: str, arguments: list[str]) -> Process:
        output = self.folder / f"{machine}.log"
        self._processes.append(Process(self.network, machine, output, arguments, **self._variables))
        return self._processes[-1]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system in memory, of a size, at a folder."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
