"""Continuous control beside Stable-Baselines3: ``python benchmarks/continuous_control.py TASK... --sb3-python PATH``.

A task is an example with overrides on our side, and the same settings on the other. Both train in turns, seed by seed.
A task's results replace those that the result file has of it; the file keeps the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from measure.aims import EXAMPLES
from measure.processes import module, run
from measure.results import BENCHMARKS, Measurement, interleaved, machine, publish, ratio, show, table, values
from measure.sides import SB3, Side, add_peer_options, missing_peer

FRAMEWORK = "framework"
NAME = "continuous-control"
EPISODES = 20  #: of the greedy evaluation after training
POINTS = 200  #: About how many points a curve is thinned to.
LIMIT = 4 * 3600.0  #: Seconds after which a run is given up.


@frozen
class Task:
    """What both sides train: ``peer`` are keyword arguments of the class of Stable-Baselines3."""

    algorithm: str
    environment: str  #: id of Gymnasium
    steps: int
    example: str
    peer: Mapping[str, Any]
    overrides: tuple[str, ...] = ()
    published: str = "-"  #: by CleanRL, for version 4 of the environment

    @property
    def name(self) -> str:
        """Algorithm and environment."""
        return f"{self.algorithm} {self.environment}"

    def gradient_steps(self, steps: int) -> float:
        """Those that follow from the settings, on either side, after so many environment steps."""
        if self.algorithm == "ppo":
            return steps * self.peer["n_epochs"] / self.peer["batch_size"]
        return max(steps - self.peer["learning_starts"], 0) * self.peer["gradient_steps"] / self.peer["train_freq"]


#: CleanRL's ppo_continuous_action but for its clipped value loss; the learning rate falls linearly.
_PPO = {
    "n_steps": 2048,
    "batch_size": 64,
    "n_epochs": 10,
    "learning_rate": 3e-4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
#: Those of Stable-Baselines3's zoo, where they are not its defaults.
_SAC = {
    "learning_rate": 3e-4,
    "buffer_size": 1_000_000,
    "learning_starts": 10_000,
    "batch_size": 256,
    "tau": 0.005,
    "gamma": 0.99,
    "train_freq": 1,
    "gradient_steps": 1,
}
_SAC_EXAMPLE = "halfcheetah-sac"


def _ppo(environment: str, published: str) -> Task:
    example = environment.partition("-")[0].lower() + "-ppo"
    return Task("ppo", environment, 1_000_000, example, _PPO, published=published)


def _sac(environment: str, steps: int, **changes: Any) -> Task:
    """Our side has the settings as overrides of one example, so that both have the same."""
    peer = _SAC | changes
    settings = {
        "environment.id": json.dumps(environment),
        "algorithm.learning_rate": peer["learning_rate"],
        "algorithm.learning_starts": peer["learning_starts"],
        "algorithm.minibatch_size": peer["batch_size"],
        "algorithm.target_tau": peer["tau"],
        "algorithm.gamma": peer["gamma"],
        "algorithm.updates_per_step": peer["gradient_steps"] / peer["train_freq"],
        "replay.capacity": peer["buffer_size"],
    }
    return Task(
        "sac", environment, steps, _SAC_EXAMPLE, peer, tuple(f"{key}={value}" for key, value in settings.items())
    )


TASKS = {
    f"{task.environment.partition('-')[0].lower()}-{task.algorithm}": task
    for task in (
        _ppo("HalfCheetah-v5", "1443 ± 46"),
        _ppo("Hopper-v5", "2383 ± 272"),
        _ppo("Walker2d-v5", "2288 ± 572"),
        _sac("HalfCheetah-v5", 100_000),
        _sac("Hopper-v5", 100_000),
        _sac("Pendulum-v1", 20_000, learning_rate=1e-3, learning_starts=100, buffer_size=20_000),
    )
}


def main() -> None:
    """Train the tasks, print the table, write all results, and draw the curves."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("tasks", nargs="+", choices=TASKS, metavar="TASK", help=f"any of {', '.join(TASKS)}")
    arguments.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default 1 2 3")
    arguments.add_argument("--steps", type=int, help="environment steps of each run (default: by task)")
    arguments.add_argument("--set", nargs="+", default=[], metavar="OVERRIDE", help="overrides of our pipelines")
    arguments.add_argument("--plot", type=Path, metavar="FILE", help="draw the learning curves; needs matplotlib")
    arguments.add_argument("--output", type=Path, help=f"JSON file (default benchmarks/results/{NAME}.json)")
    add_peer_options(arguments)
    options = arguments.parse_args()
    output = options.output or BENCHMARKS / "results" / f"{NAME}.json"
    for name in options.tasks:
        before = machine()
        measured = measure(TASKS[name], options)
        circumstances = {"overrides": options.set, "busy_before": before["busy_before"]}
        measurements = [*kept(output, TASKS[name].name), *(one | circumstances for one in measured)]
        publish(
            NAME,
            text(measurements) + missing_peer(options),
            output=output,
            settings={"evaluation_episodes": EPISODES, "peers": {name: task.peer for name, task in TASKS.items()}},
            measurements=measurements,
            machine=before,
        )
    if options.plot:
        from measure.plot import draw_panels

        tasks = dict.fromkeys(measurement["task"] for measurement in measurements)
        draw_panels(options.plot, {task: of_task(measurements, task) for task in tasks})


