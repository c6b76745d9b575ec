"""What is learned from: batches, and what replay buffers give. `framework.interfaces` has all of it too.

Shapes: ``T`` environment steps of a trajectory, ``N`` environments side by side; ``B`` transitions or sequences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    import torch

#: Tensors by name: an observation, a memory, or what a policy records.
Tensors = dict[str, "torch.Tensor"]


@define
class Batch:
    """Trajectories of one or more shards side by side, as tensors on the learner's device.

    ``observations`` have one step more than there are actions: row ``T`` is what the next trajectory starts
    with. Where ``terminated | truncated`` is true at ``t``, ``observations[t + 1]`` belongs to the next episode,
    and the true last observation of the finished one stands in ``final_observations``.
    """

    observations: Tensors  #: {name: [T + 1, N, ...]}
    actions: torch.Tensor  #: [T, N, ...], of several parts flat: [T, N, D]
    rewards: torch.Tensor  #: [T, N] float32
    terminated: torch.Tensor  #: [T, N] bool
    truncated: torch.Tensor  #: [T, N] bool
    first: torch.Tensor  #: [T + 1, N] bool: an episode starts with this observation
    valid: torch.Tensor  #: [T, N] bool: false where no action was taken (the reset step of some vector environments)
    final_index: torch.Tensor  #: [K] int64: ``t * N + n`` of each finished episode's last step
    final_observations: Tensors  #: {name: [K, ...]}
    action_mask: torch.Tensor | None = None  #: [T + 1, N, actions] bool: the legal actions
    extras: Tensors = field(factory=dict)  #: what `framework.interfaces.Policy.postprocess_trajectory` gave
    memory: Tensors = field(factory=dict)  #: {name: [N, ...]}: the policy's memory before step 0
    progress: float = 0.0  #: share of the run's total steps that is done, in [0, 1]
    lag: int = 0  #: how many versions old the policy was that collected this

    @property
    def steps(self) -> int:
        """Environment steps in the batch, ``T * N``."""
        return self.rewards.numel()


@define
class Transitions:
    """``B`` transitions from a replay buffer, as tensors on the learner's device; of ``n`` steps each where asked for.

    A transition starts at some step and goes on for ``steps`` of at most ``n`` steps: fewer where its episode, or what
    has been stored of it, ends earlier.
    """

    observations: Tensors  #: {name: [B, ...]}
    actions: torch.Tensor  #: [B, ...] the first action
    rewards: torch.Tensor  #: [B, n] float32; 0 from ``steps`` on
    steps: torch.Tensor  #: [B] int64, from 1 to n
    terminated: torch.Tensor  #: [B] bool: the last of the steps ended the episode for good: nothing to bootstrap from
    next_observations: Tensors  #: {name: [B, ...]} after the last step: the true last one where the episode ended
    action_mask: torch.Tensor | None = None  #: [B, actions] bool: the legal actions of ``observations``
    next_action_mask: torch.Tensor | None = None  #: [B, actions]: of ``next_observations``; all where terminated
    extras: Tensors = field(factory=dict)  #: {name: [B, ...]} what `Batch.extras` held for the first step


@define
class Sequences:
    """``B`` sequences of ``L`` successive steps from a replay buffer, as tensors on the learner's device.

    They may go through the ends of episodes, as in `Batch`: where one ended with step ``t``,
    ``observations[t + 1]`` belongs to the next, and the true last one stands in ``final_observations``.
    """

    observations: Tensors  #: {name: [L + 1, B, ...]}
    actions: torch.Tensor  #: [L, B, ...]
    rewards: torch.Tensor  #: [L, B] float32
    terminated: torch.Tensor  #: [L, B] bool: the step ended the episode for good: nothing to bootstrap from
    first: torch.Tensor  #: [L + 1, B] bool: an episode starts with this observation
    valid: torch.Tensor  #: [L, B] bool: false where no action was taken
    memory: Tensors  #: {name: [B, ...]} the policy's memory before step 0, when it acted
    final_index: torch.Tensor  #: [K] int64: ``t * B + b`` of each finished episode's last step
    final_observations: Tensors  #: {name: [K, ...]}
    n_step: int = 1  #: over how many steps returns go, as the buffer's options say
    action_mask: torch.Tensor | None = None  #: [L + 1, B, actions] bool: the legal actions
    extras: Tensors = field(factory=dict)  #: {name: [L, B, ...]} what `Batch.extras` held
