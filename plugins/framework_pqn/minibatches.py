"""The minibatches of an update: shuffled steps, or whole environments for encoders with memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from framework.interfaces import Batch, Tensors
from framework_pqn.network import Evaluation, QNetwork
from framework_pqn.objective import Predictions, Targets


class Minibatch(NamedTuple):
    """T steps of n environments, of which B are learned from; independent steps are one step of B environments."""

    observations: Tensors  #: {name: [T, n, ...]}
    memory: Tensors  #: {name: [n, ...]} before the first step
    first: Tensor  #: [T, n]
    step_index: Tensor  #: [B] int64: which of the ``T * n`` steps are learned from
    targets: Targets  #: of B steps

    def predictions(self, values: Tensor) -> Predictions:
        """The Q-values of the actions that were taken, of those of all steps and actions [T, n, A]."""
        rows = values.flatten(0, 1).index_select(0, self.step_index)
        return Predictions(rows.gather(-1, self.targets.actions.unsqueeze(-1)).squeeze(-1))

    def evaluate(self, network: QNetwork) -> tuple[Predictions, Evaluation]:
        """The network's predictions for the B steps, differentiable."""
        evaluation = network(self.observations, self.memory, self.first)
        return self.predictions(evaluation.values), evaluation

    def slices(self, count: int) -> list[tuple[Minibatch, Tensor]]:
        """Parts of whole environments, and which of the B steps each has; fewer than ``count`` where there are fewer.

        Environments without a step to learn from are in none.
        """
        places = self.step_index.new_full((self.first.numel(),), -1)
        places[self.step_index] = torch.arange(len(self.step_index), device=self.step_index.device)
        places = places.view(self.first.shape)
        columns = (places >= 0).any(0).nonzero().squeeze(1)
        return [self._take(part, places[:, part]) for part in columns.tensor_split(min(count, len(columns)))]

    def _take(self, columns: Tensor, places: Tensor) -> tuple[Minibatch, Tensor]:
        rows = places[places >= 0]
        part = Minibatch(
            {name: x.index_select(1, columns) for name, x in self.observations.items()},
            {name: x.index_select(0, columns) for name, x in self.memory.items()},
            self.first.index_select(1, columns),
            (places >= 0).flatten().nonzero().squeeze(1),
            Targets(*(x.index_select(0, rows) for x in self.targets)),
        )
        return part, rows


def row_minibatches(
    batch: Batch, targets: Targets, size: int, epochs: int, generator: torch.Generator
) -> Iterator[Minibatch]:
    """Minibatches of ``size`` valid steps, shuffled in each epoch."""
    valid = batch.valid.flatten().nonzero().squeeze(1)
    observations = {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}
    flat = Targets(*(x.flatten(0, 1) for x in targets))
    for _ in range(epochs):
        order = valid[torch.randperm(len(valid), generator=generator).to(valid.device)]
        for rows in order.split(size):
            yield Minibatch(
                {name: x.index_select(0, rows).unsqueeze(0) for name, x in observations.items()},
                {},
                batch.first.new_ones(1, len(rows)),
                torch.arange(len(rows), device=rows.device),
                Targets(*(x.index_select(0, rows) for x in flat)),
            )


def sequence_minibatches(
    batch: Batch, targets: Targets, size: int, epochs: int, generator: torch.Generator
) -> Iterator[Minibatch]:
    """As `row_minibatches`, of whole environments: as many as make up ``size`` steps, at least one."""
    steps, count = batch.rewards.shape
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator).to(batch.rewards.device)
        for columns in order.split(max(1, size // steps)):
            index = batch.valid.index_select(1, columns).flatten().nonzero().squeeze(1)
            yield Minibatch(
                {name: x[:-1].index_select(1, columns) for name, x in batch.observations.items()},
                {name: x.index_select(0, columns) for name, x in batch.memory.items()},
                batch.first[:-1].index_select(1, columns),
                index,
                Targets(*(x.index_select(1, columns).flatten(0, 1).index_select(0, index) for x in targets)),
            )
