"""The minibatches of an update: shuffled steps, or whole sequences for encoders with memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from framework.interfaces import Batch, Tensors
from framework.toolkit.slices import even_rows
from framework_ppo.objective import Targets
from framework_ppo.policy import ActorCritic, Evaluation


class Rows(NamedTuple):
    """The observations of B independent steps."""

    observations: Tensors  #: {name: [B, ...]}
    action_mask: Tensor | None  #: [B, actions]

    def slices(self, count: int) -> list[tuple[Rows, Tensor]]:
        """The observations of ``count`` parts, and which of the B steps each has; fewer parts where B is less."""
        example = next(iter(self.observations.values()))
        parts = even_rows(len(example), min(count, len(example)), example.device)
        lengths = [len(rows) for rows in parts]
        split = {name: x.split(lengths) for name, x in self.observations.items()}
        masks = [None] * len(parts) if self.action_mask is None else self.action_mask.split(lengths)
        observations = [{name: x[number] for name, x in split.items()} for number in range(len(parts))]
        return [(Rows(part, mask), rows) for part, mask, rows in zip(observations, masks, parts, strict=True)]

    def evaluate(self, policy: ActorCritic) -> Evaluation:
        """Evaluation of each step."""
        return policy.evaluate(self.observations, self.action_mask)


class Sequences(NamedTuple):
    """The observations of T steps of n environments, of which B steps are valid."""

    observations: Tensors  #: {name: [T, n, ...]}
    memory: Tensors  #: {name: [n, ...]} before the first step
    first: Tensor  #: [T, n]
    action_mask: Tensor | None  #: [T, n, actions]
    index: Tensor  #: [B] int64: which of the ``T * n`` steps are valid

    def slices(self, count: int) -> list[tuple[Sequences, Tensor]]:
        """As `Rows.slices`, of whole environments; those without a valid step are in none."""
        valid = torch.zeros(self.first.numel(), dtype=torch.bool, device=self.index.device)
        valid[self.index] = True
        valid = valid.view(self.first.shape)
        places = torch.full(valid.shape, -1, device=valid.device, dtype=torch.int64)
        places[valid] = torch.arange(len(self.index), device=valid.device)
        columns = valid.any(0).nonzero().squeeze(1)
        parts = columns.tensor_split(min(count, len(columns)))
        return [(self._take(part, valid), places[:, part][valid[:, part]]) for part in parts]

    def _take(self, columns: Tensor, valid: Tensor) -> Sequences:
        mask = self.action_mask
        return Sequences(
            {name: x.index_select(1, columns) for name, x in self.observations.items()},
            {name: x.index_select(0, columns) for name, x in self.memory.items()},
            self.first.index_select(1, columns),
            None if mask is None else mask.index_select(1, columns),
            valid.index_select(1, columns).flatten().nonzero().squeeze(1),
        )

    def evaluate(self, policy: ActorCritic) -> Evaluation:
        """Evaluation of each valid step."""
        parameters, values, losses = policy.evaluate_sequences(
            self.observations, self.memory, self.first, self.action_mask
        )
        return Evaluation(parameters.index_select(0, self.index), values.index_select(0, self.index), losses)


Minibatch = tuple[Rows | Sequences, Targets]


def row_minibatches(
    batch: Batch, targets: Targets, size: int, epochs: int, generator: torch.Generator, *, normalize: bool
) -> Iterator[Minibatch]:
    """Minibatches of ``size`` valid steps, shuffled in each epoch.

    With ``normalize``, the advantages of each minibatch have mean 0 and standard deviation 1.
    """
    rows = {name: valid_rows(batch, x[:-1]) for name, x in batch.observations.items()}
    masks = None if batch.action_mask is None else valid_rows(batch, batch.action_mask[:-1])
    valid_targets = Targets(*(valid_rows(batch, x) for x in targets))
    for _ in range(epochs):
        order = torch.randperm(len(valid_targets.actions), generator=generator).to(valid_targets.actions.device)
        shuffled = Targets(*(x.index_select(0, order) for x in valid_targets))
        if normalize:
            shuffled = shuffled._replace(advantages=standardized(shuffled.advantages, size))
        for index, *part in zip(order.split(size), *(x.split(size) for x in shuffled), strict=True):
            observations = {name: x.index_select(0, index) for name, x in rows.items()}
            yield Rows(observations, None if masks is None else masks.index_select(0, index)), Targets(*part)


def sequence_minibatches(
    batch: Batch, targets: Targets, size: int, epochs: int, generator: torch.Generator, *, normalize: bool
) -> Iterator[Minibatch]:
    """As `row_minibatches`, of whole environments: as many as make up ``size`` steps, at least one."""
    steps, count = batch.rewards.shape
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator).to(batch.rewards.device)
        for columns in order.split(max(1, size // steps)):
            inputs = sequences(batch, columns)
            part = Targets(*(x[:, columns].flatten(0, 1).index_select(0, inputs.index) for x in targets))
            if normalize:
                part = part._replace(advantages=standardized(part.advantages, len(part.advantages)))
            yield inputs, part


def normalized_batch(batch: Batch, targets: Targets) -> Targets:
    """The targets with advantages of mean 0 and standard deviation 1 over all valid steps of the batch."""
    advantages = targets.advantages.clone()
    advantages[batch.valid] = standardized(advantages[batch.valid], int(batch.valid.sum()))
    return targets._replace(advantages=advantages)


def sequences(batch: Batch, columns: Tensor) -> Sequences:
    """All steps of some of the environments of a batch."""
    return Sequences(
        {name: x[:-1].index_select(1, columns) for name, x in batch.observations.items()},
        {name: x.index_select(0, columns) for name, x in batch.memory.items()},
        batch.first[:-1].index_select(1, columns),
        None if batch.action_mask is None else batch.action_mask[:-1].index_select(1, columns),
        batch.valid.index_select(1, columns).flatten().nonzero().squeeze(1),
    )


def valid_rows(batch: Batch, x: Tensor) -> Tensor:
    """``x`` [T, N, ...] -> its valid steps [B, ...]."""
    flat = x.flatten(0, 1)
    return flat if batch.valid.all() else flat.index_select(0, batch.valid.flatten().nonzero().squeeze(1))


def standardized(advantages: Tensor, size: int) -> Tensor:
    """Each minibatch of ``size`` rows (the last may have fewer) with mean 0 and standard deviation 1."""
    whole = len(advantages) - len(advantages) % size
    groups = advantages[:whole].view(-1, size), advantages[whole:].view(1, -1)
    return torch.cat([_standardized(group).view(-1) for group in groups if group.numel()])


def _standardized(groups: Tensor) -> Tensor:
    variance, mean = torch.var_mean(groups, 1, correction=0, keepdim=True)
    deviation = variance.sqrt_()
    # A minibatch of equal advantages, but for rounding, has nothing to tell its actions apart: it must stay at zero.
    deviation.masked_fill_(deviation <= 1e-6 * mean.abs(), torch.inf)
    return (groups - mean).div_(deviation.add_(1e-8))
