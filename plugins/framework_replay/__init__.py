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
        summary="Uniform experience replay (Lin, 1992).",
    )
    register(
        "prioritized",
        "framework_replay.prioritized:Prioritized",
        config="framework_replay.config:PrioritizedConfig",
        summary="Prioritized experience replay, proportional variant (Schaul et al., 2016).",
    )
