"""Environments registered with Gymnasium."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from framework.errors import PipelineError, PluginError, Problem
from framework.interfaces import EnvironmentContext
from framework.schema import suggest
from framework_gymnasium import mujoco, wrappers
from framework_gymnasium.config import GymnasiumConfig
from framework_gymnasium.tasks import TaskAttribute

#: Prefix of an id -> the packages that register it, the last one by being imported, and the extra that installs them.
_PROVIDERS = {
    "MiniGrid-": (("minigrid",), "minigrid"),
    "BabyAI-": (("minigrid",), "minigrid"),
    "ALE/": (("ale_py",), "atari"),
    "dm_control/": (("dm_control", "shimmy"), "dm-control"),
}
#: Module of an environment of Gymnasium's own -> the extra that installs what it needs.
_EXTRAS = {"gymnasium.envs.box2d": "box2d", mujoco.MODULE: "mujoco"}


class GymnasiumEnvironment:
    """Any environment registered with Gymnasium.

    Raises `PipelineError` for an unknown id, wrapper or argument, and `PluginError` where a package is missing.
    """

    def __init__(self, config: GymnasiumConfig, context: EnvironmentContext):
        if config.id.startswith(("MiniGrid-", "BabyAI-")) and not config.wrappers:
            raise fault("use", f'{config.id} shows a text, which is no array: use = "minigrid" leaves it out')
        self.native = config.native
        self._config = config
        self._context = context
        self._spec = find_spec(config.id)
        self._wrappers = find_wrappers(config.wrappers)
        if config.native and self._spec.vector_entry_point is None:
            raise fault("native", f"{config.id} has no vector version of its own: leave it out")

    def make(self) -> gymnasium.Env[Any, Any]:
        """One environment, with its wrappers, and its tasks outermost."""
        environment = make(self._spec, self._arguments())
        for index, wrap in enumerate(self._wrappers):
            try:
                environment = wrap(environment)
            except (AssertionError, TypeError, ValueError) as error:
                raise fault(f"wrappers.{index}", f"it cannot wrap {self._config.id}: {error}") from error
        if self._config.task_attribute is None:
            return environment
        try:
            return TaskAttribute(environment, self._config.task_attribute)
        except ValueError as error:
            raise fault("task_attribute", str(error)) from error

    def make_vector(self, count: int) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
        """The environment's own vector version."""
        arguments = self._arguments()
        return called_with(
            arguments,
            lambda: gymnasium.make_vec(self._spec, count, vectorization_mode="vector_entry_point", **arguments),
        )

    def _arguments(self) -> dict[str, Any]:
        arguments = {"max_episode_steps": self._config.max_episode_steps, "render_mode": self._context.render_mode}
        return self._config.kwargs | {name: value for name, value in arguments.items() if value is not None}


def find_spec(id: str) -> EnvSpec:
    """The registration of an id; imports the package that registers it."""
    module, _, name = id.rpartition(":")
    if module:
        import_package(module, None, id)
    else:
        providers = (provider for prefix, provider in _PROVIDERS.items() if id.startswith(prefix))
        packages, extra = next(providers, ((), None))
        for package in packages:
            import_package(package, extra, id)
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error as error:
        guess = suggest(name, gymnasium.registry)
        advice = f"did you mean {guess}?" if guess else "is the package that registers it named, as in module:Id-v0?"
        if game := atari_game(name):
            advice = f'for the Atari game: use = "atari", game = "{game}"'
        raise fault("id", f"Gymnasium knows no environment {name}; {advice}") from error


def atari_game(name: str) -> str:
    """The Atari game that an id such as Pong-v5 or PongNoFrameskip-v4 means, in snake case; empty where it is none."""
    try:
        ale = importlib.import_module("ale_py")
    except ModuleNotFoundError:
        return ""
    words = re.sub(r"(NoFrameskip|Deterministic)?-v\d+$", "", name)
    game = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", words).lower()
    return game if game in ale.roms.get_all_rom_ids() else ""


def import_package(module: str, extra: str | None, needed_by: str) -> Any:
    """Import what ``needed_by`` needs, or say what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        if extra is None:
            raise fault("id", f"there is no module {module} to import") from error
        raise PluginError(f'{needed_by} needs the package {module}: pip install "framework-rl[{extra}]"') from error


def make(spec: EnvSpec, arguments: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """One environment of a registration, without the checker that warns in each step of what `Vector` refuses."""
    entry_point = str(spec.entry_point)
    is_mujoco = entry_point.startswith(mujoco.MODULE)
    if is_mujoco and arguments.get("render_mode") == "rgb_array":
        mujoco.draw_off_screen()
    try:
        with mujoco.compiled_quietly() if is_mujoco else nullcontext():
            return called_with(arguments, lambda: gymnasium.make(spec, disable_env_checker=True, **arguments))
    except gymnasium.error.DependencyNotInstalled as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, ModuleNotFoundError):
            raise PluginError(f"{spec.id} needs a package that cannot be imported: {cause}") from error
        extras = (extra for module, extra in _EXTRAS.items() if entry_point.startswith(module))
        extra = next(extras, None)
        advice = f'; that is pip install "framework-rl[{extra}]"' if extra else ""
        raise PluginError(f"{spec.id} needs a package that is missing: {error}{advice}") from error


def called_with(arguments: dict[str, Any], call: Callable[[], Any]) -> Any:
    """What ``call`` returns; an argument that it does not take is a mistake in the pipeline."""
    try:
        return call()
    except TypeError as error:
        unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unexpected is None or unexpected[1] not in arguments:
            raise
        raise fault(f"kwargs.{unexpected[1]}", "the environment does not take it") from error


def find_wrappers(chosen: Iterable[str | dict[str, Any]]) -> list[Callable[[gymnasium.Env[Any, Any]], Any]]:
    """Functions that wrap an environment, from what the option ``wrappers`` says.

    A name without a module is one of `framework_gymnasium.wrappers`, else of `gymnasium.wrappers`.
    """
    return [_wrapper(item, f"wrappers.{index}") for index, item in enumerate(chosen)]


def _wrapper(item: str | dict[str, Any], path: str) -> Callable[[gymnasium.Env[Any, Any]], Any]:
    arguments = dict(item) if isinstance(item, dict) else {"use": item}
    name = arguments.pop("use")
    module, _, attribute = name.rpartition(":")
    try:
        source = importlib.import_module(module) if module else _source(attribute)
    except ModuleNotFoundError as error:
        raise fault(path, f"there is no module {module} to import") from error
    wrapper = getattr(source, attribute, None)
    if not (isinstance(wrapper, type) and issubclass(wrapper, gymnasium.Wrapper)):
        names = getattr(source, "__all__", dir(source))
        guess = suggest(attribute, names if module else [*wrappers.__all__, *names])
        advice = f"; did you mean {guess}?" if guess else ""
        raise fault(path, f"{source.__name__} has no wrapper {attribute}{advice}")
    # TOML has no tuples, and Gymnasium takes shapes as nothing else.
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    return lambda environment: wrapper(environment, **arguments)


def _source(wrapper: str) -> ModuleType:
    return wrappers if wrapper in wrappers.__all__ else gymnasium.wrappers


def fault(option: str, message: str) -> PipelineError:
    """A mistake in the pipeline's section ``[environment]``."""
    return PipelineError([Problem(message, f"environment.{option}")])
