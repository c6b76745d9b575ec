"""Builds the components that a pipeline has chosen: here their code, and with it torch, is imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from framework.catalog import default_catalog, find_function
from framework.errors import FrameworkError, PipelineError, PluginError, Problem
from framework.foreign import foreign
from framework.interfaces import (
    Algorithm,
    Context,
    Curriculum,
    Encoder,
    EnvironmentContext,
    EnvironmentFactory,
    Policy,
    Replay,
    Stream,
)
from framework.pipeline.components import Chosen, as_table, choose
from framework.pipeline.pretrained import Tell, prepare
from framework.plugins import describe, traceback_of

if TYPE_CHECKING:
    from pathlib import Path

    import gymnasium

    from framework.pipeline.sections import Pipeline


def build(chosen: Chosen, context: Any) -> Any:
    """The component itself: its class called with its options (``None`` where it has none) and ``context``.

    Raises `PipelineError` where it refuses what the pipeline puts it together with (any `FrameworkError` of its
    own), and `PluginError` with the traceback where its code fails.
    """
    return _call(chosen, chosen.component.load(), context)


def _call(chosen: Chosen, function: Callable[[Any, Any], Any], context: Any) -> Any:
    try:
        with foreign():
            return function(chosen.config, context)
    except (PipelineError, PluginError):
        raise
    except FrameworkError as error:
        raise PipelineError([Problem(f"{chosen.use} cannot be built: {error}", chosen.kind)]) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: no component ends a run without a word
        name = f"{chosen.kind} {chosen.use!r} ({chosen.component.origin})"
        raise PluginError(f"{name} failed while it was built: {describe(error)}\n{traceback_of(error)}") from error


def build_environment(pipeline: Pipeline, *, seed: int = 0, render_mode: str | None = None) -> EnvironmentFactory:
    """The pipeline's environment component; its ``make`` gives the environments."""
    environment: EnvironmentFactory = build(
        pipeline.environment, EnvironmentContext(seed=seed, render_mode=render_mode)
    )
    return environment


def build_algorithm(
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    *,
    device: str,
    precision: str | None = None,
    tell: Tell | None = None,
) -> Algorithm:
    """The pipeline's algorithm for these spaces; it builds the encoder itself, through its context.

    ``precision`` is the pipeline's unless it is given. ``tell`` hears which weights of another run were loaded; without
    it none are.
    """
    context = make_context(pipeline, observation_space, action_space, device, precision, tell)
    algorithm: Algorithm = build(pipeline.algorithm, context)
    return algorithm


def build_policy(
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    *,
    precision: str | None = None,
) -> Policy:
    """What the pipeline's algorithm acts with, on a CPU, ready to act; nothing else of the algorithm is made.

    ``precision`` is the pipeline's unless it is given.
    """
    return make_policy(pipeline.algorithm, make_context(pipeline, observation_space, action_space, "cpu", precision))


def make_policy(algorithm: Chosen, context: Context) -> Policy:
    """See `framework.interfaces.Algorithm.make_policy`; in evaluation mode. Raises as `build` does."""
    door = getattr(algorithm.component.load(), "make_policy", None)
    if door is None:
        raise PluginError(
            f"algorithm {algorithm.use!r} ({algorithm.component.origin}) has no static method"
            " make_policy(config, context), which gives what samplers act with: see framework.interfaces.Algorithm"
        )
    policy: Any = _call(algorithm, door, evolve(context, make_streams=None, make_replay=None))
    ready: Policy = policy.eval()
    return ready


def build_curriculum(
    pipeline: Pipeline, observation_space: Mapping[str, gymnasium.Space[Any]], action_space: gymnasium.Space[Any]
) -> Curriculum | None:
    """The pipeline's curriculum; None where it has none."""
    if pipeline.curriculum is None:
        return None
    curriculum: Curriculum = build(pipeline.curriculum, make_context(pipeline, observation_space, action_space, "cpu"))
    return curriculum


def make_context(
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    device: str,
    precision: str | None = None,
    tell: Tell | None = None,
) -> Context:
    """What components may know: flat observation space, action space, and the pipeline's sizes."""
    context = Context(
        observation_space=observation_space,
        action_space=action_space,
        seed=pipeline.run.seed,
        device=device,
        num_envs=pipeline.sampling.environments,
        rollout_length=pipeline.sampling.rollout_length,
        total_steps=pipeline.run.total_steps,
        offline_steps=pipeline.run.offline_steps,
        directory=pipeline.directory,
        policy_lag=pipeline.sampling.policy_lag,
        precision=precision or pipeline.runtime.precision,
        compile=pipeline.runtime.compile,
        bonuses=stream_names(pipeline),
    )

    def prepared(chosen: Chosen, encoder_context: Context) -> Encoder:
        encoder: Encoder = build(chosen, encoder_context)
        prepare(encoder, chosen.kernel, pipeline.directory, tell)
        return encoder

    def make_encoder(encoder_context: Context | None = None) -> Encoder:
        return prepared(pipeline.encoder, encoder_context or context)

    def make_trainable_encoder(encoder_context: Context | None = None) -> Encoder:
        encoder: Encoder = build(pipeline.encoder, encoder_context or context)
        return encoder

    def make_part(part: str | Mapping[str, Any], part_context: Context) -> Encoder:
        return prepared(_choose("encoder", part, "encoder", pipeline.directory), part_context)

    def make_streams() -> list[Stream]:
        # A bonus trains an encoder of its own, also where the policy's is frozen.
        bonus_context = evolve(context, make_encoder=make_trainable_encoder)
        return [
            Stream(name, build(bonus, bonus_context), bonus.kernel.weight, bonus.kernel.discount)
            for name, bonus in zip(context.bonuses, pipeline.bonuses, strict=True)
        ]

    def make_replay() -> Replay:
        replay: Replay = build(pipeline.replay, context)  # type: ignore[arg-type]
        return replay

    # The functions build with this one too: encoders have parts, and bonuses have encoders.
    context = evolve(
        context,
        make_encoder=make_encoder,
        make_part=make_part,
        find_function=partial(find_function, directory=pipeline.directory),
        make_streams=make_streams,
        make_replay=None if pipeline.replay is None else make_replay,
    )
    return context


def stream_names(pipeline: Pipeline) -> tuple[str, ...]:
    """What the reward streams of the bonuses are called, in their order."""
    return _distinct(bonus.use for bonus in pipeline.bonuses)


def choose_launcher(part: str | Mapping[str, Any], path: str, directory: Path) -> Chosen:
    """The launcher that an option, at ``path``, names. Raises `PipelineError` with everything that is wrong with it."""
    return _choose("launcher", part, path, directory)


def _choose(kind: str, part: str | Mapping[str, Any], path: str, directory: Path) -> Chosen:
    """The component that an option names; PipelineError with everything that is wrong with it."""
    chosen, problems = choose(kind, as_table(part), path, directory=directory, catalog=default_catalog())
    if chosen is None:
        raise PipelineError(problems)
    return chosen


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The last part of each name, with a number where that has come before: ``rnd``, ``rnd_2``."""
    distinct: list[str] = []
    for name in names:
        short = re.split("[/:.]", name)[-1]
        namesakes = sum(re.fullmatch(rf"{short}(_\d+)?", earlier) is not None for earlier in distinct)
        distinct.append(f"{short}_{namesakes + 1}" if namesakes else short)
    return tuple(distinct)
