"""Parallelised Q-networks."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_algorithms(register: Register) -> None:
    """Offer PQN."""
    register(
        "pqn",
        "framework_pqn.pqn:PQN",
        config="framework_pqn.config:PQNConfig",
        summary="Parallelised Q-networks: Q(lambda) without replay buffer or target network (Gallici et al., 2024).",
        supports=("action_mask", "memory", "off_policy", "streams"),
    )
