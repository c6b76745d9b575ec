"""Folders of files that come with the framework: inside the package in a wheel, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

import framework
from framework.errors import FrameworkError

EXAMPLES = "examples"
TEMPLATES = "templates"


def bundled_folder(name: str) -> Path:
    """The folder `EXAMPLES` or `TEMPLATES`. Raises `FrameworkError` where the installation lacks it."""
    package = Path(framework.__file__).parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir() and not (folder / "__init__.py").exists():
            return folder
    raise FrameworkError(f"the {name} are missing: neither {package / name} nor its neighbour is there; install again")


def example_names() -> list[str]:
    """The names of the example pipelines, sorted; empty where the installation lacks them."""
    try:
        return sorted(path.stem for path in bundled_folder(EXAMPLES).glob("*.toml"))
    except FrameworkError:
        return []
