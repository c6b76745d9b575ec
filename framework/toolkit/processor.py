"""What the processor can compute with."""

from __future__ import annotations

import torch


def emulates_bfloat16(device: str) -> bool:
    """Whether arithmetic in bfloat16 is emulated there: right, but many times slower than float32."""
    return torch.device(device).type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
