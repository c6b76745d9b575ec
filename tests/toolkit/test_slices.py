"""Gradients in slices: those of the whole minibatch, and the same bits whoever computes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ranked
import torch
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.slices import Slices, even_rows

#: Also what the processes of a test run.
PROGRAM = """
import hashlib
import torch
import torch.distributed as dist
from test_slices_program import learn
dist.init_process_group("gloo")
print(learn(SLICES, 13), learn(SLICES, 3))
dist.destroy_process_group()
"""
SHARED = """
import hashlib
import torch
from torch import nn
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.slices import Slices, even_rows

def learn(slices, rows):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 3))
    optimizer = FlatOptimizer(network)
    gather = Slices(slices, optimizer)
    told = hashlib.sha256()
    for step in range(5):
        inputs = torch.randn(rows, 5)
        parts = even_rows(rows, min(slices, rows), inputs.device)
        def backward(number):
            optimizer.zero_grad()
            outputs = network(inputs[parts[number]])
            outputs.square().mean().backward()
            return [outputs.detach(), outputs.detach().mean()]
        for output in gather(parts, backward):
            told.update(output.numpy().tobytes())
        optimizer.step(0.01)
    told.update(optimizer.parameters.numpy().tobytes())
    return told.hexdigest()
"""


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def outputs_of(network: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs [B, 3], and a loss: the mean of their squares over the rows."""
    outputs = network(inputs)
    return outputs, outputs.square().sum(1).mean()


@pytest.mark.parametrize("slices", [1, 2, 3, 7])
def test_the_gradient_is_that_of_the_whole_minibatch(network: nn.Module, slices: int) -> None:
    """And outputs are those of all rows, in their places; numbers are means over the rows."""
    optimizer = FlatOptimizer(network)
    inputs = torch.randn(7, 5)
    expected, loss = outputs_of(network, inputs)
    optimizer.zero_grad()
    loss.backward()
    gradients = optimizer.gradients.clone()
    parts = [part.flip(0) for part in torch.randperm(7).tensor_split(slices)]

    def backward(number: int) -> list[Tensor]:
        optimizer.zero_grad()
        outputs, loss = outputs_of(network, inputs[parts[number]])
        loss.backward()
        return [outputs.detach(), loss.detach()]

    outputs, mean = Slices(slices, optimizer)(parts, backward)
    torch.testing.assert_close(optimizer.gradients, gradients)
    torch.testing.assert_close(outputs, expected.detach())
    torch.testing.assert_close(mean, loss.detach())


@pytest.mark.parametrize(
    ("processes", "slices"),
    [(2, 4), *(pytest.param(*numbers, marks=pytest.mark.slow) for numbers in ((2, 6), (4, 4), (4, 8), (3, 6)))],
)
def test_processes_that_share_them_come_to_the_same_bits(processes: int, slices: int, tmp_path: Path) -> None:
    """As many as divide the slices, also where there are fewer rows than slices."""
    (tmp_path / "test_slices_program.py").write_text(SHARED)
    shared: dict[str, Any] = {}
    exec(SHARED, shared)
    alone = f"{shared['learn'](slices, 13)} {shared['learn'](slices, 3)}\n"
    assert ranked.run(tmp_path, PROGRAM.replace("SLICES", str(slices)), processes) == [alone] * processes


def test_processes_must_divide_the_slices(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else some would compute more than others."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 3)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    with pytest.raises(FrameworkError, match="3 processes cannot share 4 slices"):
        Slices(4, FlatOptimizer(network))(even_rows(8, 4, torch.device("cpu")), lambda number: [])


@pytest.mark.parametrize(("count", "slices"), [(8, 4), (9, 4), (3, 3)])
def test_rows_are_spread_evenly(count: int, slices: int) -> None:
    """Each row is in one slice."""
    parts = even_rows(count, slices, torch.device("cpu"))
    assert torch.cat(parts).tolist() == list(range(count))
    assert {len(part) for part in parts} <= {count // slices, count // slices + 1}
