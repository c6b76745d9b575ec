"""Proximal policy optimization."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_algorithms(register: Register) -> None:
    """Offer PPO."""
    register(
        "ppo",
        "framework_ppo.ppo:PPO",
        config="framework_ppo.config:PPOConfig",
        summary="Proximal policy optimization with a clipped objective (Schulman et al., 2017).",
        supports=("action_mask", "memory", "replay", "off_policy", "streams"),
    )
