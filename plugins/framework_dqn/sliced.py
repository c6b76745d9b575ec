"""The gradient of an objective in slices, which several processes may share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from framework.interfaces import Tensors
from framework.toolkit.slices import Slices, even_rows
from framework_dqn.autograd import Autograd
from framework_dqn.objective import Loss, Predictions, Targets


class Sliced:
    """As `Autograd`, of the mean over the slices of the objective of each, weighted by their transitions."""

    def __init__(self, backward: Autograd, slices: Slices):
        self._backward, self._slices = backward, slices

    def __call__(
        self, objective: Callable[..., Loss], observations: Tensors, actions: Tensor, old: Targets, *options: Any
    ) -> Predictions:
        """See `Autograd`."""
        parts = even_rows(len(actions), min(self._slices.count, len(actions)), actions.device)

        def backward(number: int) -> Predictions:
            rows = parts[number]
            part = {name: x.index_select(0, rows) for name, x in observations.items()}
            targets = Targets(*(x.index_select(0, rows) for x in old))
            return self._backward(objective, part, actions.index_select(0, rows), targets, *options)

        return Predictions(*self._slices(parts, backward))
