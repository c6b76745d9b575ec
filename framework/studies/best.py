"""The best trial of a sweep as a pipeline file that extends the one it was found for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import framework
from framework.errors import PipelineError, writing
from framework.pipeline.document import read
from framework.pipeline.toml import split, to_toml


def write_best(path: Path, pipeline: Path, values: Mapping[str, Any], title: str) -> bool:
    """Write the file ``path``; returns whether it is whole where it lies.

    It is not where the pipeline names Python files, which are looked for beside it: then the file is written to be
    copied there.
    """
    document = read(pipeline, values)
    changed: dict[str, Any] = {}
    for key in values:
        _copy(split(key), document.values, changed)

    def write(extends: str) -> None:
        text = f"# {title}\n\n{to_toml({'extends': extends, **changed})}"
        with writing(path):
            path.write_text(text, encoding="utf-8")

    write(os.path.relpath(pipeline.resolve(), path.parent.resolve()))
    try:
        framework.load(path)
    except PipelineError:
        write(pipeline.name)
        return False
    return True


def _copy(parts: list[str], source: Any, target: dict[str, Any]) -> None:
    """Copy what stands at a key; a whole array, where it goes through one, as files replace arrays."""
    key, *rest = parts
    if rest and isinstance(source[key], dict):
        _copy(rest, source[key], target.setdefault(key, {}))
    else:
        target[key] = source[key]
