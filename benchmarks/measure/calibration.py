"""How hard the levels of the research environment are: what policies reach on them that were not learned."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from framework_research.browser.shortest import shortest_episode
from framework_research.policies import experts
from framework_research.vector import ResearchVectorEnv
from measure.results import Measurement, table

LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)

#: (rows [31, 51], mask [55]) -> action
Policy = Callable[[np.ndarray, np.ndarray], int]


def _acting(policy: Any) -> Callable[[np.void, np.random.Generator], Policy]:
    return lambda world, rng: lambda rows, mask: policy(rows, mask, rng)


def _knowing(world: np.void, rng: np.random.Generator) -> Policy:
    actions: Iterator[int] = iter(shortest_episode(world).tolist())
    return lambda rows, mask: next(actions)


#: Name -> what gives the policy for an episode, of its world and random numbers.
POLICIES: dict[str, Callable[[np.void, np.random.Generator], Policy]] = {
    "oracle": _knowing,
    "expert": _acting(experts.expert),
    "expert that does not look at figures": _acting(experts.blind_expert),
    "random legal actions": _acting(experts.random_legal),
}


def calibrate(corpus: str, policy: str, level: float, episodes: int, seed: int, environments: int) -> Measurement:
    """Success, steps and efficiency of a policy: means over the episodes of successive seeds."""
    print(f"{corpus}, level {level}: {policy}", file=sys.stderr, flush=True)
    found = play(POLICIES[policy], level, range(seed, seed + episodes), environments, corpus)
    names = ("success", "steps", "efficiency")
    means = dict(zip(names, (round(float(mean), 4) for mean in found.mean(0)), strict=True))
    return {"corpus": corpus, "policy": policy, "level": level, **means}


def play(
    policy: Callable[[np.void, np.random.Generator], Policy],
    level: float,
    seeds: range,
    environments: int,
    corpus: str = "synthetic",
) -> np.ndarray:
    """Success, steps and efficiency of the episode of each seed [seeds, 3], on the test split."""
    count = min(environments, len(seeds))
    vector = ResearchVectorEnv(count, task_complexity=level, split="test", observation_mode="state", corpus=corpus)
    found = np.empty((len(seeds), 3))
    rows, infos = vector.reset(seed=list(seeds[:count]))
    playing: list[int | None] = list(range(count))  # the episode in each environment, by number
    policies = [policy(vector.episodes.worlds[at], np.random.default_rng(seeds[at])) for at in range(count)]
    actions, begun = np.zeros(count, np.int64), count
    while any(episode is not None for episode in playing):
        for at, episode in enumerate(playing):
            if episode is not None:
                actions[at] = policies[at](rows[at], infos["action_mask"][at])
        rows, _, terminated, truncated, infos = vector.step(actions)
        again: list[int | None] = [None] * count
        for at in np.flatnonzero(terminated | truncated):
            if (episode := playing[at]) is None:
                continue
            steps = vector.episodes.browsers["steps"][at]
            found[episode] = infos["success"][at], steps, infos["metrics"]["efficiency"][at]
            playing[at] = None
            if begun < len(seeds):
                playing[at], again[at], begun = begun, seeds[begun], begun + 1
        mask = np.array([seed is not None for seed in again])
        if mask.any():
            rows, infos = vector.reset(seed=again, options={"reset_mask": mask})
            for at in np.flatnonzero(mask):
                policies[at] = policy(vector.episodes.worlds[at], np.random.default_rng(again[at]))
    return found


def calibration_table(measurements: list[Measurement], corpus: str) -> str:
    """Success and steps of each policy, by level."""
    found = {(each["level"], each["policy"]): each for each in measurements if each["corpus"] == corpus}
    lines = [
        [f"{level:.1f}", *("{success:.3g} / {steps:.3g}".format(**found[level, policy]) for policy in POLICIES)]
        for level in LEVELS
    ]
    return table(["d", *POLICIES], lines)
