"""The returns of Q(lambda), which values learn."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from framework.interfaces import Batch, Tensors
from framework.toolkit.distributions import mask_logits
from framework.toolkit.returns import lambda_returns
from framework.toolkit.sequences import column_parts, interleave
from framework_pqn.network import QNetwork

#: Observations are evaluated in parts of at most this size, so that large images do not fill the memory.
_PART_BYTES = 8_000_000


def q_lambda_returns(network: QNetwork, batch: Batch, rewards: Tensor, *, gamma: float, lam: float) -> Tensor:
    """Returns of Peng's Q(lambda), [T, N]: lambda-returns of which the value is that of the greedy action.

    ``G[t] = r[t] + gamma * (lam * G[t + 1] + (1 - lam) * max_a Q(s[t + 1], a))`` (Gallici et al., 2024, algorithm 1).
    They are not corrected for actions that were not greedy, nor for those of older policies. ``rewards`` [T, N].
    """
    values, final_values = greedy_values(network, batch)
    episode = (batch.terminated, batch.truncated, batch.final_index, final_values)
    return lambda_returns(rewards, values, *episode, gamma=gamma, lam=lam)


def greedy_values(network: QNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """The greatest Q-value of a legal action [T + 1, N] for all observations, and [K] for the last ones of episodes.

    Of those any action is legal, as nobody tells. An encoder with memory goes through the observations of each
    environment in order, starting with `Batch.memory`.
    """
    mask = batch.action_mask
    if network.remembers:
        steps, first, places, final_places = interleave(
            batch.observations, batch.first, batch.final_index, batch.final_observations
        )
        everything = _values(network, steps, batch.memory, first)
        columns = torch.arange(first.shape[1], device=first.device)
        values = everything[places, columns]
        final_values = everything[final_places, batch.final_index % first.shape[1]]
    else:
        values = _values(network, batch.observations, {}, batch.first)
        final_values = values.new_empty(0, values.shape[-1])
        if len(batch.final_index):  # encoders need not know what to do with nothing
            finals = {name: x.unsqueeze(0) for name, x in batch.final_observations.items()}
            starts = batch.first.new_ones(1, len(batch.final_index))
            final_values = _values(network, finals, {}, starts)[0]
    return (values if mask is None else mask_logits(values, mask)).amax(-1), final_values.amax(-1)


def _values(network: QNetwork, observations: Tensors, memory: Tensors, first: Tensor) -> Tensor:
    """Q-values [L, N, A], of some environments at a time."""

    def parts() -> Iterator[Tensor]:
        for part in column_parts(observations, _PART_BYTES):
            columns = {name: x[:, part] for name, x in observations.items()}
            start = {name: x[part] for name, x in memory.items()}
            yield network.constant(columns, start, first[:, part])[0]

    return torch.cat(list(parts()), 1)
