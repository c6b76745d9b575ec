"""Pipeline files: ``pipeline.toml`` -> typed values -> built components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from framework.catalog import Catalog, default_catalog
from framework.errors import PipelineError
from framework.pipeline.document import OVERRIDE, Document, read
from framework.pipeline.sections import Pipeline, resolve
from framework.pipeline.toml import to_toml

__all__ = ["Pipeline", "load", "load_document", "read", "to_toml"]


def load(
    path: str | Path,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    catalog: Catalog | None = None,
    directory: Path | None = None,
) -> Pipeline:
    """The pipeline in the file ``path``, with ``overrides`` such as ``"run.seed=2"`` or ``{"run.seed": 2}``.

    Files that it names components of are looked for in ``directory``, by default where the pipeline file is. Raises
    `PipelineError` with everything that is wrong, each problem with file and line.
    """
    return load_document(path, overrides, catalog, directory)[0]


def load_document(
    path: str | Path,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    catalog: Catalog | None = None,
    directory: Path | None = None,
) -> tuple[Pipeline, Document]:
    """As `load`, with the document that tells where each value comes from."""
    document = read(path, overrides)
    pipeline, unresolved = resolve(
        document.values, directory or Path(path).resolve().parent, catalog or default_catalog()
    )
    problems = document.problems + [document.locate(problem, str(path)) for problem in unresolved]
    if pipeline is None or problems:
        # This file's problems, those of what it extends, and the overrides'.
        order = {str(path): 0, str(OVERRIDE): 2}
        raise PipelineError(sorted(problems, key=lambda problem: (order.get(problem.file or "", 1), problem.line or 0)))
    return pipeline, document
