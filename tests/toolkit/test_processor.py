import time

import pytest
import torch
from small_ppo import make_context

from framework.errors import FrameworkError
from framework.toolkit.processor import autocast, emulates_bfloat16


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


def test_float16_needs_a_gpu():
    """On a CPU it is refused, with the precisions that work there."""
    with pytest.raises(FrameworkError, match='use "bfloat16" or "float32" on a CPU'):
        autocast(make_context(precision="float16"))


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_networks_compute_in_the_precision_asked_for(precision, dtype):
    """Products come out in it; float32 changes nothing."""
    x = torch.ones(2, 2)
    with autocast(make_context(precision=precision)):
        assert torch.mm(x, x).dtype == dtype
