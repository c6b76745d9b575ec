"""Gated recurrent units against torch's cell, step by step and row by row."""

from __future__ import annotations

import torch
from memories import sequences
from torch import nn

from framework_encoders.gru import step_gru, unroll_gru


@torch.random.fork_rng()
def test_unrolled_is_torchs_cell_step_by_step():
    """Every state of every row is what `torch.nn.GRUCell` makes of the one before, zero where an episode starts."""
    torch.manual_seed(0)
    cell = nn.GRUCell(5, 4)
    x, hidden = torch.randn(7, 3, 5), torch.randn(3, 4)
    first = sequences(7, 3, 0.3)[1]
    inputs = nn.functional.linear(x, cell.weight_ih, cell.bias_ih)
    states = unroll_gru(inputs, (~first).float().unsqueeze(-1), hidden, cell.weight_hh, cell.bias_hh)
    for n in range(3):
        state = hidden[n]
        for t in range(7):
            state = cell(x[t, n], torch.zeros(4) if first[t, n] else state)
            torch.testing.assert_close(states[t, n], state, rtol=0, atol=1e-6)


@torch.random.fork_rng()
def test_closed_form_gradient():
    """The gradient of each argument is that of finite differences, in float64."""
    torch.manual_seed(0)
    shapes = [(5, 2, 9), (2, 3), (9, 3), (9,)]
    inputs, *tensors = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    continues = (~sequences(5, 2, 0.3)[1]).double().unsqueeze(-1)
    assert torch.autograd.gradcheck(unroll_gru, (inputs, continues, *tensors))


@torch.random.fork_rng()
def test_a_single_step_is_an_unrolled_one():
    """Acting has a step of its own, as there is no gradient to keep anything for."""
    torch.manual_seed(0)
    inputs, hidden, weight, bias = torch.randn(1, 6, 12), torch.randn(6, 4), torch.randn(12, 4), torch.randn(12)
    keep = torch.tensor([1.0, 0.0]).repeat(3).view(1, 6, 1)
    expected = unroll_gru(inputs, keep, hidden, weight, bias)
    torch.testing.assert_close(step_gru(inputs, keep, hidden, weight, bias), expected, rtol=0, atol=1e-6)
