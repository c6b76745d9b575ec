"""Where the components of a pipeline come from, what they are made with, and fingerprints of both."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import framework
from framework.catalog import Component, function_component, provenance
from framework.pipeline.components import functions

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline

#: Packages that what is collected depends on, beside the framework and its plugins.
PACKAGES = ("torch", "numpy", "gymnasium")
_DIGITS = 12


def components(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Where each component of a pipeline comes from: distribution, version, and the hash of its source file."""
    collecting = {name: provenance(component) for name, component in _components(pipeline).items()}
    return collecting | {f"callback/{part.use}": provenance(part.component) for part in pipeline.callbacks}


def fingerprints(pipeline: Pipeline) -> dict[str, str]:
    """What each component that samplers need is, in words that are equal where it is the same: for two machines.

    The hash is of all Python files of the component's package, or of the file beside the pipeline that it is in.
    """
    stated = {}
    for name, component in _components(pipeline).items():
        package = component.target.partition(":")[0].partition(".")[0]
        digest = _digest((component.file,)) if component.file else _package_digest(package)
        stated[name] = f"{component.distribution or package} {component.version or ''}".strip() + f" ({digest})"
    return stated


def fingerprint(pipeline: Pipeline) -> str:
    """Equal where all components are the same."""
    text = json.dumps(fingerprints(pipeline), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def versions() -> dict[str, str]:
    """What this process computes with: versions, and the vector instructions that torch uses on this processor."""
    import torch

    return {
        "framework": f"{framework.__version__} ({_package_digest('framework')})",
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name).partition("+")[0] for name in PACKAGES},  # "+cpu" and "+cu126" act alike on a CPU
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def _components(pipeline: Pipeline) -> dict[str, Component]:
    optional = [part for part in (pipeline.curriculum, pipeline.replay) if part is not None]
    parts = [pipeline.environment, pipeline.encoder, pipeline.algorithm, *pipeline.bonuses, *optional]
    rows = {f"{part.kind}/{part.use}": part.component for part in parts}
    for part in parts:
        for key, target in functions(part.config):
            rows[f"{part.kind}/{part.use}.{key}"] = function_component(target, pipeline.directory)
    return rows


@cache
def _package_digest(package: str) -> str:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return "no source"
    folders = spec.submodule_search_locations
    if not folders:
        return _digest((Path(spec.origin),))
    return _digest(tuple(sorted(path for folder in folders for path in Path(folder).rglob("*.py"))))


def _digest(files: tuple[Path, ...]) -> str:
    digest = hashlib.blake2b(digest_size=_DIGITS // 2)
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
