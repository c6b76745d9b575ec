"""Programs that are measured from outside, and the resources of their process trees from ``/proc``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure.results import BENCHMARKS

_TICKS = os.sysconf("SC_CLK_TCK")
_RESULT = "RESULT "


def module(name: str, *arguments: object) -> list[str]:
    """The command line of one of our own programs under ``measure/``."""
    return [sys.executable, "-m", f"measure.{name}", *map(str, arguments)]


def environment() -> dict[str, str]:
    """The environment that programs are started with: compiled modules may be cached, as on anyone's machine."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return variables | {"PYTHONPATH": os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")]))}


def say(**result: Any) -> None:
    """Print the result of a program, for `run` to read."""
    print(_RESULT + json.dumps(result), flush=True)


def run(command: Sequence[str], *, limit: float = 1800.0, memory: bool = False) -> dict[str, Any]:
    """Run a program to its end and return its result, with its wall time in ``process_seconds``.

    ``launched`` is the time of day it was started at. With ``memory`` there is also ``peak``: the PSS of each process
    of its tree in MB, at the moment when their sum was largest.

    Raises `RuntimeError` with its output where it fails, prints no result, or takes longer than ``limit`` seconds.
    """
    with tempfile.TemporaryFile("w+") as output:
        launched, started = time.time(), time.perf_counter()
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment()
        )
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            peak = _watch_memory(process) if memory else []
            process.wait()
        finally:
            timer.cancel()
            process.kill()
        seconds = time.perf_counter() - started
        output.seek(0)
        text = output.read()
    results = [line[len(_RESULT) :] for line in text.splitlines() if line.startswith(_RESULT)]
    if process.returncode or not results:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{text[-5000:]}")
    result = json.loads(results[-1]) | {"process_seconds": seconds, "launched": launched}
    return result | {"peak": peak} if memory else result


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    processes, waiting = [], [root]
    while waiting:
        processes.append(waiting.pop(0))
        waiting += sorted(children.get(processes[-1], []))
    return processes


def cpu_seconds(processes: Sequence[int]) -> float:
    """Processor time that living processes have used so far, all their threads together."""
    return sum(int(fields[11]) + int(fields[12]) for process in processes if (fields := _stat(process))) / _TICKS


def _watch_memory(process: subprocess.Popen[Any], interval: float = 0.1) -> list[float]:
    peak: list[float] = []
    while process.poll() is None:
        sizes = [size for member in tree(process.pid) if (size := _pss(member))]
        peak = max(peak, sizes, key=sum)
        time.sleep(interval)
    return peak


def _pss(process: int) -> float:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _stat(process: int) -> list[str] | None:
    """The fields of ``/proc/PID/stat`` from the third (the state) on."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
