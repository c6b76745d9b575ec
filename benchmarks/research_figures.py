"""Whether pictures are needed, and used: ``python benchmarks/research_figures.py --runs FOLDER``.

Plays questions that lead through one figure, on the test split, with the policies that ``research_table.py`` keeps in
the folder: the full pipeline, the same with pictures of other episodes in the place of its own, and the pipeline that
was trained without pictures. Chance is a guess among the bars.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from framework.toolkit.statistics import two_level_interval
from framework_research.vector import ResearchVectorEnv
from framework_research.worlds.world import STATED
from measure import research_play
from measure.kept_runs import add_arguments, kept_of_table
from measure.pages import fill
from measure.research_play import Change, environment_of
from measure.results import machine, publish, table

FULL, SHUFFLED, WITHOUT = "full pipeline", "full pipeline, pictures of other episodes", "without images"
FOLDERS = {FULL: "full-pipeline", SHUFFLED: "full-pipeline", WITHOUT: "without-images"}
LEVEL = 0.3


def main() -> None:
    """Play, and publish the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--episodes", type=int, default=1000, help="episodes of each seed, with and without figures")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-figures.json)")
    options = parser.parse_args()
    before = machine()
    rows, measurements = [], []
    for name, folder in FOLDERS.items():
        runs = kept_of_table(options.runs, folder, options.seeds)
        played = [play(run, options.episodes, shuffle=name == SHUFFLED) for run in runs]
        scores = np.stack([success for success, _ in played])  # all seeds play the same worlds
        interval = two_level_interval(np.mean, scores, generator=np.random.default_rng(0))
        chance = played[0][1].mean()
        rows.append([name, f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})", f"{chance:.3f}"])
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
    if options.output is None:
        fill()


def play(run: Path, episodes: int, *, shuffle: bool) -> tuple[np.ndarray, np.ndarray]:
    """Success of each episode with one figure hop, and the probability that a guess among its bars is right, [K]."""
    environment = environment_of(run, episodes, task_complexity=LEVEL, split="test")
    success = research_play.play(run, environment, _shuffled(_pictures(run, environment)) if shuffle else None)
    worlds = environment.episodes.worlds
    one_figure = (worlds["asked"] >= STATED).sum((1, 2)) == 1
    return success[one_figure], 1.0 / worlds["bars"][one_figure]


def _shown(observations: dict[str, np.ndarray], playing: np.ndarray) -> np.ndarray:
    """In which environments there is a figure to be seen [N]."""
    shown: np.ndarray = playing & observations["figure"].any((1, 2, 3))
    return shown


def _pictures(run: Path, environment: ResearchVectorEnv) -> np.ndarray:
    """All pictures [K, 3, 48, 48] that are looked at in the episodes."""
    pictures: list[np.ndarray] = []

    def record(observations: dict[str, np.ndarray], playing: np.ndarray) -> None:
        pictures.append(observations["figure"][_shown(observations, playing)])

    research_play.play(run, environment, record)
    return np.concatenate(pictures)


def _shuffled(pictures: np.ndarray) -> Change:
    """Shows any of these pictures instead of the right one."""
    rng = np.random.default_rng(1)

    def change(observations: dict[str, np.ndarray], playing: np.ndarray) -> None:
        shown = _shown(observations, playing)
        observations["figure"][shown] = pictures[rng.integers(len(pictures), size=shown.sum())]

    return change


if __name__ == "__main__":
    main()
