"""Builds the components that a pipeline has chosen: here their code, and with it torch, is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from framework.errors import FrameworkError, PipelineError, PluginError, Problem
from framework.interfaces import Algorithm, Bonus, Context, Encoder, Environment, EnvironmentContext, Replay
from framework.pipeline.components import Chosen
from framework.plugins import describe, traceback_of

if TYPE_CHECKING:
    import gymnasium

    from framework.pipeline.sections import Pipeline


def build(chosen: Chosen, context: Any) -> Any:
    """The component itself: its class called with its options (``None`` where it has none) and ``context``.

    Raises `PipelineError` where it refuses what the pipeline puts it together with (any `FrameworkError` of its
    own), and `PluginError` with the traceback where its code fails.
    """
    cls = chosen.component.load()
    try:
        return cls(chosen.config, context)
    except (PipelineError, PluginError):
        raise
    except FrameworkError as error:
        raise PipelineError([Problem(f"{chosen.use} cannot be built: {error}", chosen.kind)]) from error
    except Exception as error:
        name = f"{chosen.kind} {chosen.use!r} ({chosen.component.origin})"
        raise PluginError(f"{name} failed while it was built: {describe(error)}\n{traceback_of(error)}") from error


def build_environment(pipeline: Pipeline, *, seed: int = 0, render_mode: str | None = None) -> Environment:
    """The pipeline's environment component; its ``make`` gives the environments."""
    environment: Environment = build(pipeline.environment, EnvironmentContext(seed=seed, render_mode=render_mode))
    return environment


def build_algorithm(
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    *,
    device: str,
    precision: str | None = None,
) -> Algorithm:
    """The pipeline's algorithm for these spaces; it builds the encoder itself, through its context.

    ``precision`` is the pipeline's unless it is given.
    """
    context = make_context(pipeline, observation_space, action_space, device, precision)
    algorithm: Algorithm = build(pipeline.algorithm, context)
    return algorithm


def make_context(
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    device: str,
    precision: str | None = None,
) -> Context:
    """What components may know: flat observation space, action space, and the pipeline's sizes."""
    context = Context(
        observation_space=observation_space,
        action_space=action_space,
        seed=pipeline.run.seed,
        device=device,
        environments=pipeline.sampling.environments,
        rollout_length=pipeline.sampling.rollout_length,
        total_steps=pipeline.run.total_steps,
        policy_lag=pipeline.sampling.policy_lag,
        precision=precision or pipeline.runtime.precision,
    )

    def make_encoder() -> Encoder:
        encoder: Encoder = build(pipeline.encoder, context)
        return encoder

    def make_bonuses() -> list[tuple[Bonus, float]]:
        return [(build(chosen, context), chosen.weight) for chosen in pipeline.bonuses]

    def make_replay() -> Replay | None:
        return None if pipeline.replay is None else build(pipeline.replay, context)

    return evolve(context, make_encoder=make_encoder, make_bonuses=make_bonuses, make_replay=make_replay)
