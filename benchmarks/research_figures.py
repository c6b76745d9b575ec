"""Whether pictures are needed, and used: ``python benchmarks/research_figures.py --runs FOLDER``.

Plays questions that lead through one figure, on the test split, with the policies that ``research_table.py`` keeps in
the folder: the full pipeline, the same with pictures of other episodes in the place of its own, and the pipeline that
learned without pictures. Chance is a guess among the bars.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import framework
from framework.runtime.agent import Acting
from framework.toolkit.statistics import two_level_interval
from framework_research.vector import ResearchVectorEnv
from framework_research.world import STATED
from measure.kept_runs import kept
from measure.results import machine, publish, table

FULL, SHUFFLED, WITHOUT = "full pipeline", "full pipeline, pictures of other episodes", "without images"
FOLDERS = {FULL: "full-pipeline", SHUFFLED: "full-pipeline", WITHOUT: "without-images"}
LEVEL, LIMIT = 0.3, 60


def main() -> None:
    """Do what the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="folder where runs are kept")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default 1 2 3")
    parser.add_argument("--episodes", type=int, default=1000, help="of each seed, with and without figures")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-figures.json)")
    options = parser.parse_args()
    before = machine()
    rows, measurements = [], []
    for name, folder in FOLDERS.items():
        runs = [kept(options.runs / folder / f"seed-{seed}") for seed in options.seeds]
        if None in runs:
            raise SystemExit(f"{options.runs / folder} has no run of each seed: research_table.py trains them")
        played = [play(run, options.episodes, shuffle=name == SHUFFLED) for run in runs]
        scores = np.stack([success for success, _ in played])  # all seeds play the same worlds
        found = two_level_interval(np.mean, scores, generator=np.random.default_rng(0))
        chance = played[0][1].mean()
        rows.append([name, f"{found.estimate:.3f} ({found.low:.3f} to {found.high:.3f})", f"{chance:.3f}"])
        measurements += [
            {"row": name, "seed": seed, "success": float(success.mean()), "episodes": len(success)}
            for seed, (success, _) in zip(options.seeds, played, strict=True)
        ]
    publish(
        "research-figures",
        table(["questions with one figure", "success", "chance"], rows),
        output=options.output,
        settings={"level": LEVEL, "episodes": options.episodes, "seeds": options.seeds},
        measurements=measurements,
        machine=before,
    )


def play(run: Path, episodes: int, *, shuffle: bool) -> tuple[np.ndarray, np.ndarray]:
    """Success of each episode with one figure hop, and the probability that a guess among its bars is right, [K]."""
    mode = framework.load_run(run).environment.config.observation_mode
    environment = ResearchVectorEnv(
        episodes, observation_mode=mode, task_complexity=LEVEL, split="test", reward_shaping="sparse", max_steps=LIMIT
    )
    pictures = _pictures(environment, run) if shuffle else None
    success = _episodes(environment, run, pictures)
    worlds = environment.desks.worlds
    one = (worlds["asked"] >= STATED).sum((1, 2)) == 1
    return success[one], 1.0 / worlds["bars"][one]


def _pictures(environment: ResearchVectorEnv, run: Path) -> np.ndarray:
    """What was looked at when the episodes were played before: pictures [K, 3, 48, 48] in a random order."""
    seen: list[np.ndarray] = []
    _episodes(environment, run, None, seen)
    return np.random.default_rng(0).permutation(np.concatenate(seen))


def _episodes(
    environment: ResearchVectorEnv, run: Path, pictures: np.ndarray | None, seen: list[np.ndarray] | None = None
) -> np.ndarray:
    """Play one episode in each environment with sampled actions; gives their success [N]."""
    count, rng = environment.num_envs, np.random.default_rng(1)
    act = Acting(framework.load_agent(run).policy, seed=0, deterministic=False)
    observations, infos = environment.reset(seed=list(range(10**6, 10**6 + count)))
    success, playing = np.zeros(count, bool), np.ones(count, bool)
    while playing.any():
        if not isinstance(observations, dict):
            observations = {"observation": observations}
        elif seen is not None or pictures is not None:
            shown = playing & observations["figure"].any((1, 2, 3))
            if seen is not None:
                seen.append(observations["figure"][shown])
            if pictures is not None:
                observations["figure"][shown] = pictures[rng.integers(len(pictures), size=shown.sum())]
        observations, _, terminated, truncated, infos = environment.step(act(observations, infos["action_mask"]))
        over = playing & (terminated | truncated)
        success[over] = infos["success"][over] if over.any() else False
        playing &= ~over
    return success


if __name__ == "__main__":
    main()
