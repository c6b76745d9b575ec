"""Long short-term memory against torch's cell, step by step and row by row."""

from __future__ import annotations

import torch
from memories import SMALL, make, sequences
from torch import nn

from framework_encoders.lstm import step_lstm, unroll_lstm


@torch.random.fork_rng()
def test_unrolled_is_torchs_cell_step_by_step():
    """Every state of every row is what `torch.nn.LSTMCell` makes of the one before, zero where an episode starts."""
    torch.manual_seed(0)
    cell = nn.LSTMCell(5, 4)
    x, hidden, memory = torch.randn(7, 3, 5), torch.randn(3, 4), torch.randn(3, 4)
    first = sequences(7, 3, 0.3)[1]
    # Torch's order of gates is input, forget, candidate, output.
    gate_rows = torch.arange(16).view(4, 4)[[3, 0, 1, 2]].flatten()
    bias = (cell.bias_ih + cell.bias_hh)[gate_rows]
    inputs = nn.functional.linear(x, cell.weight_ih[gate_rows], bias)
    continues = (~first).float().unsqueeze(-1)
    states, cells = unroll_lstm(inputs, continues, hidden, memory, cell.weight_hh[gate_rows])
    for n in range(3):
        state = hidden[n], memory[n]
        for t in range(7):
            state = cell(x[t, n], (torch.zeros(4), torch.zeros(4)) if first[t, n] else state)
            torch.testing.assert_close(states[t, n], state[0], rtol=0, atol=1e-6)
            torch.testing.assert_close(cells[t, n], state[1], rtol=0, atol=1e-6)


@torch.random.fork_rng()
def test_closed_form_gradient():
    """The gradient of each argument is that of finite differences, in float64."""
    torch.manual_seed(0)
    shapes = [(5, 2, 12), (2, 3), (2, 3), (12, 3)]
    inputs, *tensors = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    continues = (~sequences(5, 2, 0.3)[1]).double().unsqueeze(-1)
    assert torch.autograd.gradcheck(lambda *arguments: unroll_lstm(*arguments)[0], (inputs, continues, *tensors))


def test_remembers_at_first():
    """The forget gate's bias is one and all others zero."""
    assert make(SMALL["lstm"]).input.bias.view(4, -1).tolist() == [[0.0] * 8, [0.0] * 8, [1.0] * 8, [0.0] * 8]


@torch.random.fork_rng()
def test_a_single_step_is_an_unrolled_one():
    """Acting has a step of its own, as there is no gradient to keep anything for."""
    torch.manual_seed(0)
    inputs, hidden, cell, weight = torch.randn(1, 6, 16), torch.randn(6, 4), torch.randn(6, 4), torch.randn(16, 4)
    keep = torch.tensor([1.0, 0.0]).repeat(3).view(1, 6, 1)
    expected = unroll_lstm(inputs, keep, hidden, cell, weight)
    torch.testing.assert_close(step_lstm(inputs, keep, hidden, cell, weight), expected, rtol=0, atol=1e-6)
