import time

import pytest
import torch

from framework.toolkit.processor import emulates_bfloat16


def product_seconds(dtype):
    x = torch.randn(512, 512).to(dtype)
    torch.mm(x, x)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        torch.mm(x, x)
        times.append(time.perf_counter() - started)
    return min(times)


def test_emulation_is_known_by_its_speed():
    """Where bfloat16 is said to be emulated, a product takes more than twice the time of one in float32."""
    if not emulates_bfloat16("cpu"):
        pytest.skip("this processor has arithmetic for bfloat16")
    assert product_seconds(torch.bfloat16) > 2 * product_seconds(torch.float32)


def test_gpus_are_not_asked_about():
    """Emulation is about processors."""
    assert not emulates_bfloat16("cuda:0")
