"""The precision that networks compute in, and what processors support."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from framework.errors import FrameworkError
from framework.interfaces import Context


def autocast(context: Context) -> AbstractContextManager[Any]:
    """Autocast to the pipeline's precision. Raises `FrameworkError` for float16 on a CPU."""
    if context.precision == "float32":
        return nullcontext()
    device = torch.device(context.device).type
    if context.precision == "float16" and device == "cpu":
        raise FrameworkError('precision = "float16" needs a GPU; use "bfloat16" or "float32" on a CPU')
    return torch.autocast(device, getattr(torch, context.precision))


def emulates_bfloat16(device: str) -> bool:
    """Whether bfloat16 is emulated on the device: correct, but many times slower than float32."""
    return torch.device(device).type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
