"""Any environment that Gymnasium can make."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_environments(register: Register) -> None:
    """Offer Gymnasium's environments by their id."""
    register(
        "gymnasium",
        "framework_gymnasium.environment:GymnasiumEnvironment",
        config="framework_gymnasium.config:GymnasiumConfig",
        summary="Any environment registered with Gymnasium, by its id.",
    )
