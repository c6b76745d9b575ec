"""Training in a probe environment, and a comparison with what has to come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import torch
from torch import Tensor

import framework
from framework.runtime.session import Session
from framework.testing.probes import Probe, expected
from framework.toolkit.spaces import flatten

GAMMA = 0.99
_ENDS = """
[checkpoint]
every_seconds = 3600.0

[runtime]
samplers = 0
"""


def solve(
    folder: Path,
    pipeline: str,
    overrides: Mapping[str, Any],
    number: int,
    observation: str = "vector",
    action: str = "discrete",
    *,
    values: Callable[[Any, dict[str, Tensor]], Tensor],
    tolerance: float,
) -> None:
    """Train in a probe and compare the greedy return, and the values of its first observations within a share of them.

    ``values`` gives a policy's values [B] of observations ``{name: [B, ...]}``.
    """
    probe = {
        "environment.use": "gymnasium",
        "environment.id": f"framework.testing.probes:Probe{number}-v0",
        "environment.kwargs": {"observation": observation, "action": action},
        "algorithm.gamma": GAMMA,
    }
    session = Session(framework.load(runs.write(folder, pipeline + _ENDS), probe | dict(overrides)), root=folder)
    *_, last = session.updates()
    facts = expected(number)
    assert last.evaluation is not None
    if number != 2:  # where chance decides
        assert last.evaluation["evaluation/return"] >= 0.95 * facts.episode_return
    policy = framework.load_agent(session.directory, "last").policy
    for signal, value in facts.value(GAMMA).items():
        with torch.inference_mode():
            estimates = values(policy, _observations(Probe(number, observation, action), signal)).numpy()
        assert estimates == pytest.approx(value, rel=tolerance), f"signal {signal}"


def _observations(probe: Probe, signal: int) -> dict[str, Tensor]:
    """Some observations that show a signal."""
    probe.reset(seed=0)
    rows = [flatten(probe.observation_space, probe.encode(signal)) for _ in range(32)]
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
