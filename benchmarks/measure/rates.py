"""Environment steps per second from the first step to the last update, beside the peers."""

from __future__ import annotations

import argparse

from measure.plot import draw
from measure.results import interleaved, machine, middle, publish, ratio, show, table, values
from measure.sides import SB3, SINGLE_FILE, STEPS, Side, missing_peer, ours, run_settings, sb3, single_file

_HEADER = [
    "",
    "steps/s",
    "lowest",
    "highest",
    f"x {SB3}",
    f"x {SINGLE_FILE}",
    "last return",
    "start s",
    "whole process s",
]


def measure(options: argparse.Namespace) -> None:
    """Print and write the table."""
    before = machine()
    rows = (_pong if options.env == "pong" else _cartpole)(options)
    measurements = interleaved(rows, options.repeats)
    lines = []
    for row in rows:
        rates = values(measurements, row, "rate")
        returns = [value for value in values(measurements, row, "final_return") if value is not None]
        lines.append(
            [
                row,
                middle(measurements, row, "rate"),
                min(rates),
                max(rates),
                ratio(measurements, row, SB3, "rate"),
                ratio(measurements, row, SINGLE_FILE, "rate"),
                f"{show(min(returns))} to {show(max(returns))}" if returns else None,
                middle(measurements, row, "start_seconds"),
                middle(measurements, row, "process_seconds"),
            ]
        )
    note = "\n\nMedians; ratios are taken repeat by repeat. The last return is the mean of the last 100 episodes."
    publish(
        f"throughput-{options.env}",
        table(_HEADER, lines) + note + missing_peer(options),
        output=options.output,
        settings={
            "environment": options.env,
            **run_settings(options, STEPS[options.env]),
        },
        measurements=measurements,
        machine=before,
    )
    if options.env == "pong" and not _has_bfloat16():
        print("This processor has no bfloat16 arithmetic: those rows would measure its emulation, and are left out.")
    if options.plot:
        draw(options.plot, measurements, f"{options.env}: equal settings, median of {options.repeats}")


def _cartpole(options: argparse.Namespace) -> dict[str, Side]:
    two_samplers = ("runtime.samplers=2", "sampling.shard=4")
    in_process = ("runtime.samplers=0", "sampling.policy_lag=0")
    autograd = 'algorithm.objective="measure.autograd_objective:loss"'
    steps = STEPS["cartpole"]
    return {
        "1 sampler, lag 1": ours("cartpole", options),
        "2 samplers, lag 1": ours("cartpole", options, *two_samplers),
        "1 sampler, lag 0": ours("cartpole", options, "sampling.policy_lag=0"),
        "in-process, lag 0": ours("cartpole", options, *in_process),
        "in-process, lag 0, by autograd": ours("cartpole", options, *in_process, autograd),
        SINGLE_FILE: single_file("cartpole", options, steps),
        **sb3("cartpole", options, steps),
    }


def _pong(options: argparse.Namespace) -> dict[str, Side]:
    native, half = "environment.native=true", 'runtime.precision="bfloat16"'
    steps = STEPS["pong"]
    halves = {
        "bfloat16, stepped singly": ours("pong", options, half),
        "bfloat16, ALE's own vector": ours("pong", options, half, native),
    }
    return {
        "float32, stepped singly": ours("pong", options),
        "float32, ALE's own vector": ours("pong", options, native),
        **(halves if _has_bfloat16() else {}),
        SINGLE_FILE: single_file("pong", options, steps),
        f"{SINGLE_FILE}, ALE's own vector": single_file("pong", options, steps, "--native"),
        **sb3("pong", options, steps),
    }


def _has_bfloat16() -> bool:
    from framework.toolkit.processor import emulates_bfloat16

    return not emulates_bfloat16("cpu")
