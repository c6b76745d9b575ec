"""The processes of a learner that several share: ``torchrun ... -m framework run PIPELINE``, or ``accelerate launch``.

The first has the run: link, record, curriculum, checkpoints. It sends each batch to the others, and all of them make
the same update; only the gradients of slices (`framework.toolkit.slices`) are shared out. This module does not import
torch before there is more than one process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from framework.errors import PipelineError, Problem

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline

#: What marks a run directory as that of a torchrun, which starts its processes again where one is lost.
MARK = "torchrun"
#: Trajectories may take as long as they take; a process that is lost is noticed by its connection.
_TIMEOUT = timedelta(days=30)
_LINE = 4096
#: Processes that are started together are there after so long.
_MEETING = timedelta(minutes=10)


@frozen
class Rank:
    """Which process of how many this is."""

    number: int
    count: int
    local: int  #: its number on this machine
    restarts: int  #: how often all were started again

    @classmethod
    def of_environment(cls) -> Rank | None:
        """That of a process which torchrun, or what understands itself as such, has started; None for any other."""
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return None
        restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
        number, count, local = (int(os.environ.get(name, "0")) for name in names)
        return cls(number, count, local, restarts)


def slices_of(pipeline: Pipeline) -> int:
    """In how many slices minibatches are learned from; 0 for an algorithm that has none."""
    return int(getattr(pipeline.algorithm.config, "slices", 0))


def place(pipeline: Pipeline) -> Rank | None:
    """The rank of this process; None where it is the only one. Raises what `check` raises."""
    rank = Rank.of_environment()
    if rank is not None:
        check(rank, pipeline)
    return rank


def check(rank: Rank, pipeline: Pipeline) -> None:
    """Raise `PipelineError` where so many processes cannot share what the pipeline trains, or mean something else."""
    problems = []
    if rank.count > 1:
        slices = slices_of(pipeline)
        if not slices:
            reason = f"{pipeline.algorithm.use} has no option slices: one process has to train it"
            problems.append(Problem(reason, "algorithm"))
        elif slices % rank.count:
            reason = f"{slices} slices cannot be shared evenly by {rank.count} processes: choose a multiple"
            problems.append(Problem(reason, "algorithm.slices"))
        if pipeline.run.offline_steps:
            reason = "what is learned offline is learned by one process: run it without torchrun"
            problems.append(Problem(reason, "run.offline_steps"))
    wanted = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    precision = {"no": "float32", "bf16": "bfloat16", "fp16": "float16"}.get(wanted, wanted)
    if wanted != "no" and precision != pipeline.runtime.precision:
        reason = f'accelerate was told {wanted}, and the pipeline says "{pipeline.runtime.precision}": say the same'
        problems.append(Problem(reason, "runtime.precision"))
    if problems:
        raise PipelineError(problems)


class Group:
    """The processes, in this one; they meet in the constructor. The first one's `send` is the others' `receive`.

    Messages are bytes; nothing that comes is unpickled.
    """

    def __init__(self, rank: Rank):
        import torch
        import torch.distributed as dist

        self.rank = rank
        gpus = torch.cuda.is_available()
        if gpus:
            torch.cuda.set_device(rank.local % torch.cuda.device_count())
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=_store(rank),
            rank=rank.number,
            world_size=rank.count,
            timeout=_TIMEOUT,
        )

    def send(self, frames: Sequence[Any]) -> None:
        """Send the frames of a message to all others."""
        views = [_bytes(frame) for frame in frames]
        self._broadcast(np.array([len(views)], np.int64))
        self._broadcast(np.array([len(view) for view in views], np.int64))
        self._broadcast(np.concatenate([*views, np.zeros(1, np.uint8)]))

    def receive(self) -> list[memoryview]:
        """The frames of the first process's next message."""
        (count,) = self._broadcast(np.zeros(1, np.int64))
        sizes = self._broadcast(np.zeros(int(count), np.int64)).tolist()
        whole = self._broadcast(np.zeros(sum(sizes) + 1, np.uint8)).data
        ends = np.cumsum(sizes).tolist()
        return [whole[end - size : end] for end, size in zip(ends, sizes, strict=True)]

    def compare(self, text: str) -> list[str]:
        """What each process has, in their order, where all say something; at most `_LINE` bytes of each."""
        import torch
        import torch.distributed as dist

        from framework.toolkit.slices import talking

        line = torch.from_numpy(np.frombuffer(text.encode()[:_LINE].ljust(_LINE, b"\0"), np.uint8).copy())
        lines = line.new_empty(self.rank.count, _LINE)
        with talking():
            dist.all_gather(list(lines), line)
        return [bytes(row.tolist()).rstrip(b"\0").decode(errors="replace") for row in lines]

    def close(self) -> None:
        """Part. A process that ends without it may be aborted by torch: threads of the group are still at work."""
        import torch.distributed as dist

        dist.destroy_process_group()

    @staticmethod
    def _broadcast(array: np.ndarray) -> np.ndarray:
        import torch
        import torch.distributed as dist

        from framework.toolkit.slices import talking

        with talking():
            dist.broadcast(torch.from_numpy(array), 0)
        return array


def _store(rank: Rank) -> Any:
    """Where the processes find each other, apart from where those before them did.

    torchrun keeps one store for all of them, and what a process finds there first may be of one that has ended.
    """
    import torch.distributed as dist

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(address, port, is_master=not kept and not rank.number, timeout=_MEETING)  # type: ignore[attr-defined]
    return dist.PrefixStore(f"framework {rank.restarts}", store)  # type: ignore[attr-defined]


def local_device(name: str, rank: Rank | None) -> str:
    """The device of this process where several share a machine: each its own, if there are several of the kind."""
    kind, colon, _ = name.partition(":")
    return f"{kind}:{rank.local}" if rank is not None and rank.count > 1 and kind == "cuda" and not colon else name


def mark(directory: Path) -> None:
    """Have a run directory found again by the processes that are started in the place of these."""
    (directory / MARK).write_text(_identity())


def marked(root: Path) -> Path | None:
    """The run directory that those before these processes had made; None where there is none yet."""
    identity = _identity()
    marks = [file for file in sorted(root.glob(f"*/{MARK}")) if file.read_text() == identity]
    return marks[-1].parent if marks else None


def _identity() -> str:
    """What the processes have in common with those that were started before them: the run of torchrun, or itself."""
    run = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return run if run != "none" else f"{socket.gethostname()} {os.getppid()} {_begun(os.getppid())}"


def _begun(process: int) -> str:
    """When a process was started, where the system tells: another one may have its number later."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _bytes(frame: Any) -> np.ndarray:
    """The bytes of a frame: an array, or what has a buffer."""
    return frame.reshape(-1).view(np.uint8) if isinstance(frame, np.ndarray) else np.frombuffer(frame, np.uint8)
