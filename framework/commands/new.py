"""Create a component, as a package or a single file, or a pipeline file for an environment."""

from __future__ import annotations

from pathlib import Path

import click

from framework.hookspecs import CONTRACTS

#: What is no component, but can be created too.
PIPELINE = "pipeline"


@click.command()
@click.argument("kind", type=click.Choice([*CONTRACTS, PIPELINE]), metavar="KIND")
@click.argument("name")
@click.option("--here", is_flag=True, help='Write one file into this folder, for use = "my_file:MyEncoder".')
@click.option("--diff", is_flag=True, help="Write nothing; show how existing files differ from the templates.")
@click.option(
    "--environment",
    metavar="ID",
    help="For a pipeline: a registered id such as CartPole-v1, the name of a component, or module:Class.",
)
@click.option("--algorithm", metavar="NAME", help="For a pipeline: another algorithm than ppo.")
def command(kind: str, name: str, here: bool, diff: bool, environment: str | None, algorithm: str | None) -> None:
    """Create a component of KIND (environment, encoder, algorithm, bonus, curriculum, replay, launcher or callback).

    With KIND pipeline, write NAME.toml: a pipeline for an environment, with settings chosen from its spaces.

    NAME is such as my_bonus, or plugin/my_bonus. The component works as it is: change it step by step, and run its
    tests after each step. A newer framework may bring newer templates: --diff, with the same arguments, shows the
    changes.
    """
    if kind == PIPELINE:
        _new_pipeline(name, environment, algorithm, for_components=here or diff)
        return
    if environment is not None or algorithm is not None:
        raise click.UsageError("--environment and --algorithm are for a pipeline: framework new pipeline NAME")
    from framework.commands._scaffold import changes, names, render, table, write

    component = names(kind, name, here=here)
    files = render(component)
    folder = Path() if here else Path(component.distribution)
    if diff:
        difference = "".join(changes(files, folder))
        click.echo(difference, nl=False)
        if not difference:
            place = f"{folder}/" if len(files) > 1 else next(iter(files))
            click.echo(f"nothing differs: {place} is as the templates have it", err=True)
        return
    write(files, folder)
    for path in files:
        click.echo(f"wrote {folder / path}")
    if here:
        use = _override(kind, component.use)
        commands = [
            f"framework check --component {component.use} --kind {kind}",
            f"framework check PIPELINE.toml {use} --build",
            f"framework run PIPELINE.toml {use}",
        ]
        click.echo(f"\nIn a pipeline file in this folder:\n\n{table(component)}")
    else:
        commands = [f"cd {folder} && pip install -e '.[test]'", "pytest", "framework run example.toml"]
    click.echo("\nNext:\n\n" + "\n".join(f"  {line}" for line in commands))


def _new_pipeline(name: str, environment: str | None, algorithm: str | None, *, for_components: bool) -> None:
    if for_components:
        raise click.UsageError("--here and --diff are for components, not for a pipeline")
    if environment is None:
        raise click.UsageError("name the environment of the pipeline, such as --environment CartPole-v1")
    from framework.commands._new_pipeline import write_pipeline

    path = write_pipeline(name, environment, algorithm)
    click.echo(f"wrote {path}\n\nNext:\n\n  framework check {path} --build\n  framework run {path}")


def _override(kind: str, use: str) -> str:
    """What has a pipeline use the component, on a command line."""
    if kind in ("bonus", "callback"):
        return f"{kind}='[{{use = \"{use}\"}}]'"
    if kind == "launcher":
        return f"runtime.launcher='{{use = \"{use}\"}}' runtime.listen='\"127.0.0.1:0\"'"
    return f"{kind}.use={use}"
