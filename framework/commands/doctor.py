"""Check that this machine can run pipelines, and advise on what to fix."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from attrs import asdict

from framework import __version__
from framework.commands._doctor_join import diagnose_join
from framework.commands._finding import Finding
from framework.errors import EXIT_DONE, EXIT_RUN_FAILED, FrameworkError

_SLOW_SECONDS = 0.05
_LEAST_FREE_GB = 1.0
_REPLY_MS = 2000


@click.command()
@click.option("--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder of the runs.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--join", metavar="FILE", help="Also check whether the run of this join token would admit this machine.")
@click.option(
    "--directory",
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="With --join: where Python files that its pipeline names lie here.",
)
def command(runs: Path, as_json: bool, join: str | None, directory: Path | None) -> int:
    """Check versions, processors, torch, ZeroMQ, the folder of the runs, and plugins.

    With --join also what a run on another machine would refuse, and why, and how fast it can be reached.

    The exit code is 1 where something keeps pipelines from running; warnings do not count.
    """
    from framework.commands._table import table

    findings = list(diagnose(runs, join, directory))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        lines = table([(finding.status, finding.topic, finding.text) for finding in findings]).splitlines()
        for line, finding in zip(lines, findings, strict=True):
            click.echo(line + (f"\n    {finding.advice}" if finding.advice else ""))
    return EXIT_RUN_FAILED if any(finding.status == "error" for finding in findings) else EXIT_DONE


def diagnose(runs: Path, join: str | None = None, directory: Path | None = None) -> Iterator[Finding]:
    """Run all checks; one that raises is a finding, too."""
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "processors": _processors,
        "fast": _fast,
        "torch": _torch,
        "zeromq": _zeromq,
        "runs": lambda: _runs(runs),
        "plugins": _plugins,
    }
    if join is not None:
        checks["join"] = lambda: diagnose_join(join, directory)
    for topic, check in checks.items():
        try:
            yield from check()
        except FrameworkError as error:
            yield Finding(topic, "error", str(error))
        except Exception as error:
            yield Finding(topic, "error", f"{type(error).__name__}: {error}")


def _versions() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, requires, version

    from framework.plugins import BUNDLED

    yield Finding("framework", "ok", f"{__version__} on Python {sys.version.split()[0]}, {sys.platform}")
    try:
        requirements = [line for line in requires(BUNDLED) or () if "extra ==" not in line]
    except PackageNotFoundError:
        yield Finding("framework", "error", f"{BUNDLED} and its plugins are not installed", "pip install -e .")
        return
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in requirements]
    installed = []
    for name in names:
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            yield Finding("packages", "error", f"{name} is not installed", f"pip install {name}")
    yield Finding("packages", "ok", ", ".join(installed))


def _fast() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        yield Finding("fast", "ok", f"numba {version('numba')}")
    except PackageNotFoundError:
        text = "numba is not installed: prioritized replay is slower, and the research environment is unavailable"
        yield Finding("fast", "warning", text, 'pip install "framework-rl[fast]"')


def _processors(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> Iterator[Finding]:
    from framework.toolkit.cores import affine_cores, granted_cores

    usable, granted = affine_cores(), granted_cores(quota)
    if granted is not None and granted < usable:
        advice = f"set runtime.samplers and runtime.threads for {granted:.1f} processors"
        yield Finding("processors", "warning", f"{usable} usable, but a quota grants {granted:.1f}", advice)
    else:
        yield Finding("processors", "ok", f"{usable} usable of {os.cpu_count()}")


def _torch() -> Iterator[Finding]:
    import torch

    from framework.toolkit.processor import emulates_bfloat16

    threads = f"{torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield Finding("torch", "ok", f"{torch.__version__}, {threads}, CUDA {torch.version.cuda}: {', '.join(names)}")
    elif torch.version.cuda:
        text = f"{torch.__version__}, {threads}; built for CUDA {torch.version.cuda}, but there is no usable GPU"
        yield Finding("torch", "warning", text, "look at nvidia-smi; without a GPU, torch's CPU build is smaller")
    else:
        yield Finding("torch", "ok", f"{torch.__version__}, {threads}, CPU only")
    if emulates_bfloat16("cpu"):
        yield Finding("torch", "ok", 'the CPU only emulates bfloat16: precision = "float32" is many times faster there')


def _zeromq() -> Iterator[Finding]:
    import zmq

    with tempfile.TemporaryDirectory(prefix="framework-") as folder, zmq.Context() as context:
        address = f"ipc://{folder}/link"
        with context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as dealer:
            for socket in (router, dealer):
                socket.linger, socket.rcvtimeo = 0, _REPLY_MS
            try:
                router.bind(address)
                dealer.connect(address)
                dealer.send(b"ping")
                router.send_multipart(router.recv_multipart())
                dealer.recv()
            except zmq.ZMQError as error:
                advice = "samplers reach the learner through a socket file: set TMPDIR to a short, local, writable path"
                yield Finding("zeromq", "error", f"{address}: {error}", advice)
                return
    yield Finding("zeromq", "ok", f"libzmq {zmq.zmq_version()}, ipc in {Path(folder).parent}")


def _runs(runs: Path) -> Iterator[Finding]:
    import shutil

    place = next(folder for folder in (runs.resolve(), *runs.resolve().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free / 1e9
    except OSError as error:
        advice = "go to another directory, or name another folder for the runs"
        yield Finding("runs", "error", f"{runs.resolve()}: {error.strerror}", advice)
        return
    text = f"{runs.resolve()}: writable, {free:.1f} GB free"
    if free < _LEAST_FREE_GB:
        yield Finding("runs", "warning", text, "checkpoints may not fit")
    else:
        yield Finding("runs", "ok", text)


def _plugins() -> Iterator[Finding]:
    from framework.catalog import default_catalog

    rows = default_catalog().plugins.rows
    for row in rows:
        if row.status != "loaded":
            text = f"{row.name} ({row.origin}) is {row.status}: {row.reason}"
            advice = f"framework plugins {row.name}" if row.traceback else ""
            yield Finding("plugins", "warning", text, advice)
        elif row.seconds > _SLOW_SECONDS:
            text = f"{row.name} ({row.origin}) takes {row.seconds:.2f} s to load, in every command"
            yield Finding("plugins", "warning", text, "its declarations should import nothing heavy")
    loaded = [row.name for row in rows if row.status == "loaded"]
    if loaded:
        yield Finding("plugins", "ok", f"loaded: {', '.join(loaded)}")
    else:
        yield Finding("plugins", "error", "no plugin is loaded", "pip install -e . (or --force-reinstall framework-rl)")
