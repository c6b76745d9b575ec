"""Create a component: a package that installs and passes its tests, or a single file."""

from __future__ import annotations

from pathlib import Path

import click

from framework.hookspecs import CONTRACTS


@click.command()
@click.argument("kind", type=click.Choice(CONTRACTS), metavar="KIND")
@click.argument("name")
@click.option("--here", is_flag=True, help='Write one file into this folder, for use = "my_file:MyEncoder".')
@click.option("--diff", is_flag=True, help="Write nothing; show how existing files differ from the templates.")
def command(kind: str, name: str, here: bool, diff: bool) -> None:
    """Create a component of KIND (environment, encoder, algorithm, bonus, curriculum, replay, launcher or callback).

    NAME is such as my_bonus, or plugin/my_bonus. The component works as it is: change it step by step, and run its
    tests after each step. A newer framework may bring newer templates: --diff, with the same arguments, shows the
    changes.
    """
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


def _override(kind: str, use: str) -> str:
    """What has a pipeline use the component, on a command line."""
    if kind in ("bonus", "callback"):
        return f"{kind}='[{{use = \"{use}\"}}]'"
    if kind == "launcher":
        return f"runtime.launcher='{{use = \"{use}\"}}' runtime.listen='\"127.0.0.1:0\"'"
    return f"{kind}.use={use}"
