"""The start-up time of commands, as multiples of a bare Python: ``python benchmarks/startup.py``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure.processes import environment
from measure.results import BENCHMARKS, Measurement, interleaved, machine, middle, parser, publish, ratio, table, values

BARE = "python -c pass"
_PIPELINE = BENCHMARKS / "pipelines" / "cartpole.toml"
_ONE_UPDATE = ("run.total_steps=1024",)


def command(*arguments: str) -> Callable[[int], Measurement]:
    """Wall time of a whole process."""

    def measure(repeat: int) -> Measurement:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            completed = subprocess.run(
                arguments, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            seconds = time.perf_counter() - started
        if completed.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {completed.returncode}:\n{completed.stderr.decode()}")
        return {"seconds": seconds}

    return measure


def first_update(*arguments: str) -> Callable[[int], Measurement]:
    """Wall time from the start of ``framework run`` until the first line of its ``metrics.jsonl``; and to the end."""

    def measure(repeat: int) -> Measurement:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            process = subprocess.Popen(
                arguments, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            seconds = None
            while process.poll() is None:
                if seconds is None and any(file.stat().st_size for file in Path(folder).glob("runs/*/metrics.jsonl")):
                    seconds = time.perf_counter() - started
                time.sleep(0.005)
            whole = time.perf_counter() - started
        if process.returncode or seconds is None:
            raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
        return {"seconds": seconds, "whole_seconds": whole}

    return measure


def _environment() -> dict[str, str]:
    variables = environment()
    del variables["PYTHONPATH"]  # users have none
    return variables


def _framework() -> str:
    executable = shutil.which("framework", path=str(Path(sys.executable).parent))
    if executable is None:
        raise SystemExit(f"there is no framework command beside {sys.executable}")
    return executable


def main() -> None:
    """Measure each command in turns; a first round, which fills the caches, does not count."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--sb3-python", metavar="PATH", help="Python of a virtual environment with stable-baselines3"
    )
    arguments.set_defaults(repeats=10)
    options = arguments.parse_args()
    before = machine()
    framework, pipeline = _framework(), str(_PIPELINE)
    run = (framework, "run", pipeline, *_ONE_UPDATE)
    rows = {
        BARE: command(sys.executable, "-c", "pass"),
        "framework --help": command(framework, "--help"),
        "framework --version": command(framework, "--version"),
        "framework plugins": command(framework, "plugins"),
        "framework check": command(framework, "check", pipeline),
        "import framework": command(sys.executable, "-c", "import framework"),
        "import torch": command(sys.executable, "-c", "import torch"),
        "framework run, to the first update": first_update(*run),
        "the same, in-process": first_update(*run, "runtime.samplers=0"),
    }
    if options.sb3_python:
        rows["import stable_baselines3"] = command(options.sb3_python, "-c", "import stable_baselines3")
    interleaved(rows, 1)
    measurements = interleaved(rows, options.repeats)
    lines = []
    for row in rows:
        seconds = values(measurements, row, "seconds")
        times = ratio(measurements, row, BARE, "seconds")
        lines.append([row, middle(measurements, row, "seconds") * 1e3, min(seconds) * 1e3, max(seconds) * 1e3, times])
    note = "\n\nMedians; multiples are taken repeat by repeat. Modules are compiled already and in the page cache."
    if not options.sb3_python:
        note += "\nWithout Stable-Baselines3: name its interpreter with --sb3-python."
    publish(
        "startup",
        table(["", "ms", "lowest", "highest", f"x {BARE}"], lines) + note,
        output=options.output,
        settings={"repeats": options.repeats, "stable-baselines3": bool(options.sb3_python)},
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()
