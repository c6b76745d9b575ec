"""Write a trained policy to a file that needs no framework: ONNX, or a torch.export program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN")
@click.option("--onnx", type=_FILE, help="Write an ONNX file here (extra: export).")
@click.option("--torch", type=_FILE, help="Write a torch.export program here.")
@click.option("--checkpoint", default="best", show_default=True, help='"best", "last", or the name of a checkpoint.')
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0.0),
    default=1e-4,
    show_default=True,
    help="Largest difference of real numbers to the policy itself, relative to those larger than 1.",
)
@click.option("--trust", is_flag=True, help="Import Python files that RUN names, even if another account made it.")
def command(run: Path, checkpoint: str, tolerance: float, trust: bool, **paths: Path | None) -> None:
    """Write the policy of RUN, a run directory, to files.

    They take observations by name, in batches of any size, and the memory of the step before where the policy has one;
    they give the most probable actions, and what is needed to sample others. Each is run and held against the policy
    before it is written.
    """
    files = {name: path for name, path in paths.items() if path is not None}
    if not files:
        raise click.UsageError("name a file: --onnx FILE, --torch FILE, or both")
    from framework.export.export_run import export_run

    for exported in export_run(run, files, checkpoint, tolerance=tolerance, trust=trust):
        agreement = exported.agreement
        click.echo(f"wrote {exported.path}, {exported.bytes / 1000:,.0f} kB")
        click.echo(f"inputs   {_listed(exported.inputs)}")
        click.echo(f"outputs  {_listed(exported.outputs)}")
        ties = f", {agreement.ties} ties decided otherwise" if agreement.ties else ""
        click.echo(
            f"agrees with the policy on {agreement.rows} random observations: the same actions{ties}, and numbers"
            f" that differ by at most {agreement.largest:.2g}"
        )


def _listed(arrays: Mapping[str, np.ndarray]) -> str:
    return ", ".join(
        f"{name} {array.dtype}[{', '.join(['batch', *map(str, array.shape[1:])])}]" for name, array in arrays.items()
    )
