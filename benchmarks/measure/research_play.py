"""Research episodes played by a run's policy, whose observations may be altered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

import framework
from framework.runtime.evaluate.agent import Acting
from framework_research.vector import ResearchVectorEnv

#: Seeds from here on are those of neither training nor evaluation episodes.
FIRST_SEED = 10**6

#: Observations by name, and which of the episodes are still running [N]: may change the observations in place.
Change = Callable[[dict[str, np.ndarray], np.ndarray], None]


def environment_of(run: Path, count: int, **changes: Any) -> ResearchVectorEnv:
    """``count`` environments as the run was trained in, but for some options."""
    config = framework.load_run(run).environment.config
    return ResearchVectorEnv(count, **{**attrs.asdict(config), **changes})


def play(run: Path, environment: ResearchVectorEnv, change: Change | None = None) -> np.ndarray:
    """Play an episode in each environment with sampled actions; gives their success [N]."""
    count = environment.num_envs
    act = Acting(framework.load_agent(run).policy, seed=0, deterministic=False)
    observations, infos = environment.reset(seed=list(range(FIRST_SEED, FIRST_SEED + count)))
    success, playing = np.zeros(count, bool), np.ones(count, bool)
    while playing.any():
        if not isinstance(observations, dict):
            observations = {"observation": observations}
        if change is not None:
            change(observations, playing)
        observations, _, terminated, truncated, infos = environment.step(act(observations, infos["action_mask"]))
        over = playing & (terminated | truncated)
        success[over] = infos["success"][over] if over.any() else False
        playing &= ~over
    return success
