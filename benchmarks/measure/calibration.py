"""The difficulty of the levels of the research environment: what scripted policies reach on them."""

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


#: Name -> function that makes the policy of an episode from its world and a generator.
POLICIES: dict[str, Callable[[np.void, np.random.Generator], Policy]] = {
    "oracle": _knowing,
    "expert": _acting(experts.expert),
    "expert that does not look at figures": _acting(experts.blind_expert),
    "random legal actions": _acting(experts.random_legal),
}


def calibrate(corpus: str, policy: str, level: float, episodes: int, seed: int, environments: int) -> Measurement:
    """Success, steps and efficiency of a policy: means over the episodes of successive seeds."""
    print(f"{corpus}, level {level}: {policy}", file=sys.stderr, flush=True)
    scores = play(POLICIES[policy], level, range(seed, seed + episodes), environments, corpus)
    names = ("success", "steps", "efficiency")
    means = dict(zip(names, (round(float(mean), 4) for mean in scores.mean(0)), strict=True))
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
    scores = np.empty((len(seeds), 3))
    rows, infos = vector.reset(seed=list(seeds[:count]))
    playing: list[int | None] = list(range(count))  # the episode in each environment, by number
    policies = [policy(vector.episodes.worlds[index], np.random.default_rng(seeds[index])) for index in range(count)]
    actions, begun = np.zeros(count, np.int64), count
    while any(episode is not None for episode in playing):
        for index, episode in enumerate(playing):
            if episode is not None:
                actions[index] = policies[index](rows[index], infos["action_mask"][index])
        rows, _, terminated, truncated, infos = vector.step(actions)
        reset_seeds: list[int | None] = [None] * count
        for index in np.flatnonzero(terminated | truncated):
            if (episode := playing[index]) is None:
                continue
            steps = vector.episodes.browsers["steps"][index]
            scores[episode] = infos["success"][index], steps, infos["metrics"]["efficiency"][index]
            playing[index] = None
            if begun < len(seeds):
                playing[index], reset_seeds[index], begun = begun, seeds[begun], begun + 1
        mask = np.array([seed is not None for seed in reset_seeds])
        if mask.any():
            rows, infos = vector.reset(seed=reset_seeds, options={"reset_mask": mask})
            for index in np.flatnonzero(mask):
                policies[index] = policy(vector.episodes.worlds[index], np.random.default_rng(reset_seeds[index]))
    return scores


def calibration_table(measurements: list[Measurement], corpus: str) -> str:
    """Success and steps of each policy, by level."""
    cells = {
        (measurement["level"], measurement["policy"]): measurement
        for measurement in measurements
        if measurement["corpus"] == corpus
    }
    lines = [
        [f"{level:.1f}", *("{success:.3g} / {steps:.3g}".format(**cells[level, policy]) for policy in POLICIES)]
        for level in LEVELS
    ]
    return table(["d", *POLICIES], lines)