def measure(task: Task, options: argparse.Namespace) -> list[Measurement]:
    """Both sides in turns; the second one where its interpreter is named."""
    steps = options.steps or task.steps

    def framework(repeat: int) -> Measurement:
        overrides = [
            *task.overrides,
            f"run.total_steps={steps}",
            f"evaluation.episodes={EPISODES}",
            *options.set,
            f"run.seed={options.seeds[repeat]}",
        ]
        return finished(task, run(module("train", EXAMPLES / f"{task.example}.toml", *overrides), limit=LIMIT))

    def peer(repeat: int) -> Measurement:
        program = [options.sb3_python, "-m", "peers.sb3_continuous", task.algorithm, task.environment]
        numbers = [f"--steps={steps}", f"--seed={options.seeds[repeat]}", f"--threads={options.peer_threads}"]
        settings = [f"--settings={json.dumps(task.peer)}", f"--episodes={EPISODES}"]
        return finished(task, run([*program, *numbers, *settings], limit=LIMIT))

    rows: dict[str, Side] = {FRAMEWORK: framework}
    if options.sb3_python:
        rows[SB3] = peer
    measurements = interleaved(rows, len(options.seeds))
    return [
        {"task": task.name, "seed": options.seeds[measurement["repeat"]], **measurement} for measurement in measurements
    ]


def finished(task: Task, result: Measurement) -> Measurement:
    """What is kept of a run: time without evaluations, both scores, and a thinned curve."""
    seconds = result["seconds"] - result.get("evaluating", 0.0)
    curve = [[steps, round(value, 2)] for steps, value in result["curve"]]
    return {
        "steps": result["steps"],
        "seconds": round(seconds, 2),
        "gradient_steps_per_second": round(task.gradient_steps(result["steps"]) / seconds, 2),
        "return": result["final_return"],
        "evaluation": result["evaluations"][-1][1],
        "threads": result["threads"],
        "versions": result.get("versions"),
        "curve": [*curve[:: max(1, len(curve) // POINTS)], *curve[-1:]],
    }


def kept(path: Path, replaced: str) -> list[Measurement]:
    """What a result file has of other tasks than the one that is measured anew."""
    if not path.is_file():
        return []
    measurements = json.loads(path.read_text(encoding="utf-8"))["measurements"]
    return [measurement for measurement in measurements if measurement["task"] != replaced]


def of_task(measurements: Sequence[Measurement], task: str) -> list[Measurement]:
    """The measurements of one task."""
    return [measurement for measurement in measurements if measurement["task"] == task]


def text(measurements: Sequence[Measurement]) -> str:
    """The table, and what its columns are."""
    published = {task.name: task.published for task in TASKS.values()}
    lines: list[list[float | str | None]] = []
    for task in dict.fromkeys(measurement["task"] for measurement in measurements):
        of_one = of_task(measurements, task)
        for row in dict.fromkeys(measurement["row"] for measurement in of_one):
            scores = [_spread(of_one, row, field) for field in ("return", "evaluation")]
            speed = "gradient_steps_per_second"
            faster = ratio(of_one, row, SB3, speed)
            seeds = ", ".join(map(str, values(of_one, row, "seed")))
            steps = max(values(of_one, row, "steps"))
            rate = statistics.median(values(of_one, row, speed))
            lines.append([task, row, seeds, steps, *scores, published[task], rate, faster])
    header = ["", "", "seeds", "steps", "return", "greedy", "CleanRL, v4", "gradient steps/s", f"/ {SB3}"]
    return (
        table(header, lines)
        + "\n\n*return*: mean of the last 100 training episodes. *greedy*: mean of"
        + f" {EPISODES} episodes of the last policy. Both are means and standard deviations over seeds."
    )


def _spread(measurements: Sequence[Measurement], row: str, field: str) -> str | None:
    scores = [score for score in values(measurements, row, field) if score is not None]
    if not scores:
        return None
    deviation = f" ± {show(statistics.stdev(scores))}" if len(scores) > 1 else ""
    return show(statistics.mean(scores)) + deviation


if __name__ == "__main__":
    main()
