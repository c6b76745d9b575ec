"""Replay buffers."""

from framework import hookimpl
from framework.hookspecs import Register, RegisterCommand

_REPLAYS = (
    ("Uniform", "Uniform experience replay (Lin, 1992).", ()),
    ("Prioritized", "Prioritized experience replay, proportional variant (Schaul et al., 2016).", ()),
    ("Minari", "A Minari dataset to learn from offline, and beside it what is collected.", ("offline",)),
)


@hookimpl
def register_replays(register: Register) -> None:
    """Offer uniform and prioritized replay, and datasets."""
    for cls, summary, supports in _REPLAYS:
        target, config = f"framework_replay.{cls.lower()}:{cls}", f"framework_replay.config:{cls}Config"
        register(cls.lower(), target, config=config, summary=summary, supports=supports)


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Offer what makes datasets."""
    register("record", "framework_replay.record:command", summary="Keep the episodes of a policy as a Minari dataset.")
