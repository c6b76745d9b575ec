"""The vector of an environment component: stepped singly, or of the environment's own."""

from __future__ import annotations

from framework.interfaces import EnvironmentFactory
from framework.runtime.rollout.environments import make_environment
from framework.runtime.rollout.native_vector import make_native_vector
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.runtime.rollout.vector import Vector


def make_vector(environment: EnvironmentFactory, count: int) -> Vector:
    """``count`` environments, stepped singly, or by the environment's own vector version where it is ``native``."""
    if getattr(environment, "native", False):
        return make_native_vector(environment, count)
    return SteppedVector([make_environment(environment) for _ in range(count)])
