"""The output of every benchmark: a table, and a JSON file with all measurements, settings, versions and the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

Measurement = dict[str, Any]

BENCHMARKS = Path(__file__).resolve().parent.parent
#: Share of the cores' time above which a machine is too busy for measurements.
BUSY = 0.05
_PACKAGES = ("framework-rl", "torch", "numpy", "gymnasium", "pyzmq", "msgpack", "ale-py")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--repeats", type=int, default=3, help="measurements of each row, taken in turns (default 3)")
    result.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/NAME.json)")
    return result


def interleaved(rows: Mapping[str, Callable[[int], Measurement]], repeats: int) -> list[Measurement]:
    """Measure all rows in turns (A B C, A B C, ...), so that a disturbance hits them alike.

    Each row is called with the number of the repeat.
    """
    measurements = []
    for repeat in range(repeats):
        for name, measure in rows.items():
            print(f"repeat {repeat + 1} of {repeats}: {name}", file=sys.stderr, flush=True)
            measurements.append({"row": name, "repeat": repeat, **measure(repeat)})
    return measurements


def values(measurements: Sequence[Measurement], row: str, field: str) -> list[float]:
    """One field of a row, repeat by repeat; empty where the row was not measured."""
    return [measurement[field] for measurement in measurements if measurement["row"] == row]


def middle(measurements: Sequence[Measurement], row: str, field: str) -> float:
    """The median of a field over the repeats."""
    return median(values(measurements, row, field))


def ratio(measurements: Sequence[Measurement], row: str, base: str, field: str) -> float | None:
    """The median of a row's ratios to another, each taken within one repeat; None where that one was not measured."""
    pairs = zip(values(measurements, row, field), values(measurements, base, field), strict=False)
    ratios = [value / base_value for value, base_value in pairs]
    return median(ratios) if ratios else None


def show(value: float | str | None) -> str:
    """A value in a table: three significant digits, thousands separated; a dash where there is none."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def table(header: Sequence[str], rows: Sequence[Sequence[float | str | None]]) -> str:
    """A Markdown table with aligned columns."""
    from framework.report.comparison import markdown_table  # here, as peers run where there is no framework

    return markdown_table(header, [[show(value) for value in row] for row in rows])


def publish(
    name: str,
    text: str | Mapping[str, str],
    *,
    output: Path | None,
    settings: Mapping[str, Any],
    measurements: Sequence[Measurement],
    machine: Mapping[str, Any],
) -> None:
    """Print the table, or several texts by their names, and write everything that was measured to ``output``."""
    texts: dict[str, Any]
    if isinstance(text, str):
        texts, whole = {"table": text.splitlines()}, text
    else:
        texts = {"parts": {part: lines.splitlines() for part, lines in text.items()}}
        whole = "\n\n".join(f"{part}\n\n{lines}" for part, lines in text.items())
    print(f"{name} on {machine['processor']}, {machine['usable_cores']} cores\n\n{whole}")
    if machine["busy_before"] > BUSY:
        print(f"\nThe machine was not quiet: {machine['busy_before']:.0%} busy before. These figures are worth little.")
    path = output or BENCHMARKS / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "benchmark": name,
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine,
        "versions": versions(),
        "settings": settings,
        **texts,
        "measurements": measurements,
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nall measurements: {path}", file=sys.stderr)


def machine() -> dict[str, Any]:
    """The machine, and how busy it is: call this before measuring."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "platform": f"{platform.system()} {platform.release().partition('-')[0]} {platform.machine()}",
        "busy_before": round(_busy(), 3),
        "thread_variables": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


def versions() -> dict[str, Any]:
    """Versions of Python and the packages, the commit, and whether the framework runs from a checkout."""
    installed: dict[str, Any] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    direct = json.loads(metadata.distribution("framework-rl").read_text("direct_url.json") or "{}")
    installed["installation"] = "editable" if direct.get("dir_info", {}).get("editable") else "wheel"
    commit = subprocess.run(
        ["git", "-C", str(BENCHMARKS), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    if commit.returncode == 0:
        installed["commit"] = commit.stdout.strip()
    return installed


def _busy(seconds: float = 1.0) -> float:
    """Share of the cores' time that is in use now, by any process."""

    def counters() -> tuple[int, int]:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = counters()
    time.sleep(seconds)
    later_total, later_idle = counters()
    return 1.0 - (later_idle - idle) / max(later_total - total, 1)


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
