"""The gradient of an objective in slices, which several processes may share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.slices import Slices, even_rows
from framework_dqn.autograd import Autograd
from framework_dqn.objective import Loss
from framework_dqn.sequence_rows import SequenceRows


class Sliced:
    """As `Autograd`, of the mean over the slices of the objective of each, weighted by their transitions."""

    def __init__(self, backward: Autograd, slices: Slices):
        self._backward, self._slices = backward, slices

    def __call__(
        self,
        objective: Callable[..., Loss],
        observations: Tensors | SequenceRows,
        actions: Tensor,
        old: Any,
        *options: Any,
    ) -> Any:
        """See `Autograd`."""
        parts = _slices(observations, self._slices.count)

        model = self._backward.return_model

        def backward(number: int) -> Any:
            part, rows = parts[number]
            targets = model.targets(*(x.index_select(0, rows) for x in old))
            return self._backward(objective, part, actions.index_select(0, rows), targets, *options)

        return model.predictions(*self._slices([rows for _, rows in parts], backward))


def _slices(observations: Tensors | SequenceRows, count: int) -> list[tuple[Any, Tensor]]:
    """The observations of each slice, and which of the rows they are; fewer slices where there are fewer rows."""
    if isinstance(observations, SequenceRows):
        return observations.slices(count)
    leaf = next(iter(observations.values()))
    parts = even_rows(len(leaf), min(count, len(leaf)), leaf.device)
    return [({name: x.index_select(0, rows) for name, x in observations.items()}, rows) for rows in parts]
