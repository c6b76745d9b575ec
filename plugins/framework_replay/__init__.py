"""Replay buffers."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_replays(register: Register) -> None:
    """Offer uniform and prioritized replay."""
    register(
        "uniform",
        "framework_replay.uniform:Uniform",
        config="framework_replay.config:UniformConfig",
        summary="Past transitions, all equally likely (Lin, 1992).",
    )
    register(
        "prioritized",
        "framework_replay.prioritized:Prioritized",
        config="framework_replay.config:PrioritizedConfig",
        summary="Past transitions, the likelier the larger their error was (Schaul et al., 2016).",
    )
