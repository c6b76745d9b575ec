"""Advantages and value targets of whole trajectories, without a Python loop over time.

Everything here is a linear recursion ``y[t] = x[t] + decay[t] * y[t + 1]``, which `reverse_scan` solves for all
steps at once in ``log2(T)`` passes. Shapes are those of `framework.interfaces.Batch`: ``T`` steps, ``N`` environments,
``K`` episodes that ended. Nothing here carries a gradient to its inputs' history on purpose: callers pass tensors that
require none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class VTrace(NamedTuple):
    """The result of `vtrace`."""

    targets: Tensor  #: [T, N] value targets
    advantages: Tensor  #: [T, N] advantages of the policy gradient, importance weight included


def reverse_scan(x: Tensor, decay: Tensor) -> Tensor:
    """Solve ``y[t] = x[t] + decay[t] * y[t + 1]`` with ``y[T] = 0``, for tensors [T, ...].

    Recursive doubling (Hillis and Steele, 1986): after pass i, ``y[t]`` sums the ``2 ** i`` steps from ``t``.
    """
    steps = x.shape[0]
    y, span = x, 1
    while span < steps:
        y = torch.cat((torch.addcmul(y[:-span], decay[: steps - span], y[span:]), y[-span:]))
        decay = decay[:-span] * decay[span:]
        span *= 2
    return y


def forward_scan(x: Tensor, decay: Tensor) -> Tensor:
    """Solve ``y[t] = x[t] + decay[t] * y[t - 1]`` with ``y[-1] = 0``, for tensors [T, ...]."""
    return reverse_scan(x.flip(0), decay.flip(0)).flip(0)


def next_values(values: Tensor, terminated: Tensor, final_index: Tensor, final_values: Tensor) -> Tensor:
    """The value of each step's true next observation, [T, N]; 0 where the episode terminated.

    ``values`` [T + 1, N]; ``final_index`` [K] is ``t * N + n`` of each finished episode's last step and
    ``final_values`` [K] the value of its last observation, which ``values[t + 1]`` is not: that one belongs to the
    next episode.
    """
    following = values[1:].clone()
    following.view(-1)[final_index] = final_values.to(following.dtype)
    return following.masked_fill_(terminated, 0.0)


def gae(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_index: Tensor,
    final_values: Tensor,
    log_ratios: Tensor | None = None,
    *,
    gamma: float,
    lam: float,
) -> Tensor:
    """Generalised advantage estimation (GAE), [T, N] (Schulman et al., 2016, arXiv:1506.02438, equation 16).

    ``delta[t] = r[t] + gamma * (1 - terminated[t]) * V(s'[t]) - V(s[t])`` and
    ``A[t] = delta[t] + gamma * lam * (1 - done[t]) * A[t + 1]``, where ``done`` is terminated or truncated: a truncated
    episode is bootstrapped from its final observation, and nothing flows across its end.
    Value targets are ``A + values[:-1]``. Arguments as in `next_values`, and ``rewards``, ``truncated`` [T, N].

    For off-policy data, with ``log_ratios`` as in `vtrace`, ``A[t + 1]`` is weighted by ``min(1, rho[t + 1])``, as in
    V-trace's targets. The step's own ratio is left out, as clipped objectives apply it.
    """
    following = next_values(values, terminated, final_index, final_values)
    delta = torch.add(rewards, following, alpha=gamma).sub_(values[:-1])
    decay = (terminated | truncated).logical_not().to(delta.dtype).mul_(gamma * lam)
    if log_ratios is not None:
        decay[:-1] *= log_ratios[1:].exp().clamp(max=1.0)
    return reverse_scan(delta, decay)


def vtrace(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_index: Tensor,
    final_values: Tensor,
    log_ratios: Tensor,
    *,
    gamma: float,
    lam: float = 1.0,
    rho_bar: float = 1.0,
    rho_pg: float = 1.0,
) -> VTrace:
    """V-trace targets and advantages for off-policy data (Espeholt et al., 2018, arXiv:1802.01561, 4.1).

    ``log_ratios`` [T, N] is log pi(a|s) - log mu(a|s), of target policy pi and behavior policy mu;
    ``values`` and ``final_values`` are pi's. With ``rho = exp(log_ratios)`` and V' as in `next_values`:
    ``delta = min(rho_bar, rho) * (r + gamma * V' - V)``, ``c = lam * min(1, rho)``,
    ``v[t] = V[t] + delta[t] + gamma * c[t] * (v[t + 1] - V[t + 1])`` and
    ``A[t] = min(rho_pg, rho[t]) * (r[t] + gamma * v[t + 1] - V[t])``. Episode ends cut the recursion; a truncated
    episode is bootstrapped from V of its last observation.
    """
    following = next_values(values, terminated, final_index, final_values)
    running = (terminated | truncated).logical_not().to(values.dtype)
    ratios = log_ratios.exp()
    delta = ratios.clamp(max=rho_bar) * (torch.add(rewards, following, alpha=gamma) - values[:-1])
    correction = reverse_scan(delta, ratios.clamp(max=1.0).mul_(running).mul_(gamma * lam))
    targets = values[:-1] + correction
    # v[t + 1] - V[t + 1], which no episode end lets through
    ahead = torch.cat((correction[1:], torch.zeros_like(correction[:1]))).mul_(running)
    advantages = ratios.clamp(max=rho_pg) * (torch.add(rewards, following + ahead, alpha=gamma) - values[:-1])
    return VTrace(targets, advantages)


def lambda_returns(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_index: Tensor,
    final_values: Tensor,
    *,
    gamma: float,
    lam: float,
) -> Tensor:
    """Lambda-returns, [T, N] (Sutton and Barto, 2018, equation 12.18).

    ``G[t] = r[t] + gamma * (lam * G[t + 1] + (1 - lam) * V(s'[t]))``, and where the trajectory or the episode ends
    ``G[t] = r[t] + gamma * V(s'[t])``, which is the reward alone where it terminated. With the greatest Q-value of each
    observation as its value they are those of Peng's Q(lambda) (Peng and Williams, 1996). Arguments as in `gae`.
    """
    following = next_values(values, terminated, final_index, final_values)
    going_on = (terminated | truncated).logical_not().to(following.dtype)
    going_on[-1] = 0.0
    x = torch.addcmul(rewards, following, going_on.mul(-lam).add_(1.0), value=gamma)
    return reverse_scan(x, going_on.mul_(gamma * lam))


def discounted_returns(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_index: Tensor,
    final_values: Tensor,
    *,
    gamma: float,
) -> Tensor:
    """Discounted returns (rewards-to-go), [T, N].

    A return ends with its episode; where an episode was truncated, or the trajectory ends within one, it is
    bootstrapped from the value of the last observation. Arguments as in `gae`.
    """
    following = next_values(values, terminated, final_index, final_values)
    done = terminated | truncated
    done_or_last = done.clone()
    done_or_last[-1] = True
    x = rewards + following.mul_(done_or_last).mul_(gamma)
    return reverse_scan(x, done.logical_not().to(x.dtype).mul_(gamma))
