"""Long short-term memory (Hochreiter and Schmidhuber, 1997) with forget gates, over another encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from framework.interfaces import Context
from framework_encoders.composite_config import LSTMConfig
from framework_encoders.recurrent import Recurrent


class LSTM(Recurrent):
    """LSTM layer, see `unroll_lstm`; weights are orthogonal gate by gate.

    Biases are zero but for the forget gate's, which is one: at first it remembers (Jozefowicz et al., 2015).
    """

    states = ("hidden", "cell")
    gates = 4
    recurrent_bias = False

    def __init__(self, config: LSTMConfig, context: Context):
        super().__init__(config, context)
        nn.init.ones_(self.input.bias.data.chunk(4)[2])

    def unroll(self, inputs: Tensor, keep: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `Recurrent.unroll`."""
        unroll = step_lstm if len(inputs) == 1 and not torch.is_grad_enabled() else unroll_lstm
        hidden, cells = unroll(inputs, keep, *states, self.recurrent.weight)
        return hidden, hidden[-1], cells[-1]


def step_lstm(inputs: Tensor, keep: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """`unroll_lstm` for a single step, without gradient: nothing is kept for one, and `torch.export` can follow it."""
    gates, candidate = torch.addmm(inputs[0], hidden * keep[0], weight.t()).tensor_split((3 * hidden.shape[1],), -1)
    o, i, f = torch.sigmoid(gates).chunk(3, -1)
    cell = torch.addcmul(i * torch.tanh(candidate), f, cell * keep[0])
    return (o * torch.tanh(cell)).unsqueeze(0), cell.unsqueeze(0)


def unroll_lstm(inputs: Tensor, keep: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states [T, N, H] after each step, and cell states [T, N, H], which carry no gradient.

    With ``h`` and ``c`` the states before the step, times ``keep`` [T, N, 1], and
    ``(o, i, f, g) = x + weight @ h``, ``x`` being the step's ``inputs`` [T, N, 4H], the states after it are
    ``c = sigmoid(f) * c + sigmoid(i) * tanh(g)`` and ``h = sigmoid(o) * tanh(c)``: as in `torch.nn.LSTM`, but for the
    order of the gates.

    The gradient is in closed form: autograd's bookkeeping of every step takes several times as long.
    """
    result: tuple[Tensor, Tensor] = _UnrollLSTM.apply(inputs, keep, hidden, cell, weight)
    return result


class _UnrollLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, keep: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        steps, count, width = *inputs.shape[:2], hidden.shape[1]
        hs, cs, cells, squashed, after = (inputs.new_empty(steps, count, width) for _ in range(5))
        gates = torch.empty_like(inputs)
        transposed = weight.t()
        squash, candidates = gates.tensor_split((3 * width,), -1)
        rows = (keep, inputs, hs, cs, gates, squash, candidates, *squash.chunk(3, -1), cells, squashed, after)
        for keep_t, x, h, c, product, oif, g, o, i, f, after_c, tanh_c, result in zip(
            *map(torch.unbind, rows), strict=True
        ):
            torch.mul(hidden, keep_t, out=h)
            torch.mul(cell, keep_t, out=c)
            torch.addmm(x, h, transposed, out=product)
            oif.sigmoid_()
            g.tanh_()
            cell = torch.mul(i, g, out=after_c).addcmul_(f, c)
            hidden = torch.mul(o, torch.tanh(cell, out=tanh_c), out=result)
        ctx.save_for_backward(keep, weight, hs, cs, gates, squashed)
        ctx.mark_non_differentiable(cells)
        return after, cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        keep, weight, hs, cs, gates, squashed = ctx.saved_tensors
        steps, count, width = hs.shape
        o, i, f, g = gates.chunk(4, -1)
        # Everything is the gradient of a state after a step times one of these, so that few operations are left for
        # the steps, which wait for one another.
        slope_o = squashed * o * (1 - o)
        slope_c = o * (1 - squashed.square())
        slopes = torch.stack((g * i * (1 - i), cs * f * (1 - f), i * (1 - g.square())), dim=2)
        d_gates = gates.new_empty(steps, count, 4, width)
        d_hidden, d_cell = gates.new_zeros(2, count, width)
        rows = (gradient, keep, f, slope_o, slope_c, slopes, d_gates[:, :, 0], d_gates[:, :, 1:], d_gates.flatten(2))
        for gradient_t, keep_t, f_t, slope_o_t, slope_c_t, slopes_t, d_o, d_others, d_flat in zip(
            *(reversed(x.unbind()) for x in rows), strict=True
        ):
            d_hidden = d_hidden + gradient_t
            d_cell = torch.addcmul(d_cell, d_hidden, slope_c_t)
            torch.mul(d_hidden, slope_o_t, out=d_o)
            torch.mul(d_cell.unsqueeze(1), slopes_t, out=d_others)
            d_hidden = torch.mm(d_flat, weight).mul_(keep_t)
            d_cell = (d_cell * f_t).mul_(keep_t)
        flat = d_gates.view(steps * count, 4 * width)
        return flat.view(steps, count, -1), None, d_hidden, d_cell, flat.t() @ hs.view(-1, width)
