"""The table of the research environment: ``python benchmarks/research_table.py --runs runs/table``.

Trains what is not yet in the folder of runs, on some seeds, evaluates it on held-out episodes beside scripted policies,
and writes tables and pictures: the scores of each row, an ablation of the full pipeline, and the steps that build it up
from the baseline.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import framework
from framework.errors import FrameworkError
from framework.pipeline.build import build_environment
from framework.runtime.data.seeds import evaluation_seed
from framework.studies.jobs import Jobs
from measure import research_scores
from measure.kept_runs import add_training_arguments, curve, job, tell
from measure.pages import fill
from measure.plot import draw_research
from measure.processes import module, run
from measure.research_rows import FACTBOOK, Cells, Row, Rows, held_out_cells, read_rows, transfer_cells
from measure.results import BENCHMARKS, Measurement, machine, publish

ROWS = BENCHMARKS / "pipelines/research-rows.toml"
PICTURES = BENCHMARKS.parent / "docs/images"
#: Options that the result file records.
SETTINGS = ("seeds", "levels", "curve", "parts_curve", "episodes", "set")
#: Points of a curve in the result file.
POINTS = 200
#: Overrides that make a table in a minute; its scores mean nothing.
QUICK = ["run.total_steps=1", "evaluation.episodes=2", "environment.max_steps=10"]


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_training_arguments(parser)
    parser.add_argument(
        "--rows", type=Path, default=ROWS, help="the rows (default benchmarks/pipelines/research-rows.toml)"
    )
    parser.add_argument(
        "--levels", nargs="+", type=float, default=[0.4, 0.2], help="levels with a table (default 0.4 0.2)"
    )
    parser.add_argument("--curve", nargs="*", type=float, metavar="LEVEL",
                        help="levels of the table's picture (default 0, .2, .4, .5, .6, .7, .8, 1)",
                        default=[0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0])  # fmt: skip
    parser.add_argument("--parts-curve", nargs="*", type=float, metavar="LEVEL", default=[0.0, 0.2, 0.4, 0.6],
                        help="levels of the pictures of ablation and steps (default 0, .2, .4, .6)")  # fmt: skip
    parser.add_argument("--episodes", type=int, default=500, help="episodes of each seed in each setting (default 500)")
    parser.add_argument("--again", action="store_true", help="repeat evaluations whose scores are in --runs")
    parser.add_argument("--quick", action="store_true", help="a tiny table, to try the script; written to --runs")
    parser.add_argument("--output", type=Path, help="JSON file (default benchmarks/results/research-table.json)")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.levels, options.episodes = options.seeds[:1], options.levels[:1], 5
        options.curve = options.parts_curve = []
        options.set = [*QUICK, *options.set]
        options.output = options.output or options.runs / "research-table.json"
    measure(options)


def measure(options: argparse.Namespace) -> None:
    """Train, evaluate, and write tables and pictures."""
    before = machine()
    rows = read_rows(options.rows)
    cells, missing = _cells(options, rows.table[0])
    tests = held_out_cells([*options.levels, *options.parts_curve])
    measured = [(row, seed, cells if row in rows.table else tests) for seed in options.seeds for row in rows.all]
    # The jobs end first: what waits for their processes then ends, too.
    with ThreadPoolExecutor(options.jobs) as pool, Jobs(options.jobs, tell) as jobs:
        try:
            measurements = list(pool.map(lambda arguments: _measure(*arguments, options, jobs), measured))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    scores = {row.name: research_scores.stacked(measurements, row.name) for row in rows.all}
    _draw(options.runs if options.quick else PICTURES, rows, measurements, scores)
    publish(
        "research-table",
        {
            **_tables(rows, scores, options.levels),
            "training": research_scores.training_table(measurements),
            "notes": "\n\n".join([_settings(options, scores[rows.table[0].name]), *missing]),
        },
        output=options.output,
        settings={name: getattr(options, name) for name in SETTINGS},
        measurements=[_short(measurement) for measurement in measurements],
        machine=before,
    )
    if options.output is None:
        fill()


def _tables(rows: Rows, scores: dict[str, research_scores.Scores], levels: Sequence[float]) -> dict[str, str]:
    """By name: the table at each level, by all levels, and of the ablation and the steps where there are some."""
    main = {row.name: scores[row.name] for row in rows.table}
    tables = {f"level {level:g}": research_scores.main_table(main, level) for level in levels}
    tables["all levels"] = research_scores.level_table(main)
    for name, titled in (("ablation", {row.name: row for row in rows.ablation}), ("steps", rows.steps)):
        if len(titled) > 1:
            titled_scores = {title: scores[row.name] for title, row in titled.items()}
            tables[name] = research_scores.ablation_table(titled_scores, levels)
            tables[f"{name}, all levels"] = research_scores.level_table(titled_scores)
    return tables


def _draw(folder: Path, rows: Rows, measurements: list[Measurement], scores: dict[str, research_scores.Scores]) -> None:
    """A picture of each table."""
    pictures = {
        "research-table": {row.name: row for row in rows.table},
        "research-ablation": {row.name: row for row in rows.ablation},
        "research-steps": rows.steps,
    }
    for picture, titled in pictures.items():
        if len(titled) > 1:
            curves = [
                {**measurement, "row": title}
                for title, row in titled.items()
                for measurement in measurements
                if measurement["row"] == row.name
            ]
            by_level = {title: research_scores.by_level(scores[row.name]) for title, row in titled.items()}
            draw_research(folder / f"{picture}.png", curves, by_level)


def _cells(options: argparse.Namespace, row: Row) -> tuple[Cells, list[str]]:
    """The settings that each row of the table is evaluated in, and notes on those left out."""
    cells = held_out_cells([*options.levels, *options.curve])
    for level in options.levels:
        cells |= transfer_cells(level)
    corpora = [name for name in cells if name.startswith(FACTBOOK)]
    try:
        environment = build_environment(framework.load(row.pipeline, [*_environment(row), *cells[corpora[0]]]))
        environment.make().close()
    except FrameworkError as error:
        reason = str(error).partition("\n")[0]
        for name in corpora:
            del cells[name]
        return cells, [f"Without transfer to the {FACTBOOK}: {reason}"]
    return cells, []


def _measure(row: Row, seed: int, cells: Cells, options: argparse.Namespace, jobs: Jobs) -> Measurement:
    """The scores of a row with a seed, and its curves where it is trained."""
    run = None if row.policy else jobs.run(job(options.runs, row, seed, options.set))
    target = row.pipeline if run is None else run.directory
    overrides = _environment(row) if row.policy else []
    overrides += [override for override in QUICK if options.quick and override.startswith("environment.")]
    scores = _evaluate(row, seed, target, {name: [*overrides, *cell] for name, cell in cells.items()}, options)
    trained: dict[str, Any] = {"success": [], "level": []}
    if run is not None:
        curves = {"success": _thin(curve(run, "success")), "level": _thin(curve(run, "curriculum/level"))}
        cost = {"steps": run.steps, "minutes": round(float(run.series("time/seconds").y[-1]) / 60, 2)}
        trained = {**curves, **cost, "samplers": run.pipeline["runtime"]["samplers"]}
    return {"row": row.name, "seed": seed, "scores": scores, **trained}


def _evaluate(row: Row, seed: int, target: Path, cells: Cells, options: argparse.Namespace) -> dict[str, Any]:
    """Scores by cell, kept in the folder of runs; evaluated in a process of its own where they are not there yet."""
    # Other episodes than those that the best checkpoint was chosen by.
    settings = {"target": str(target), "episodes": options.episodes, "seed": evaluation_seed(evaluation_seed(seed))}
    file = options.runs / row.folder / f"scores-{seed}.json"
    kept = json.loads(file.read_text()) if file.is_file() and not options.again else {}
    if kept.get("settings") != settings:
        kept = {"settings": settings, "cells": {}}
    missing = {name: cell for name, cell in cells.items() if kept["cells"].get(name, {}).get("overrides") != cell}
    if missing:
        print(f"{row.name}, seed {seed}: evaluated in {len(missing)} settings", file=sys.stderr, flush=True)
        command = ["--cells", json.dumps(missing), "--episodes", options.episodes, "--seed", settings["seed"]]
        command += ["--policy", row.policy] if row.policy else []
        evaluated = run(module("assess", target, *command), limit=86_400.0)["scores"]
        kept["cells"] |= {name: {"overrides": missing[name], "scores": scores} for name, scores in evaluated.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept))
    return {name: kept["cells"][name]["scores"] for name in cells}


def _environment(row: Row) -> list[str]:
    """The overrides of a row that concern the environment."""
    return [override for override in row.overrides if override.lstrip("~").startswith("environment.")]


def _thin(points: list[list[float]]) -> list[list[float]]:
    return [*points[:: max(1, len(points) // POINTS)], points[-1]] if points else []


def _short(measurement: Measurement) -> Measurement:
    """The measurement with the mean of each score in the place of all episodes."""
    means = {
        cell: {score: round(float(np.mean(values)), 5) for score, values in scores.items()}
        for cell, scores in measurement["scores"].items()
    }
    return {**measurement, "scores": means}


def _settings(options: argparse.Namespace, scores: research_scores.Scores) -> str:
    kinds = research_scores.targets(scores, options.levels[0])
    return (
        f"Seeds {', '.join(map(str, options.seeds))}, {options.episodes} episodes of each in each setting; in brackets"
        f" 95 % bootstrap intervals over seeds and episodes, that of the IQM, the interquartile mean of all levels and"
        f" seeds, over seeds. Transfer to: {', '.join(kinds)}."
    )


if __name__ == "__main__":
    main()
