"""Normalization of observations: the learner has the moments, and what acts and learns the normalizer.

An algorithm updates the moments once with each batch, after it has learned from it, and the normalizer travels with the
policy's weights; so that samplers, evaluations and the learner see the same, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import nn

from framework.interfaces import Batch, Tensors
from framework.toolkit.normalize import RunningMoments, Standardize
from framework.toolkit.state import copied


def normalized_leaves(observation_space: Mapping[str, spaces.Space[Any]]) -> dict[str, spaces.Box]:
    """The leaves that can be normalized: every Box but those of bytes with two axes or more, which are images."""
    return {
        name: space
        for name, space in sorted(observation_space.items())
        if isinstance(space, spaces.Box) and not (space.dtype == np.uint8 and len(space.shape) > 1)
    }


class ObservationNormalizer(nn.Module):
    """``{name: [..., *shape]}`` -> the same with the leaves that can be normalized by running mean and deviation.

    It changes nothing within ``clip`` until it is `set`.
    """

    def __init__(self, observation_space: Mapping[str, spaces.Space[Any]], clip: float = 10.0):
        super().__init__()
        spaces_by_name = normalized_leaves(observation_space)
        leaves = [Standardize(space.shape, clip) for space in spaces_by_name.values()]
        #: Of each leaf, by its name, which may be no name of a module.
        self.leaves = dict(zip(spaces_by_name, leaves, strict=True))
        self.modules_of_leaves = nn.ModuleList(leaves)

    def forward(self, observations: Tensors) -> Tensors:
        """See the class."""
        return observations | {name: normalize(observations[name]) for name, normalize in self.leaves.items()}


class ObservationMoments:
    """Running mean and variance of each leaf that an `ObservationNormalizer` normalizes, which they update."""

    def __init__(self, normalizer: ObservationNormalizer):
        self._leaves = normalizer.leaves
        self._moments = {
            name: RunningMoments(tuple(leaf.mean.shape), leaf.mean.device) for name, leaf in self._leaves.items()
        }

    def update(self, batch: Batch) -> None:
        """Add the observations of a batch that was learned from."""
        steps = batch.rewards.shape[0]
        for name, moments in self._moments.items():
            moments.update(batch.observations[name][:steps][batch.valid])
            self._leaves[name].set(moments)

    def state_dict(self) -> dict[str, Any]:
        """Of each leaf, by name."""
        return {name: copied(moments.state_dict()) for name, moments in self._moments.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        for name, moments in self._moments.items():
            moments.load_state_dict(state[name])
