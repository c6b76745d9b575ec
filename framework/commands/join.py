"""Make, list and revoke the keys that other machines join a run with."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import click

from framework.commands._completion import complete_runs
from framework.commands._duration import Duration
from framework.pipeline.sections import LISTEN


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False, exists=True), shell_complete=complete_runs)
@click.option("--name", default="", metavar="NAME", help="Name of the new key; by default join-2 and so on.")
@click.option("--once", is_flag=True, help="Let only one machine join with it.")
@click.option("--expires", type=Duration(), metavar="DURATION", help="How long machines may join with it, such as 1h.")
@click.option("--at", "address", metavar="HOST:PORT", help="Where they reach the learner, if not where it listens.")
@click.option(
    "--revoke",
    metavar="NAME",
    help="Revoke a key, and disconnect who has joined with it.",
)
@click.option("--list", "listing", is_flag=True, help="List the keys.")
def command(
    run: Path, name: str, once: bool, expires: float | None, address: str | None, revoke: str | None, listing: bool
) -> None:
    """Make a key that another machine may join RUN with, and print its token.

    RUN is the directory of a run that listens (framework run --listen). Its file RUN/join has a token already; more
    are for those who should be told apart, or have less time. Pass a token on as a file or over a pipe, such as
    framework join RUN | ssh HOST framework sampler --join -
    """
    from framework.runtime.link.keys import Keys

    if address is not None and not _names_a_place(address):
        raise click.BadParameter(f"{address!r} must be HOST:PORT, such as example.org:5555", param_hint="--at")
    keys = Keys(run)
    if revoke is not None:
        keys.revoke(revoke)
        click.echo(f"{revoke} is revoked")
    elif listing:
        for client_name, client in keys.clients().items():
            click.echo(describe(client_name, client))
    else:
        endpoint = None if address is None else f"tcp://{address}"
        lifetime = None if expires is None else timedelta(seconds=expires)
        click.echo(str(keys.issue(name, once=once, expires=lifetime, endpoint=endpoint)))


def _names_a_place(address: str) -> bool:
    """Whether an address has a host and a port; it need not be known here."""
    match = re.fullmatch(LISTEN, address)
    return match is not None and match[1] is not None and 0 < int(match[2]) <= 65535


def describe(name: str, client: dict[str, object]) -> str:
    """A key in one line."""
    parts = [name, f"made {str(client['created'])[:16]}Z"]
    if client["once"]:
        parts.append("for one machine")
    if client["expires"]:
        parts.append(f"until {str(client['expires'])[:16]}Z")
    holders = client.get("holders")
    parts.append(f"used {len(holders) if isinstance(holders, list) else 0} times")
    if client.get("revoked"):
        parts.append("revoked")
    return "  ".join(parts)
