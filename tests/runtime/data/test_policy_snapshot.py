import copy

import numpy as np
import pytest
import torch
from torch import nn

from framework.runtime.data.policy_snapshot import pack, unpack

DTYPES = (
    torch.float64,
    torch.uint8,
    torch.float32,
    torch.bool,
    torch.bfloat16,
    torch.int64,
    torch.float16,
    torch.int16,
)


class Odd(nn.Module):
    """Parameters and buffers of every width, with odd sizes, scalars, empty ones and ones that are not contiguous."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.manual_seed(seed)
        self.linear = nn.Linear(3, 5)
        self.transposed = nn.Parameter(torch.randn(3, 4, generator=generator).t())
        for number, dtype in enumerate(DTYPES):
            raw = torch.randint(0, 100, (3, 1 + 2 * number), generator=generator)
            self.register_buffer(f"buffer{number}", raw.to(dtype))
        self.register_buffer("scalar", torch.tensor(float(seed)))
        self.register_buffer("empty", torch.empty(0, 4))
        self.register_buffer("special", torch.tensor([float("nan"), float("inf"), -0.0, 1e-45]))


def bits(module: nn.Module) -> dict[str, bytes]:
    """Every parameter and buffer as bytes."""
    return {
        name: tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        for name, tensor in module.state_dict().items()
    }


def test_weights_travel_bit_for_bit() -> None:
    """All dtypes side by side, whatever their width and size, NaN included."""
    policy, receiver = Odd(1), Odd(2)
    assert bits(policy) != bits(receiver)
    buffer = pack(policy)
    assert (buffer.dtype, buffer.shape) == (np.uint8, (sum(map(len, bits(policy).values())),))
    buffer.flags.writeable = False
    unpack(receiver, buffer)
    assert bits(receiver) == bits(policy)
    assert pack(receiver).tobytes() == buffer.tobytes()


def test_unaligned_buffers_are_taken() -> None:
    """A buffer may start anywhere in memory, as frames from a socket do."""
    buffer = pack(Odd(1))
    shifted = np.empty(len(buffer) + 1, np.uint8)[1:]
    shifted[:] = buffer
    receiver = Odd(2)
    unpack(receiver, shifted)
    assert bits(receiver) == bits(Odd(1))


def test_packing_copies() -> None:
    """What was packed stays as it is while the policy goes on learning, and unpacking shares nothing with it."""
    policy = Odd(1)
    before = bits(policy)
    buffer = pack(policy)
    receiver = Odd(2)
    unpack(receiver, buffer)
    with torch.no_grad():
        policy.linear.weight.zero_()
    unpack(policy, buffer)
    buffer[:] = 0
    assert bits(policy) == bits(receiver) == before


def test_unpacking_keeps_the_tensors() -> None:
    """Parameters stay the same objects: optimizers and compiled functions hold on to them."""
    policy = Odd(1)
    parameter = policy.linear.weight
    unpack(policy, pack(Odd(2)))
    assert policy.linear.weight is parameter
    assert parameter.requires_grad


def test_policies_without_parameters() -> None:
    """A policy that learns nothing has weights too: none."""
    policy = nn.Identity()
    assert pack(policy).shape == (0,)
    unpack(policy, pack(policy))


@pytest.mark.parametrize("change", [-9, -1, 1, 400])
def test_buffers_of_another_size_are_refused(change: int) -> None:
    """Weights of another policy raise ValueError with both sizes, and leave the policy as it was."""
    policy = Odd(1)
    before = copy.deepcopy(bits(policy))
    size = len(pack(policy))
    with pytest.raises(ValueError, match=rf"{size} bytes .* {size + change} bytes"):
        unpack(policy, np.zeros(size + change, np.uint8))
    assert bits(policy) == before
