"""The policy that knows the world: it takes the fewest steps that succeed."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from framework_research.browser.shortest import shortest_episode
from framework_research.environment import ResearchEnv

#: The actions for the episode that an environment is in.
_PLANS: WeakKeyDictionary[ResearchEnv, np.ndarray] = WeakKeyDictionary()


def oracle(rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator, *, environment: ResearchEnv) -> int:
    """The next action of a shortest episode that succeeds; for whoever acts from the episode's start on."""
    episodes = environment.episodes
    steps = int(episodes.browsers["steps"][0])
    if steps == 0:
        _PLANS[environment] = shortest_episode(episodes.worlds[0])
    return int(_PLANS[environment][steps])
