"""The pipeline of a run that is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework import pipeline
from framework.pipeline.sections import Pipeline
from framework.runtime.disk.manifest import read_manifest
from framework.runtime.disk.trust import check, texts


def load_run(run: str | Path, overrides: Sequence[str] | Mapping[str, Any] = (), *, trust: bool = False) -> Pipeline:
    """The pipeline of a run directory.

    Args:
        run: a run directory.
        overrides: as in `framework.load`.
        trust: import the Python files that it names, even if the run was not made by this account on this machine.

    Raises `RunError` where such files are named and not trusted, or the directory is not one of a run.
    """
    run = Path(run)
    manifest = read_manifest(run)
    file = run / "pipeline.toml"
    if not trust:
        check(run, manifest, texts(pipeline.read(file, overrides).values))
    return pipeline.load(file, overrides, directory=Path(manifest["base_directory"]))
