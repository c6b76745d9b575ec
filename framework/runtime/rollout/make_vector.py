"""The vector of an environment component: stepped singly, or of the environment's own."""

from __future__ import annotations

from functools import partial

from framework.errors import PipelineError, Problem
from framework.interfaces import EnvironmentFactory
from framework.runtime.rollout.environments import make_environment
from framework.runtime.rollout.native_vector import make_native_vector
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.runtime.rollout.vector import Vector


def make_vector(environment: EnvironmentFactory, count: int, *, restart: bool = False) -> Vector:
    """``count`` environments, stepped singly, or by the environment's own vector version where it is ``native``.

    With ``restart`` those that raise are made anew; raises as `check_restart` does.
    """
    if restart:
        check_restart(environment)
    if getattr(environment, "native", False):
        return make_native_vector(environment, count)
    make = partial(make_environment, environment)
    return SteppedVector([make() for _ in range(count)], make if restart else None)


def check_restart(environment: EnvironmentFactory) -> None:
    """Raise `PipelineError` where environments that raise cannot be made anew one by one."""
    if getattr(environment, "native", False):
        raise PipelineError(
            [
                Problem(
                    f'"restart" needs environments that can be made anew one by one, and {type(environment).__name__}'
                    " steps all of them as one: set native = false in [environment], or leave this out",
                    "runtime.on_environment_error",
                )
            ]
        )
