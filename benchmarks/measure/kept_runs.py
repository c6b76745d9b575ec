"""Runs that are kept in a folder: trained once, resumed where they were interrupted, then only read."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

import framework
from framework.errors import FrameworkError
from framework.pipeline.document import differences
from measure.processes import environment
from measure.research_rows import Row

#: Options of where a run happens, which do not change its results.
_WHERE = ("runtime.samplers", "runtime.threads")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of scripts that read kept runs: ``runs`` and ``seeds``."""
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs and of their scores")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="seeds of each row (default 1 2 3)")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of scripts that also train: ``jobs``, and overrides that are ``set``."""
    add_arguments(parser)
    parser.add_argument("--jobs", type=int, default=1, help="number of runs trained or evaluated at a time")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE",
                        help="overrides of all training runs, such as runtime.samplers=0")  # fmt: skip


class Trainer:
    """Trains rows in processes of their own, from any thread. As a context manager it ends those it started."""

    def __init__(self, folder: Path, overrides: list[str]):
        self._folder, self._overrides = folder, overrides
        self._processes: list[subprocess.Popen[Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            alive = [process for process in self._processes if process.poll() is None]
        for process in alive:
            process.terminate()  # it saves a checkpoint
        for process in alive:
            process.wait()

    def run(self, row: Row, seed: int) -> Path:
        """The directory of a complete run of ``row``; trains what is missing.

        Raises `FrameworkError` where the run that is kept is one of another pipeline, and `RuntimeError` where
        training fails.
        """
        folder = self._folder / row.folder / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        overrides = [*row.overrides, *self._overrides, f"run.seed={seed}"]
        directory = kept(folder)
        if directory is not None:
            requested, recorded = framework.load(row.pipeline, overrides), framework.load_run(directory)
            differing = differences(requested.to_plain(), recorded.to_plain())
            if different := sorted(key for key in differing if not key.startswith(_WHERE)):
                raise FrameworkError(
                    f"{directory} is a run of another pipeline: {', '.join(different)} differ; remove it, or choose"
                    " another folder with --runs"
                )
            if _is_complete(directory):
                return directory
        arguments = ["--resume", directory] if directory else [row.pipeline, *overrides, "--runs", folder]
        with (folder / "log.txt").open("a") as log:
            process = self._start([sys.executable, "-m", "framework", "run", *map(str, arguments)], log)
            print(f"{row.name}, seed {seed}: trained by process {process.pid}", file=sys.stderr, flush=True)
            if process.wait():
                raise RuntimeError(f"training {row.name} with seed {seed} ended with {process.returncode}: {log.name}")
        trained = kept(folder)
        assert trained is not None
        return trained

    def _start(self, command: list[str], log: TextIO) -> subprocess.Popen[Any]:
        with self._lock:
            if self._closed:
                raise RuntimeError("training was cancelled")
            self._processes.append(
                subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment()
                )
            )
            return self._processes[-1]


def series(directory: Path, column: str) -> list[list[float]]:
    """Environment steps and values of a column of a run's metrics, where it has one."""
    lines = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return [[line["steps"], round(line[column], 4)] for line in lines if column in line]


def kept(folder: Path) -> Path | None:
    """The only run in a folder; None where there is none."""
    directories = [path.parent for path in folder.glob("*/manifest.json")]
    if len(directories) > 1:
        raise FrameworkError(f"{folder} has {len(directories)} runs: remove all but one")
    return directories[0] if directories else None


def kept_of_table(runs: Path, row: str, seeds: list[int]) -> list[Path]:
    """Runs that ``research_table.py`` trained for a row, by its folder. Raises `SystemExit` where one is missing."""
    directories = [kept(runs / row / f"seed-{seed}") for seed in seeds]
    if None in directories:
        raise SystemExit(f"{runs / row} has no run of each seed: research_table.py trains them")
    return [directory for directory in directories if directory is not None]


def _is_complete(directory: Path) -> bool:
    events = (directory / "events.jsonl").read_text().splitlines()
    return bool(events) and json.loads(events[-1]).get("status") == "done"
