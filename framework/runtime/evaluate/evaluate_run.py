"""Evaluations after training: of a run's policy, or of a function, in the environment of a pipeline or another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import pipeline as pipelines
from framework.catalog import find_function
from framework.errors import FrameworkError, RunError
from framework.pipeline.build import build_environment
from framework.pipeline.document import differences, restrict
from framework.runtime.data.seeds import evaluation_seed
from framework.runtime.disk.load_run import load_run
from framework.runtime.disk.manifest import read_manifest
from framework.runtime.disk.trust import check
from framework.runtime.evaluate.agent import Acting, Agent, load_agent
from framework.runtime.evaluate.evaluate import Act, Evaluation, Watcher, evaluate
from framework.runtime.evaluate.scripted import ObservedEnvironments, Scripted
from framework.runtime.evaluate.video import VideoWriter, draw_off_screen, frames_per_second
from framework.runtime.rollout.environments import close_environment, make_environment

if TYPE_CHECKING:
    from framework.interfaces import EnvironmentFactory
    from framework.pipeline.sections import Pipeline

#: What an evaluation reads of a pipeline.
_READ = ("environment", "evaluation")
_WHY = "an evaluation changes nothing of what was trained: only [environment] and [evaluation] can be overridden"
#: Where the pipeline has no evaluations.
_EPISODES = 20


def evaluate_run(
    target: Path,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    policy: str | None = None,
    checkpoint: str = "best",
    episodes: int | None = None,
    seed: int | None = None,
    stochastic: bool = False,
    tasks: Sequence[Any] | None = None,
    video: Path | None = None,
    trust: bool = False,
    watcher: Watcher | None = None,
) -> Evaluation:
    """Play episodes with the policy of a run directory, or with the function that ``policy`` names.

    Args:
        target: a run directory; or, with ``policy``, a pipeline file.
        overrides: of ``[environment]`` and ``[evaluation]``.
        policy: ``module:function``; the module is looked for beside the pipeline file first. See `Scripted`.
        checkpoint: of the run: ``"best"``, ``"last"``, or its name.
        episodes: how many; by default as many as the pipeline's own evaluations have.
        seed: of the episodes; by default that of the pipeline's own evaluations.
        stochastic: whether actions are sampled.
        tasks: played in turn; by default the pipeline's own.
        video: a file that the episodes are written to.
        trust: import the Python files that the run names, as for `framework.load_run`.
        watcher: hears after each step how many episodes are finished, of how many, and which step it was.

    Raises `FrameworkError` where anything is wrong, such as an environment that the policy was not trained for.
    """
    pipeline = load(target, overrides, trust=trust)
    settings = pipeline.evaluation
    if video is not None:
        draw_off_screen()
    episodes_seed = evaluation_seed(pipeline.run.seed) if seed is None else seed
    environment = component = build_environment(pipeline, render_mode="rgb_array" if video else None)
    act: Act
    if policy is not None:
        if target.is_dir() and not trust:
            check(target, read_manifest(target), [policy])
        environment = observed = ObservedEnvironments(component)
        act = Scripted(find_function(policy, pipeline.directory), f"policy {policy}", observed, episodes_seed)
    elif target.is_dir():
        agent = load_agent(target, checkpoint, trust=trust)
        _check_spaces(target, agent, environment)
        act = Acting(agent.policy, episodes_seed, settings.deterministic and not stochastic)
    else:
        raise FrameworkError(f"{target} has no trained policy: name a run directory, or a function as the policy")
    with ExitStack() as stack:
        record = None
        if video is not None:
            record = stack.enter_context(VideoWriter(video, frames_per_second(component))).add
        return evaluate(
            act,
            environment,
            episodes or settings.episodes or _EPISODES,
            episodes_seed,
            tasks=settings.tasks if tasks is None else tasks,
            record=record,
            watcher=watcher,
        )


def load(target: Path, overrides: Sequence[str] | Mapping[str, Any] = (), *, trust: bool = False) -> Pipeline:
    """The pipeline of a run directory or a file, with overrides of what an evaluation reads."""
    restrict(overrides, _READ, _WHY)
    return load_run(target, overrides, trust=trust) if target.is_dir() else pipelines.load(target, overrides)


def check_seeds_of_one_pipeline(runs: Sequence[Path], *, trust: bool = False) -> None:
    """Raise `FrameworkError` where runs do not differ in their seeds, or differ in what is learned."""
    first, *rest = (load_run(run, trust=trust) for run in runs)
    seeds = {first.run.seed: runs[0]}
    for run, pipeline in zip(runs[1:], rest, strict=True):
        different = sorted(differences(_learned(first), _learned(pipeline)))
        if different:
            raise FrameworkError(f"{runs[0]} and {run} are no runs of one pipeline: {', '.join(different)} differ")
        if pipeline.run.seed in seeds:
            raise FrameworkError(f"{seeds[pipeline.run.seed]} and {run} are runs with the same seed")
        seeds[pipeline.run.seed] = run


def _check_spaces(run: Path, agent: Agent, environment: EnvironmentFactory) -> None:
    example = make_environment(environment)
    try:
        for attribute in ("observation_space", "action_space"):
            space, trained_space = getattr(example, attribute), getattr(agent, attribute)
            if space != trained_space:
                raise RunError(
                    f"the policy of {run} cannot act here: it was trained with the {attribute.replace('_', ' ')}"
                    f" {trained_space}, and this environment has {space}"
                )
    finally:
        close_environment(example, "environment")


def _learned(pipeline: Pipeline) -> dict[str, Any]:
    """What a pipeline says about what is learned, less the seed."""
    values = pipeline.to_plain()
    for section in ("runtime", "checkpoint", "evaluation", "callback", "requires"):
        values.pop(section, None)
    return values | {"run": {"total_steps": pipeline.run.total_steps}}
