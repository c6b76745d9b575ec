"""Gradients of minibatches in slices, which one process computes, or several, with equal bits.

The sum of floating-point numbers depends on their order, so what several processes add up differs from what one does.
Here a minibatch always has the same slices, whoever computes them; each slice's gradient is computed alone, and they
are added up in the order of one tree (`tree_sum`), of which each process may do a branch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from framework.errors import FrameworkError, RunError
from framework.toolkit.optimizer import FlatOptimizer


class Slices:
    """Gradients in ``count`` slices, over the processes of torch's default group, or in this one alone.

    All processes must call it with the same minibatches.
    """

    def __init__(self, count: int, optimizer: FlatOptimizer):
        self.count, self._optimizer = count, optimizer

    def __call__(self, rows: Sequence[Tensor], backward: Callable[[int], Sequence[Tensor]]) -> list[Tensor]:
        """Set the optimizer's gradients to the minibatch's.

        Args:
            rows: which of the minibatch's B rows each slice has, [B_v] int64, at least one; all B together.
            backward: given a slice, sets the optimizer's gradients to those of a mean over its rows, and returns
                tensors [B_v, ...] or [], all float32.

        Returns these tensors for the whole minibatch: [B, ...] with the rows in their places, or the mean [].
        Raises `FrameworkError` where the processes do not divide the slices, `RunError` where one of them is lost.
        """
        processes, rank = (dist.get_world_size(), dist.get_rank()) if _grouped() else (1, 0)
        if len(rows) < self.count:  # so few rows that each process does all
            processes, rank = 1, 0
        if len(rows) % processes:
            raise FrameworkError(f"{processes} processes cannot share {len(rows)} slices evenly: choose a multiple")
        numbers = range(rank * len(rows) // processes, (rank + 1) * len(rows) // processes)
        weights = [len(part) / sum(map(len, rows)) for part in rows]
        even = len(set(weights)) == 1  # as nearly always: then their sum is scaled, instead of each
        gradients, outputs = [], []
        for number in numbers:
            outputs.append(list(backward(number)))
            if not even:
                self._optimizer.gradients.mul_(weights[number])
            gradients.append(self._optimizer.gradients.clone())
        if processes & (processes - 1):
            total = tree_sum(list(_gathered(torch.stack(gradients), processes)))
        else:  # what each process has is a branch of the tree
            total = _sum_of_processes(tree_sum(gradients), processes, rank)
        self._optimizer.gradients.copy_(total.mul_(weights[0]) if even else total)
        return _whole(outputs, rows, weights, processes)


def tree_sum(parts: Sequence[Tensor]) -> Tensor:
    """The sum of the parts: of the sums of both halves where their number is even, else from the first on.

    It is made in the first part.
    """
    if len(parts) % 2 == 0:
        half = len(parts) // 2
        return tree_sum(parts[:half]).add_(tree_sum(parts[half:]))
    total = parts[0]
    for part in parts[1:]:
        total.add_(part)
    return total


def even_rows(count: int, slices: int, device: torch.device) -> list[Tensor]:
    """The rows of each of the slices of a minibatch of ``count`` independent rows."""
    return list(torch.arange(count, device=device).tensor_split(slices))


@contextmanager
def talking() -> Iterator[None]:
    """What torch raises here says that a process is lost: `RunError`."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise RunError(f"a process that shares the learner's work is lost: {reason}") from error


def _whole(
    outputs: Sequence[Sequence[Tensor]], rows: Sequence[Tensor], weights: Sequence[float], processes: int
) -> list[Tensor]:
    """The outputs of all slices, put together; those of a slice travel as one row of numbers."""
    widest = max(map(len, rows))
    packed = torch.stack([torch.cat([_padded(output, widest) for output in slice_]) for slice_ in outputs])
    everything = _gathered(packed, processes)
    whole, begin = [], 0
    for example in outputs[0]:
        end = begin + (example[:1].numel() * widest if example.ndim else 1)
        column, begin = everything[:, begin:end], end
        if example.ndim == 0:
            whole.append(tree_sum([part[0] * weight for part, weight in zip(column, weights, strict=True)]))
            continue
        result = example.new_empty(sum(map(len, rows)), *example.shape[1:])
        for places, part in zip(rows, column.reshape(len(column), widest, *example.shape[1:]), strict=True):
            result[places] = part[: len(places)]
        whole.append(result)
    return whole


def _padded(output: Tensor, rows: int) -> Tensor:
    """The numbers of an output, as many as those of one with so many rows."""
    numbers = output.reshape(-1)
    missing = (rows - len(output)) * output[:1].numel() if output.ndim else 0
    return torch.cat([numbers, numbers.new_zeros(missing)]) if missing else numbers


def _sum_of_processes(branch: Tensor, processes: int, rank: int) -> Tensor:
    """The tree sum of what all processes have, a power of two of them.

    Neighbours exchange what they have, then pairs, and so on; both sides add the same two numbers, in whatever order.
    """
    if processes == 2:  # which torch's own sum is, too, and faster
        with talking():
            dist.all_reduce(branch)
        return branch
    distance = 1
    while distance < processes:
        neighbour, received = rank ^ distance, torch.empty_like(branch)
        with talking():
            for work in dist.batch_isend_irecv(
                [dist.P2POp(dist.isend, branch, neighbour), dist.P2POp(dist.irecv, received, neighbour)]
            ):
                work.wait()
        branch = received.add_(branch)
        distance *= 2
    return branch


def _gathered(part: Tensor, processes: int) -> Tensor:
    """What all processes have, [processes * n, ...], each [n, ...], in their order."""
    if processes == 1:
        return part
    everything = part.new_empty(processes * len(part), *part.shape[1:])
    with talking():
        dist.all_gather(list(everything.chunk(processes)), part)
    return everything


def _grouped() -> bool:
    return dist.is_available() and dist.is_initialized()
