"""Have an engine, such as a cluster, keep samplers at work for a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framework.commands._completion import complete_launch
from framework.errors import RunError

if TYPE_CHECKING:
    from framework.runtime.launch.launch import Launch


@click.command()
@click.argument("names", nargs=-1, metavar="[LAUNCHER] RUN [OPTIONS]...", shell_complete=complete_launch)
@click.option("--samplers", type=click.IntRange(1), metavar="NUMBER", help="Total number of samplers.")
@click.option("--workers", type=click.IntRange(1), metavar="NUMBER", help="Samplers per host (default 1).")
@click.option("--dry-run", is_flag=True, help="Print what the engine would be given, and start nothing.")
@click.option("--status", "status", is_flag=True, help="Print the status of each host.")
@click.option("--scale", type=click.IntRange(1), metavar="NUMBER", help="Change the total number of samplers.")
@click.option("--stop", is_flag=True, help="End the samplers, and the key that they joined with.")
@click.option("--trust", is_flag=True, help="Import Python files that RUN names, even if another account made it.")
def command(
    names: tuple[str, ...],
    samplers: int | None,
    workers: int | None,
    dry_run: bool,
    status: bool,
    scale: int | None,
    stop: bool,
    trust: bool,
) -> None:
    """Have an engine keep samplers at work for RUN, a run that listens on a network (framework run --listen).

    LAUNCHER is the name of a launcher, as framework plugins lists them; OPTIONS are dotted keys with TOML values, as
    framework plugins LAUNCHER tells them. With --status, --scale and --stop it may be left out.

    The engine places the samplers, and starts them again where they end; what they collect goes straight to the
    learner. It needs the framework and the plugins on its machines.
    """
    if sum((status, stop, scale is not None)) > 1:
        raise click.UsageError("--status, --scale and --stop exclude one another")
    if status or stop or scale is not None:
        if samplers is not None or workers is not None or dry_run:
            raise click.UsageError("--samplers, --workers and --dry-run are for starting samplers")
        name, run = _started(names)
        for launch in _find(run, name, {} if scale is None else {"samplers": scale}, several=status, trust=trust):
            _change(launch, status, stop)
        return
    if len(names) < 2:
        raise click.UsageError("name a launcher and a run")
    if samplers is None:
        raise click.UsageError("say how many: --samplers NUMBER")
    placement = {"samplers": samplers} | ({} if workers is None else {"workers": workers})
    launch = _new(names[0], _run(names[1]), placement, names[2:])
    if dry_run:
        click.echo(launch.plan(), nl=False)
        return
    launch.start()
    click.echo(f"{launch.name} keeps {launch.samplers} samplers at work; see framework launch --status {names[1]}")


def _started(names: Sequence[str]) -> tuple[str | None, Path]:
    if len(names) not in (1, 2):
        raise click.UsageError("name a run, and its launcher where it has several")
    return (names[0] if len(names) == 2 else None), _run(names[-1])


def _run(name: str) -> Path:
    if not Path(name, "pipeline.toml").is_file():
        raise click.BadParameter(f"{name!r} is no run directory", param_hint="RUN")
    return Path(name)


def _find(run: Path, name: str | None, changes: dict[str, Any], *, several: bool, trust: bool) -> Iterator[Launch]:
    """The launches of this name, or all. Raises `RunError` where there is none, or more than can be meant."""
    from framework.runtime.launch.launch import Launch

    started = Launch.names(run)
    meant = [started_name for started_name in started if name in (None, started_name)]
    if not meant:
        raise RunError(f"{run} has no launch{f' by {name}' if name else ''}; it has: {', '.join(started) or 'none'}")
    if len(meant) > 1 and not several:
        raise RunError(f"{run} has several launches, so name the one that is meant: {', '.join(started)}")
    for meant_name in meant:
        yield from Launch.started(run, meant_name, trusted=trust, **changes)


def _change(launch: Launch, status: bool, stop: bool) -> None:
    from framework.commands._table import table

    if stop:
        launch.stop()
        click.echo(f"{launch.name} has ended its samplers")
    elif status:
        hosts = launch.status()
        click.echo(f"{launch.name}: {launch.samplers} samplers")
        header = ("host", "state", "on", "last exit code", "starts")
        lines = [
            (host.name, host.state, host.place, "" if host.status is None else str(host.status), str(host.starts or ""))
            for host in hosts
        ]
        click.echo(table([header, *lines], "  "))
    else:
        launch.start()
        click.echo(f"{launch.name} keeps {launch.samplers} samplers at work")


def _new(name: str, run: Path, placement: dict[str, Any], options: Sequence[str]) -> Launch:
    from framework.commands._component import options_of
    from framework.runtime.launch.launch import Launch

    return Launch(run, {**options_of(options), "use": name, **placement}, "launcher", Path.cwd())
