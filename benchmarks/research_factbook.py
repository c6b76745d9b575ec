"""Whether the pipeline learns from real facts: ``python benchmarks/research_factbook.py --runs FOLDER``.

Has ``examples/research-factbook.toml`` (extra factbook), as ``research_transfer.py`` trains it from scratch, answer
questions about the countries that it was trained on, about those where each looks like another one, and about new ones;
beside scripted policies, the success of always giving the most frequent answer, and the full pipeline that
``research_table.py`` trained on made-up worlds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framework.studies.jobs import Jobs
from framework.toolkit.statistics import two_level_interval
from framework_research.policies import experts
from framework_research.policies.majority import majority
from framework_research.vector import ResearchVectorEnv
from framework_research.worlds.corpus import make_corpus
from framework_research.worlds.factbook.corpus import Factbook
from measure.kept_runs import add_training_arguments, job, kept_of_table, tell
from measure.pages import fill
from measure.research_play import FIRST_SEED, environment_of, play
from measure.results import Measurement, machine, publish, table
from research_transfer import SCRATCH, USUAL, row

TRAINED, MADE_UP = "trained on the factbook", "trained on made-up worlds"
#: Column -> split, and whether looks are exchanged.
PLACES = {"known countries": ("train", None), "with each other's looks": ("train", 1), "new countries": ("test", None)}
POLICIES = {"expert": experts.expert, "expert, blind to figures": experts.blind_expert}


def main() -> None:
    """Train, play, and publish the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_training_arguments(parser)
    parser.add_argument("--levels", nargs="+", type=float, default=[0.4, 0.2], help="levels to play (default 0.4 0.2)")
    parser.add_argument("--episodes", type=int, default=500, help="episodes of each seed in each place (default 500)")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-factbook.json)")
    options = parser.parse_args()
    before = machine()
    made_up_runs = kept_of_table(options.runs, "full-pipeline", options.seeds)
    runs = {TRAINED: _trained(options), MADE_UP: made_up_runs}
    rows, measurements = [], []
    for level in options.levels:
        for name, players in _players(runs, level).items():
            cells = []
            for place in PLACES:
                scores = np.stack([player(place, options.episodes) for player in players])
                interval = two_level_interval(np.mean, scores, generator=np.random.default_rng(0))
                cells.append(f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
                measurements.append(_measurement(name, level, place, scores))
            rows.append([f"{level:g}", name, *cells])
        rows.append(
            [f"{level:g}", "the most frequent answer", *(f"{_most_frequent(place, level):.3f}" for place in PLACES)]
        )
    publish(
        "research-factbook",
        table(["level", "success", *PLACES], rows),
        output=options.output,
        settings={"levels": options.levels, "episodes": options.episodes, "seeds": options.seeds},
        measurements=measurements,
        machine=before,
    )
    if options.output is None:
        fill()


def _trained(options: argparse.Namespace) -> list[Path]:
    from_scratch = row("factbook", SCRATCH, USUAL)
    folder = options.runs.resolve()
    with Jobs(options.jobs, tell) as jobs:
        runs = jobs.train([job(folder, from_scratch, seed, options.set) for seed in options.seeds])
    return [run.directory for run in runs]


#: Place and number of episodes -> the success of each.
Player = Callable[[str, int], np.ndarray]


def _players(runs: dict[str, list[Path]], level: float) -> dict[str, Sequence[Player]]:
    """The players of each row, by name: one for each seed of what was trained."""

    def trained(run: Path) -> Player:
        return lambda place, episodes: play(
            run, _placed(environment_of(run, episodes, **_options(place, level)), place)
        )

    def scripted(policy: Any) -> Player:
        def played(place: str, episodes: int) -> np.ndarray:
            options = _options(place, level)
            environment = ResearchVectorEnv(episodes, observation_mode="state", max_steps=200, **options)
            return _script(policy, _placed(environment, place))

        return played

    players: dict[str, Sequence[Player]] = {name: [trained(run) for run in paths] for name, paths in runs.items()}
    return players | {name: [scripted(policy)] for name, policy in POLICIES.items()}


def _options(place: str, level: float) -> dict[str, Any]:
    return {"corpus": "factbook", "split": PLACES[place][0], "task_complexity": level}


def _placed(environment: ResearchVectorEnv, place: str) -> ResearchVectorEnv:
    split, exchanged = PLACES[place]
    environment.episodes.corpus = Factbook(split, exchanged=exchanged)
    return environment


def _script(policy: Any, environment: ResearchVectorEnv) -> np.ndarray:
    """The success [N] of a function (rows, mask of legal actions, generator) -> action."""
    count, rng = environment.num_envs, np.random.default_rng(0)
    rows, infos = environment.reset(seed=list(range(FIRST_SEED, FIRST_SEED + count)))
    actions, ended = np.zeros(count, np.int64), np.zeros(count, bool)
    while not ended.all():
        for index in np.flatnonzero(~ended):
            actions[index] = policy(rows[index], infos["action_mask"][index], rng)
        rows, _, terminated, truncated, infos = environment.step(actions)
        ended = terminated | truncated
    return environment.episodes.succeeded


def _most_frequent(place: str, level: float) -> float:
    return majority(make_corpus("factbook", PLACES[place][0]), level, 2000)[1]


def _measurement(name: str, level: float, place: str, scores: np.ndarray) -> Measurement:
    return {
        "row": name,
        "level": level,
        "place": place,
        "success": [round(rate, 4) for rate in scores.mean(1).tolist()],
    }


if __name__ == "__main__":
    main()
