"""The steps of a batch as independent transitions: observation, action, next observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import evolve, frozen
from torch import Tensor

from framework.interfaces import Batch, Tensors

#: Steps are evaluated in parts of at most this size, so that large images do not fill the memory.
_PART_BYTES = 8_000_000
_SMALLEST_PART = 64


@frozen(eq=False)
class Steps:
    """Some steps of a batch, in any order; their rows are gathered, and transformed by ``see``, on access."""

    index: Tensor  #: [B] int64: ``t * N + n`` of each step
    _observations: Tensors  #: {name: [T * N, ...]}
    _following: Tensors  #: {name: [T * N, ...]}
    _actions: Tensor  #: [T * N, ...]
    see: Callable[[Tensors], Tensors] = dict

    def __len__(self) -> int:
        return len(self.index)

    @property
    def observations(self) -> Tensors:
        """``{name: [B, ...]}`` before each step."""
        return self._pick(self._observations)

    @property
    def following(self) -> Tensors:
        """``{name: [B, ...]}`` after each step: the final observation where the step ended an episode."""
        return self._pick(self._following)

    @property
    def actions(self) -> Tensor:
        """[B, ...] as the environment took them."""
        return self._actions.index_select(0, self.index)

    def take(self, rows: Tensor) -> Steps:
        """The steps at the positions ``rows``."""
        return evolve(self, index=self.index[rows])

    def parts(self) -> Iterator[Steps]:
        """All steps, in parts of bounded size; none where there are no steps."""
        row_bytes = sum(x[:1].nbytes for x in self._observations.values())
        for index in self.index.split(max(_SMALLEST_PART, _PART_BYTES // max(row_bytes, 1))):
            if len(index):
                yield evolve(self, index=index)

    def _pick(self, rows: Tensors) -> Tensors:
        return self.see({name: x.index_select(0, self.index) for name, x in rows.items()})


def steps_of(batch: Batch) -> Steps:
    """The valid steps of a batch; none crosses the end of an episode."""
    steps = batch.rewards.shape[0]
    return Steps(
        index=batch.valid.flatten().nonzero().squeeze(1),
        observations={name: x[:steps].flatten(0, 1) for name, x in batch.observations.items()},
        following=_following(batch),
        actions=batch.actions.flatten(0, 1),
    )


def _following(batch: Batch) -> Tensors:
    following = {name: x[1:].flatten(0, 1) for name, x in batch.observations.items()}
    if len(batch.final_index):
        for name, rows in following.items():
            following[name] = rows.index_copy(0, batch.final_index, batch.final_observations[name])
    return following
