"""Processes that share one learner, started as torchrun does, but without its agent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def environment_of(rank: int, count: int, **more: str) -> dict[str, str]:
    """What torchrun tells a process."""
    return {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), **more}


def run(folder: Path, program: str, count: int) -> list[str]:
    """Run a program in so many processes; returns what each has printed. Fails where one of them does."""
    file = folder / "program.py"
    file.write_text(program)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    processes = [
        subprocess.Popen(
            [sys.executable, str(file)],
            env=os.environ | shared | environment_of(rank, count),
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * count
    return outputs
