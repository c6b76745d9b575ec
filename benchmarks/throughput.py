"""Training throughput, side by side with peers at equal settings: ``python benchmarks/throughput.py --help``."""

from __future__ import annotations

from pathlib import Path

from measure import breakdown, memory, rates, solve
from measure.results import parser
from measure.sides import add_peer_options, add_run_options


def main() -> None:
    """Run the measurement that the options select."""
    arguments = parser(__doc__)
    mode = arguments.add_mutually_exclusive_group()
    mode.add_argument("--breakdown", action="store_true", help="where the time goes, and how far from the limits")
    mode.add_argument("--solve", action="store_true", help="wall time until CartPole-v1 is solved")
    mode.add_argument("--memory", action="store_true", help="peak memory of the process tree")
    arguments.add_argument("--plot", type=Path, metavar="FILE", help="draw rates and learning curves; needs matplotlib")
    add_run_options(arguments)
    add_peer_options(arguments)
    options = arguments.parse_args()
    if options.plot and (options.breakdown or options.solve or options.memory):
        arguments.error("--plot draws the rates: leave --breakdown, --solve and --memory out")
    if options.solve and options.env != "cartpole":
        arguments.error("--solve is about CartPole-v1")
    if options.breakdown and any(override.startswith("runtime.samplers") for override in options.overrides):
        arguments.error("--breakdown is about one sampler")
    if options.solve:
        solve.measure(options)
    elif options.memory:
        memory.measure(options)
    elif options.breakdown:
        breakdown.measure(options)
    else:
        rates.measure(options)


if __name__ == "__main__":
    main()
