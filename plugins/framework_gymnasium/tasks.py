"""Wrappers that give tasks to environments without any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from framework.errors import RunError
from framework.schema import suggest


class TaskAttribute(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A task is the value of one attribute of the unwrapped environment, set before each reset.

    Episodes without a task have the value that the attribute had at first. Raises ValueError where there is no such
    attribute, or where it is a method.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str):
        super().__init__(env)
        inner = env.unwrapped
        if not hasattr(inner, name):
            attributes = [attribute for attribute in dir(inner) if not attribute.startswith("_")]
            guess = suggest(name, attributes)
            advice = f"; did you mean {guess}?" if guess else ""
            raise ValueError(f"{type(inner).__name__} has no attribute {name}{advice}")
        self._name = name
        self._default = getattr(inner, name)
        if callable(self._default):
            raise ValueError(f"{type(inner).__name__}.{name} is a method")

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Set the attribute, then reset."""
        task = (options or {}).get("task")
        setattr(self.env.unwrapped, self._name, self._default if task is None else task)
        return self.env.reset(seed=seed, options=options)


class TaskSeed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A task is a seed, which episodes start from instead of their own: a level of an environment that generates them.

    All episodes on one task start alike. Raises `RunError` for a task that is no integer from 0.
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset with the task as the seed."""
        task = (options or {}).get("task")
        if task is not None:
            if not isinstance(task, int) or isinstance(task, bool) or task < 0:
                raise RunError(f"a task must be a seed, an integer from 0, not {task!r}")
            seed = task
        return self.env.reset(seed=seed, options=options)


class TaskVariant(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A task says which environment an episode is played in: each is made once, by ``make``, and kept.

    ``env`` is the one for episodes without a task, or with one that ``make`` gives None for. Raises `RunError` where an
    environment has other spaces.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], make: Callable[[Any], gymnasium.Env[Any, Any] | None]):
        super().__init__(env)
        self._default = env
        self._make = make
        self._variants: dict[str, gymnasium.Env[Any, Any]] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment of the task, which is stepped from here on."""
        task = (options or {}).get("task")
        self.env = self._default if task is None else self._variant(task)
        return self.env.reset(seed=seed, options=options)

    def close(self) -> None:
        """Close all of them."""
        for environment in (self._default, *self._variants.values()):
            environment.close()

    def _variant(self, task: Any) -> gymnasium.Env[Any, Any]:
        key = repr(task)
        if key not in self._variants:
            variant = self._make(task)
            if variant is None:
                return self._default
            for name in ("observation_space", "action_space"):
                space, default_space = getattr(variant, name), getattr(self._default, name)
                if space != default_space:
                    raise RunError(
                        f"the environment of the task {task!r} has the {name} {space}, the pipeline's {default_space}"
                    )
            self._variants[key] = variant
        return self._variants[key]
