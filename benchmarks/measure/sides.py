"""The sides of a comparison: the framework's pipelines with overrides, and its peers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from measure.processes import module, run
from measure.results import BENCHMARKS, Measurement

SB3 = "Stable-Baselines3"
SINGLE_FILE = "single-file loop"
#: Default environment steps of a run.
STEPS = {"cartpole": 200_000, "pong": 20_000}

Side = Callable[[int], Measurement]


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of all benchmarks that train."""
    parser.add_argument("overrides", nargs="*", help="overrides of our pipelines, as for framework run")
    parser.add_argument("--env", choices=tuple(STEPS), default="cartpole")
    parser.add_argument("--steps", type=int, help="environment steps of each run (default: by environment)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first repeat; each further one has the next")


def add_peer_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the interpreters and threads of peers."""
    parser.add_argument(
        "--sb3-python",
        metavar="PATH",
        help="Python of an environment with stable-baselines3 (for Pong also ale-py and opencv-python-headless)",
    )
    threads = "torch threads of the peers (default: their own choice)"
    parser.add_argument("--peer-threads", type=int, default=0, metavar="N", help=threads)


def missing_peer(options: argparse.Namespace) -> str:
    """A line under the table where a peer was not measured."""
    return "" if options.sb3_python else f"\n\nWithout {SB3}: name its interpreter with --sb3-python."


def run_settings(options: argparse.Namespace, steps: int) -> dict[str, Any]:
    """The settings of every run in the result file; ``steps`` is the default."""
    return {
        "steps": options.steps or steps,
        "seeds": [options.seed + repeat for repeat in range(options.repeats)],
        "overrides": options.overrides,
    }


def ours(pipeline: str, options: argparse.Namespace, *overrides: str, until: float | None = None, **flags: Any) -> Side:
    """A pipeline of ``benchmarks/pipelines``; repeat n has the seed n after the first."""

    def measure(repeat: int) -> Measurement:
        settings = [*overrides, *options.overrides, f"run.seed={options.seed + repeat}"]
        if options.steps:
            settings.append(f"run.total_steps={options.steps}")
        command = module("train", BENCHMARKS / "pipelines" / f"{pipeline}.toml", *settings)
        return _finish(run(command if until is None else [*command, "--until", str(until)], **flags))

    return measure


def sb3(
    task: str, options: argparse.Namespace, steps: int, until: float | None = None, **flags: Any
) -> dict[str, Side]:
    """Stable-Baselines3 as a row, where there is one."""

    def measure(repeat: int) -> Measurement:
        command = [options.sb3_python, "-m", "peers.sb3", task, *_peer(options, steps, repeat)]
        return _finish(run(command if until is None else [*command, "--until", str(until)], **flags))

    return {SB3: measure} if options.sb3_python else {}


def single_file(task: str, options: argparse.Namespace, steps: int, *flags: str) -> Side:
    """The single-file loop, in our own interpreter."""

    def measure(repeat: int) -> Measurement:
        return _finish(run([sys.executable, "-m", "peers.single_file", task, *_peer(options, steps, repeat), *flags]))

    return measure


def _peer(options: argparse.Namespace, steps: int, repeat: int) -> list[str]:
    return [f"--steps={options.steps or steps}", f"--seed={options.seed + repeat}", f"--threads={options.peer_threads}"]


def _finish(result: Measurement) -> Measurement:
    """The result with the seconds from the start of the process to the start of training."""
    return result | {"start_seconds": result["ready"] - result["launched"]}
