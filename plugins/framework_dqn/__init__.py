"""Deep Q-networks."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_algorithms(register: Register) -> None:
    """Offer DQN."""
    register(
        "dqn",
        "framework_dqn.dqn:DQN",
        config="framework_dqn.config:DQNConfig",
        summary="Deep Q-networks, up to Rainbow and R2D2, with a replay buffer (Mnih et al., 2015).",
        supports=("action_mask", "memory", "off_policy", "replay", "streams"),
        needs=("replay",),
    )
