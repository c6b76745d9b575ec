"""The gradient of an objective in slices, which several processes may share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from framework.toolkit.slices import Slices
from framework_ppo.autograd import Autograd
from framework_ppo.closed_form import ClosedForm
from framework_ppo.minibatches import Rows, Sequences
from framework_ppo.objective import Predictions


class Sliced:
    """As `Autograd`, of the mean over the slices of the objective of each, weighted by their steps."""

    def __init__(self, backward: Autograd | ClosedForm, slices: Slices):
        self._backward, self._slices = backward, slices

    def __call__(
        self, objective: Callable[..., Any], inputs: Rows | Sequences, actions: Tensor, old: Any, *options: Any
    ) -> tuple[Predictions, dict[str, Tensor]]:
        """See `Autograd`; ``old`` is a named tuple of tensors [B, ...]."""
        parts = inputs.slices(self._slices.count)
        names: list[str] = []

        def backward(number: int) -> list[Tensor]:
            part, rows = parts[number]
            targets = type(old)(*(x.index_select(0, rows) for x in old))
            new, losses = self._backward(objective, part, actions.index_select(0, rows), targets, *options)
            names[:] = losses
            return [*new, *losses.values()]

        outputs = self._slices([rows for _, rows in parts], backward)
        count = len(Predictions._fields)
        return Predictions(*outputs[:count]), dict(zip(names, outputs[count:], strict=True))
