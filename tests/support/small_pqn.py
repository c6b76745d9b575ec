"""PQN on made-up spaces, and its returns and updates written out as slow loops."""

from __future__ import annotations

import copy
from typing import Any

import torch
from remembering import Remembering
from small_ppo import make_context
from torch import Tensor

from framework.interfaces import Batch, Context
from framework_pqn.config import PQNConfig
from framework_pqn.network import QNetwork
from framework_pqn.objective import Loss, Predictions, Targets
from framework_pqn.pqn import PQN

#: One minibatch holds everything, so that the order of steps does not matter.
WHOLE: dict[str, Any] = {"minibatch_size": 10_000, "learning_rate_schedule": "constant"}


def pqn(context: Context, **options: Any) -> PQN:
    """PQN with these options."""
    return PQN(PQNConfig(**{"head_hidden": (8,), **options}), context)


def remembering(**fields: Any) -> Context:
    """A context whose encoder has a memory."""
    return make_context(encoder=lambda context: Remembering(None, context), **fields)


def slow_values(network: QNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """Q-values [T + 1, N, A] and of last observations [K, A]: one environment and one step at a time."""
    steps, count = batch.rewards.shape
    rows = {index: k for k, index in enumerate(batch.final_index.tolist())}
    values: dict[tuple[int, int], Tensor] = {}
    finals: dict[int, Tensor] = {}
    for n in range(count):
        memory = {name: x[n : n + 1] for name, x in batch.memory.items()}
        for t in range(steps + 1):
            observation = {name: x[t, n][None, None] for name, x in batch.observations.items()}
            evaluation = network(observation, memory, batch.first[t, n].view(1, 1))
            values[t, n], memory = evaluation.values[0, 0], evaluation.memory
            if t < steps and (k := rows.get(t * count + n)) is not None:
                last = {name: x[k][None, None] for name, x in batch.final_observations.items()}
                finals[k] = network(last, memory, torch.zeros(1, 1, dtype=torch.bool)).values[0, 0]
    whole = torch.stack([torch.stack([values[t, n] for n in range(count)]) for t in range(steps + 1)])
    return whole, torch.stack([finals[k] for k in range(len(finals))]) if finals else whole[:0, 0]


def slow_returns(network: QNetwork, batch: Batch, rewards: Tensor, gamma: float, lam: float) -> Tensor:
    """Returns of Q(lambda) [T, N], from the last step to the first, with the greatest value of the legal actions."""
    steps, count = rewards.shape
    values, finals = slow_values(network, batch)
    if batch.action_mask is not None:
        values = values.masked_fill(~batch.action_mask, -torch.inf)
    rows = {index: k for k, index in enumerate(batch.final_index.tolist())}
    returns = torch.zeros(steps, count)
    for n in range(count):
        for t in reversed(range(steps)):
            if batch.terminated[t, n]:
                following = torch.zeros(())
            elif batch.truncated[t, n]:
                following = finals[rows[t * count + n]].max()
            else:
                following = values[t + 1, n].max()
                if t + 1 < steps:
                    following = lam * returns[t + 1, n] + (1 - lam) * following
            returns[t, n] = rewards[t, n] + gamma * following
    return returns


def slow_update(algorithm: PQN, batch: Batch, *, epochs: int, learning_rate: float, max_norm: float) -> QNetwork:
    """The same gradient steps on a copy of the network, each on the whole batch; returns the copy."""
    network = copy.deepcopy(algorithm.policy.network)
    network.closed_form = False
    with torch.no_grad():
        returns = slow_returns(network, batch, batch.rewards, gamma=0.9, lam=0.7)
    optimizer = torch.optim.RAdam(network.parameters(), learning_rate)
    actions = algorithm.policy.from_environment(batch.actions)
    for _ in range(epochs):
        values, _ = slow_values(network, batch)
        taken = values[:-1].gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        optimizer.zero_grad()
        (0.5 * (taken - returns).square()[batch.valid].mean()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm)
        optimizer.step()
    return network


def absolute_error(new: Predictions, old: Targets, options: PQNConfig) -> Loss:
    """An objective of one's own."""
    sizes = (new.values - old.returns).abs()
    return Loss(sizes.mean(), {"size": sizes})
