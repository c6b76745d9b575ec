"""Minibatches of transitions, as networks take them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from framework.interfaces import Tensors, Transitions
from framework.toolkit.off_policy import n_step_returns
from framework_off_policy.policy import Actor


class Minibatch(NamedTuple):
    """B transitions, with normalized observations, and actions as the networks give them."""

    rows: Tensors  #: {name: [1, B, ...]}
    actions: Tensor  #: [B, k], or [B] from zero
    returns: Tensor  #: [B] discounted rewards of the steps
    discounts: Tensor  #: [B] of the value that follows; 0 where nothing does
    next_rows: Tensors
    mask: Tensor | None  #: [B, A] legal actions
    next_mask: Tensor | None


def minibatch_of(transitions: Transitions, policy: Actor, gamma: float) -> Minibatch:
    """The minibatch of some transitions."""
    returns, discounts = n_step_returns(transitions.rewards, transitions.steps, transitions.terminated, gamma)
    return Minibatch(
        policy.normalized(transitions.observations),
        policy.from_environment(transitions.actions),
        returns,
        discounts,
        policy.normalized(transitions.next_observations),
        transitions.action_mask,
        transitions.next_action_mask,
    )
