"""PPO learns through the encoders of tokens and modalities, in whole pipelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import probing
import pytest

from framework.testing.probes import OBSERVATIONS

PIPELINE = """
[run]
total_steps = 2048

[environment]

[encoder]
width = 16
heads = 2
depth = 1

[algorithm]
use = "ppo"
learning_rate = 0.003
epochs = 4
minibatch_size = 64
gae_lambda = 1.0
entropy_coefficient = 0.0
share_encoder = true

[sampling]
environments = 8
rollout_length = 32
"""
#: For observations whose signal stands in one of several leaves.
LONG = {"run.total_steps": 16_384, "algorithm.learning_rate": 0.001}
PARTS = {"body": {"use": "mlp", "hidden": [16]}, "pair/1": "transformer"}


def solve(folder: Path, observation: str, overrides: dict[str, Any]) -> None:
    """Train in probe 5."""
    probing.solve(
        folder,
        PIPELINE,
        overrides,
        5,
        observation,
        values=lambda policy, rows: policy.values(rows),
        tolerance=0.15,
    )


@pytest.mark.parametrize("encoder", ["transformer", "multimodal"])
def test_probe_is_solved(tmp_path: Path, encoder: str) -> None:
    """The action must match a signal that stands in either of two leaves."""
    solve(tmp_path, "dict", {"encoder.use": encoder})


@pytest.mark.slow
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("encoder", ["transformer", "multimodal"])
def test_every_observation_is_solved(tmp_path: Path, encoder: str, observation: str) -> None:
    """As above, with every kind of observation."""
    solve(tmp_path, observation, {"encoder.use": encoder, **LONG})


@pytest.mark.slow
def test_parts_that_the_pipeline_names(tmp_path: Path) -> None:
    """As above, with encoders that the pipeline file chooses for some of the leaves."""
    solve(tmp_path, "nested", {"encoder.use": "multimodal", "encoder.parts": PARTS, **LONG})
