"""Check a pipeline file, or print it fully resolved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import click

from framework.commands._completion import complete_components, complete_files, complete_overrides
from framework.commands._duration import Duration
from framework.errors import EXIT_DONE, EXIT_PLUGIN, EXIT_USAGE, FrameworkError, PipelineError, PluginError, Problem
from framework.hookspecs import CONTRACTS

if TYPE_CHECKING:
    from framework.interfaces import Bonus, Context
    from framework.pipeline import Pipeline
    from framework.pipeline.document import Document


@click.command()
@click.argument("file", metavar="[PIPELINE]", required=False, shell_complete=complete_files)
@click.argument("overrides", nargs=-1, shell_complete=complete_overrides)
@click.option("--show", is_flag=True, help="Print the resolved pipeline and the origin of each value.")
@click.option("--build", is_flag=True, help="Also make the environment and build every component.")
@click.option(
    "--component",
    metavar="NAME",
    shell_complete=complete_components,
    help="Instead of a pipeline, check that a component meets the contract of its kind; the arguments are its options.",
)
@click.option(
    "--kind", type=click.Choice(CONTRACTS), help="The kind of the component, where its name does not determine it."
)
@click.option(
    "--patience",
    type=Duration(),
    metavar="DURATION",
    help="How long the engine of a launcher may take for what it is asked for, such as 5m (default 1m).",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(
    file: str | None,
    overrides: tuple[str, ...],
    show: bool,
    build: bool,
    component: str | None,
    kind: str | None,
    patience: float | None,
    as_json: bool,
) -> int:
    """Check the pipeline file PIPELINE, and print all problems at once.

    OVERRIDES are dotted keys with TOML values, such as algorithm.learning_rate=1e-4. A string that is
    one word needs no quotes (run.name=second); any other does (run.name='"my second"').

    With --component, such as acme/fancy or my_file:MyEncoder, the conformance checks of its kind are run, the same as
    those of `framework.testing` for pytest; OVERRIDES are options of the component, such as width=8.
    """
    if component is not None:
        if show or build:
            raise click.UsageError("--show and --build are for pipelines, not for --component")
        from framework.commands._component import check_component

        return check_component(component, kind, [file, *overrides] if file else [], patience=patience, as_json=as_json)
    if file is None:
        raise click.UsageError("name a pipeline file, or a component with --component")
    if kind is not None or patience is not None:
        raise click.UsageError("--kind and --patience are for --component")
    from framework.pipeline import load_document

    try:
        pipeline, document = load_document(file, overrides)
        if build and (problems := list(_build(pipeline))):
            raise document.located(PipelineError(problems), file)
    except PipelineError as error:
        if not as_json:
            raise
        import json

        click.echo(
            json.dumps({"valid": False, "problems": [problem._asdict() for problem in error.problems]}, indent=2)
        )
        return error.exit_code
    if as_json:
        import json

        origins = {path: origin for _, path, origin in _shown(pipeline, document) if path}
        values = {"valid": True, "problems": [], "pipeline": pipeline.to_plain(), "origins": origins}
        click.echo(json.dumps(values, indent=2))
    elif show:
        lines = list(_shown(pipeline, document))
        width = min(60, max(len(text) for text, path, _ in lines if path))
        for text, path, origin in lines:
            click.echo(f"{text:{width}}  # {origin}" if path else text)
    else:
        parts = (pipeline.environment, pipeline.encoder, pipeline.algorithm, *pipeline.bonuses)
        click.echo(f"{file} is valid: {', '.join(part.use for part in parts)}")
    return EXIT_DONE


def _shown(pipeline: Pipeline, document: Document) -> Iterator[tuple[str, str, str]]:
    """The lines of the resolved pipeline: text, dotted key (empty for headers), origin."""
    from framework.pipeline.toml import written_lines

    for text, path in written_lines(pipeline.to_plain()):
        yield text, path, str(document.origins.get(path, "default"))


def _build(pipeline: Pipeline) -> Iterator[Problem]:
    """The problems that appear when everything is made that a run begins with."""
    from framework.callbacks import CallbackContext
    from framework.pipeline.build import build
    from framework.runtime.learn.interrupt import Interrupt
    from framework.runtime.learn.prepare import prepare

    problems = list(_build_components(pipeline))
    for index, callback in enumerate(pipeline.callbacks):
        try:
            build(callback, CallbackContext(pipeline.directory))
        except Exception as error:
            problems += _problems(error, f"callback.{index}")
    if not problems:  # each for itself: now all of them together, as a run makes them
        try:
            prepare(pipeline, Interrupt()).worker.close()
        except Exception as error:
            problems += _problems(error, "algorithm")
    yield from problems


def _build_components(pipeline: Pipeline) -> Iterator[Problem]:
    """The problems of the environment, and of each component that is built for it."""
    import numpy as np

    from framework.pipeline.build import build, build_environment, make_context
    from framework.runtime.rollout.make_vector import check_restart, make_vector

    try:
        environment = build_environment(pipeline)
        if pipeline.runtime.on_environment_error == "restart":
            check_restart(environment)
        vector = make_vector(environment, 1)
    except Exception as error:
        yield from _problems(error, "environment")
        return
    with closing(vector):
        try:
            vector.reset(np.zeros(1, np.int64), [pipeline.run.seed], [None])
        except Exception as error:
            yield from _problems(error, "environment")
            return
        if vector.action_mask is not None and "action_mask" not in pipeline.algorithm.component.supports:
            name = pipeline.algorithm.use
            yield Problem(f"it gives info['action_mask'], which {name} does not support", "environment")
        context = make_context(pipeline, vector.observation_space, vector.action_space, "cpu", tell=lambda _: None)
        single = {"algorithm": pipeline.algorithm, "curriculum": pipeline.curriculum, "replay": pipeline.replay}
        for path, component in single.items():
            try:
                if component is not None:
                    build(component, context)
            except Exception as error:
                yield from _problems(error, path)
        for index, bonus in enumerate(pipeline.bonuses):
            try:
                _use_bonus(build(bonus, context), context)
            except Exception as error:
                yield from _problems(error, f"bonus.{index}")


def _use_bonus(bonus: Bonus, context: Context) -> None:
    """One update with made-up experience, and a state that can be saved and restored after it."""
    from framework.runtime.disk import checkpoint
    from framework.testing.experience import Experience

    bonus.update(next(Experience(context)))
    bonus.load_state_dict(checkpoint.decode(checkpoint.encode(bonus.state_dict())))


def _problems(error: Exception, path: str) -> Iterator[Problem]:
    """An exception out of the component at ``path``, as problems of the pipeline."""
    if isinstance(error, PipelineError):
        kind = path.partition(".")[0]
        for problem in error.problems:
            yield problem._replace(path=path if problem.path in (None, kind) else problem.path)
    elif isinstance(error, FrameworkError):
        yield Problem(str(error), path, exit_code=EXIT_PLUGIN if isinstance(error, PluginError) else EXIT_USAGE)
    else:
        from framework.plugins import describe, traceback_of

        yield Problem(f"{describe(error)}\n{traceback_of(error)}", path, exit_code=EXIT_PLUGIN)
