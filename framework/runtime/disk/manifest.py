"""The manifest of a run directory: where the run comes from, written once at its start."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import framework
from framework.errors import RunError
from framework.runtime.data.fingerprint import components
from framework.runtime.disk.trust import authenticate

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline


def write_manifest(run: Path, pipeline: Pipeline) -> None:
    """Write ``manifest.json``: seed, pipeline's folder, components, versions, machine and command."""
    folder = str(pipeline.directory.resolve())
    manifest = {
        "framework": framework.__version__,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seed": pipeline.run.seed,
        "base_directory": folder,
        "authentication": authenticate(folder),
        "components": components(pipeline),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "gymnasium", "pyzmq", "msgpack")},
        "machine": {"platform": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "command": sys.argv,
    }
    new = run / "manifest.new"
    new.write_text(json.dumps(manifest, indent=2) + "\n")
    new.replace(run / "manifest.json")  # a run that is killed meanwhile leaves none, instead of half of one


def read_manifest(run: Path) -> dict[str, Any]:
    """``manifest.json`` of a run directory. Its ``base_directory`` is where the run's pipeline file lay.

    Raises `RunError` where it is missing or damaged.
    """
    path = run / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
        if isinstance(manifest["base_directory"], str):
            return cast(dict[str, Any], manifest)
    except FileNotFoundError:
        raise RunError(f"{run} is not a run directory: it has no manifest.json") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise RunError(f"{path}: damaged: it does not say where the run's pipeline file lay")
