"""Environments of Gymnasium, ALE, MiniGrid and EnvPool."""

from framework import hookimpl
from framework.hookspecs import Register

_HERE = "framework_gymnasium"


@hookimpl
def register_environments(register: Register) -> None:
    """Offer the environments; their packages are imported when a pipeline uses them."""
    tasks = ("tasks",)
    for name, target, config, summary, supports in (
        ("gymnasium", "environment:GymnasiumEnvironment", "GymnasiumConfig", "Any Gymnasium environment.", tasks),
        ("atari", "atari:AtariEnvironment", "AtariConfig", "Atari 2600 games, preprocessed (extra: atari).", ()),
        ("minigrid", "minigrid:MiniGridEnvironment", "MiniGridConfig", "Grid worlds (extra: minigrid).", tasks),
        ("envpool", "pool:EnvPoolEnvironment", "EnvPoolConfig", "EnvPool's environments (extra: envpool).", ()),
    ):
        register(name, f"{_HERE}.{target}", config=f"{_HERE}.config:{config}", summary=summary, supports=supports)
