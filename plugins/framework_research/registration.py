"""Registers the environment with Gymnasium, which has no other way to find it than that somebody imports this.

``gymnasium.make("framework_research.registration:framework/Research-v0")`` does it, and so does an import before.
"""

from __future__ import annotations

from gymnasium.envs.registration import register

register(
    "framework/Research-v0",
    entry_point="framework_research.environment:ResearchEnv",
    vector_entry_point="framework_research.vector:ResearchVectorEnv",
)
