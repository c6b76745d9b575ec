"""Gated recurrent units (Cho et al., 2014, arXiv:1406.1078) over another encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from framework_encoders.recurrent import Recurrent


class GRU(Recurrent):
    """GRU layer, see `unroll_gru`; weights are orthogonal gate by gate, biases zero."""

    states = ("hidden",)
    gates = 3
    recurrent_bias = True

    def unroll(self, inputs: Tensor, keep: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """See `Recurrent.unroll`."""
        unroll = step_gru if len(inputs) == 1 and not torch.is_grad_enabled() else unroll_gru
        hidden = unroll(inputs, keep, *states, self.recurrent.weight, self.recurrent.bias)
        return hidden, hidden[-1]


def step_gru(inputs: Tensor, keep: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`unroll_gru` for a single step, without gradient: nothing is kept for one, and `torch.export` can follow it."""
    h = hidden * keep[0]
    x_gates, x_n = inputs[0].tensor_split((2 * h.shape[1],), -1)
    h_gates, h_n = torch.addmm(bias, h, weight.t()).tensor_split((2 * h.shape[1],), -1)
    r, z = torch.sigmoid(x_gates + h_gates).chunk(2, -1)
    return torch.lerp(torch.tanh(torch.addcmul(x_n, r, h_n)), h, z).unsqueeze(0)


def unroll_gru(inputs: Tensor, keep: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Hidden states [T, N, H] after each step.

    With ``h`` the state before the step, times ``keep`` [T, N, 1], ``(x_r, x_z, x_n)`` the step's ``inputs``
    [T, N, 3H] and ``(h_r, h_z, h_n) = weight @ h + bias``, the state after it is ``n + z * (h - n)``, where
    ``r = sigmoid(x_r + h_r)``, ``z = sigmoid(x_z + h_z)`` and ``n = tanh(x_n + r * h_n)``: as in `torch.nn.GRU`.

    The gradient is in closed form: autograd's bookkeeping of every step takes several times as long.
    """
    result: Tensor = _UnrollGRU.apply(inputs, keep, hidden, weight, bias)
    return result


class _UnrollGRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, keep: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        steps, count, width = *inputs.shape[:2], hidden.shape[1]
        before, candidates, after = (inputs.new_empty(steps, count, width) for _ in range(3))
        gates = inputs.new_empty(steps, count, 2 * width)
        recurrent = torch.empty_like(inputs)
        x_gates, x_n = inputs.tensor_split((2 * width,), -1)
        h_gates, h_n = recurrent.tensor_split((2 * width,), -1)
        transposed = weight.t()
        rows = (keep, x_gates, x_n, before, recurrent, h_gates, h_n, gates, *gates.chunk(2, -1), candidates, after)
        for keep_t, x_rz, x, h, product, h_rz, h_x, rz, r, z, n, result in zip(*map(torch.unbind, rows), strict=True):
            torch.mul(hidden, keep_t, out=h)
            torch.addmm(bias, h, transposed, out=product)
            torch.add(x_rz, h_rz, out=rz).sigmoid_()
            torch.addcmul(x, r, h_x, out=n).tanh_()
            hidden = torch.lerp(n, h, z, out=result)
        ctx.save_for_backward(keep, weight, before, gates, candidates, h_n)
        return after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        keep, weight, before, gates, candidates, h_n = ctx.saved_tensors
        steps, count, width = before.shape
        r, z = gates.chunk(2, -1)
        # Everything is the gradient of the state after a step times one of these, so that few operations are left
        # for the steps, which wait for one another.
        slope_n = (1 - z) * (1 - candidates.square())
        slope_z = (before - candidates) * z * (1 - z)
        slopes = torch.stack((slope_n * h_n * r * (1 - r), slope_z, slope_n * r), dim=2)
        d_recurrent = torch.empty_like(slopes)
        d_after = torch.empty_like(before)
        d_hidden = before.new_zeros(count, width)
        rows = (gradient, keep, z, slopes, d_after, d_recurrent, d_recurrent.flatten(2))
        for gradient_t, keep_t, z_t, slopes_t, d, d_step, d_flat in zip(
            *(reversed(x.unbind()) for x in rows), strict=True
        ):
            torch.add(gradient_t, d_hidden, out=d)
            torch.mul(d.unsqueeze(1), slopes_t, out=d_step)
            d_hidden = torch.addmm(d * z_t, d_flat, weight).mul_(keep_t)
        flat = d_recurrent.view(steps * count, 3 * width)
        d_weight, d_bias = flat.t() @ before.view(-1, width), flat.sum(0)
        d_recurrent[:, :, 2] = d_after * slope_n
        return d_recurrent.view(steps, count, -1), None, d_hidden, d_weight, d_bias
