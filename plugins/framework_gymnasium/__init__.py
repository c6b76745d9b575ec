"""Environments: whatever Gymnasium can make, Atari games and grid worlds."""

from framework import hookimpl
from framework.hookspecs import Register

_HERE = "framework_gymnasium"


@hookimpl
def register_environments(register: Register) -> None:
    """Offer them; their packages are imported when a pipeline asks for them."""
    tasks = ("tasks",)
    for name, target, config, summary, supports in (
        ("gymnasium", "environment:GymnasiumEnvironment", "GymnasiumConfig", "Any Gymnasium environment.", tasks),
        ("atari", "atari:AtariEnvironment", "AtariConfig", "Atari 2600 games, preprocessed (extra: atari).", ()),
        ("minigrid", "minigrid:MiniGridEnvironment", "MiniGridConfig", "Grid worlds (extra: minigrid).", tasks),
        ("envpool", "pool:EnvPoolEnvironment", "EnvPoolConfig", "EnvPool's environments (extra: envpool).", ()),
    ):
        register(name, f"{_HERE}.{target}", config=f"{_HERE}.config:{config}", summary=summary, supports=supports)
