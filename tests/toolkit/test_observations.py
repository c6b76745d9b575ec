"""Normalization of observations by running moments."""

from __future__ import annotations

import copy

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from small_ppo import observations

from framework.interfaces import Batch
from framework.toolkit.observations import ObservationMoments, ObservationNormalizer, normalized_leaves

SPACES = {
    "speed/x": Box(-1, 1, (3,), np.float32),
    "eye": Box(0, 255, (4, 4, 3), np.uint8),
    "gear": Discrete(3),
    "level": Box(0, 255, (2,), np.uint8),
}


def batch(seed: int) -> Batch:
    """Observations of five steps of two environments, one of which is not valid."""
    steps = torch.zeros(5, 2, dtype=torch.bool)
    valid = ~steps
    valid[2, 1] = False
    return Batch(
        observations=observations(SPACES, 6, 2, seed=seed),
        actions=steps,
        rewards=torch.zeros(5, 2),
        terminated=steps,
        truncated=steps,
        first=torch.zeros(6, 2, dtype=torch.bool),
        valid=valid,
        final_index=torch.zeros(0, dtype=torch.int64),
        final_observations={},
    )


def test_numbers_are_normalized_and_neither_images_nor_choices() -> None:
    """Every Box but bytes with two axes or more, by name; all else passes as it is."""
    assert list(normalized_leaves(SPACES)) == ["level", "speed/x"]
    normalizer = ObservationNormalizer(SPACES)
    observation = observations(SPACES, 2, 3)
    normalized = normalizer(observation)
    assert normalized.keys() == observation.keys()
    assert all(normalized[name] is observation[name] for name in ("eye", "gear"))
    torch.testing.assert_close(normalized["speed/x"], observation["speed/x"])  # nothing is known yet
    assert normalized["level"].max() == 10.0  # but it is clipped


def test_moments_are_those_of_all_valid_steps() -> None:
    """What the trajectory ends with is no step of it yet; afterwards its numbers have mean 0 and deviation 1."""
    normalizer = ObservationNormalizer(SPACES)
    moments = ObservationMoments(normalizer)
    batches = [batch(seed) for seed in range(3)]
    for part in batches:
        moments.update(part)
    rows = {
        name: torch.cat([part.observations[name][:5][part.valid] for part in batches]) for name in ("level", "speed/x")
    }
    normalized = normalizer({**observations(SPACES, 27), **rows})
    for name, x in rows.items():
        assert len(x) == 27
        width = x.shape[1]
        torch.testing.assert_close(normalized[name].mean(0), torch.zeros(width), rtol=0, atol=1e-5)
        torch.testing.assert_close(normalized[name].std(0, correction=0), torch.ones(width), rtol=1e-4, atol=0)


def test_both_go_on_from_their_states() -> None:
    """The normalizer's is part of the module that it belongs to, the moments' are the learner's."""
    normalizer, restored = ObservationNormalizer(SPACES), ObservationNormalizer(SPACES)
    moments = ObservationMoments(normalizer)
    moments.update(batch(0))
    state = moments.state_dict()
    frozen = copy.deepcopy(state)
    restored.load_state_dict(normalizer.state_dict())
    restored_moments = ObservationMoments(restored)
    restored_moments.load_state_dict(state)
    for part in (moments, restored_moments):
        part.update(batch(1))
    assert all(torch.equal(x, restored.state_dict()[name]) for name, x in normalizer.state_dict().items())
    assert all(torch.equal(x, frozen["level"][name]) for name, x in state["level"].items())
