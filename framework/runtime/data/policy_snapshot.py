"""Policy snapshots: what trajectories are collected with; a policy's weights as one buffer of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from framework.interfaces import Policy
    from framework.pipeline.sections import Sampling

#: How many versions back a trajectory may be collected with when nothing fixes the lag.
_FREE_VERSIONS = 16

#: One version of a run's policy as arrays: ``weights`` (see `pack`) and, under a curriculum, ``tasks``.
PolicySnapshot = dict[str, np.ndarray]


def kept_versions(sampling: Sampling) -> int:
    """How many versions back a trajectory may be collected with: so many are kept wherever they are needed."""
    lag = sampling.policy_lag
    return lag if isinstance(lag, int) else _FREE_VERSIONS


def _tensors(policy: Policy) -> list[torch.Tensor]:
    """The state of the policy, widest elements first, so that every tensor is aligned in the buffer."""
    state: dict[str, torch.Tensor] = policy.state_dict()  # type: ignore[attr-defined]
    return sorted(state.values(), key=lambda tensor: -tensor.element_size())


def pack(policy: Policy) -> np.ndarray:
    """A copy of the policy's parameters and buffers: [bytes] uint8."""
    parts = [tensor.detach().reshape(-1).contiguous().view(torch.uint8) for tensor in _tensors(policy)]
    return torch.cat(parts).cpu().numpy() if parts else np.empty(0, np.uint8)


def unpack(policy: Policy, buffer: np.ndarray) -> None:
    """Set the policy's parameters and buffers to what `pack` gave of an equal policy; ValueError for another size."""
    total = sum(tensor.numel() * tensor.element_size() for tensor in _tensors(policy))
    if total != len(buffer):
        raise ValueError(f"a policy of {total} bytes cannot take {len(buffer)} bytes of weights")
    flat = torch.from_numpy(np.array(buffer))
    offset = 0
    with torch.no_grad():
        for tensor in _tensors(policy):
            size = tensor.numel() * tensor.element_size()
            tensor.copy_(flat[offset : offset + size].view(tensor.dtype).view(tensor.shape))
            offset += size
