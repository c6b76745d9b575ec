"""A cluster, and a run to launch samplers for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes_stub import Stubbed

from framework.runtime.link.keys import Keys


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Stubbed]:
    """A cluster, with its ``kubectl`` first on PATH."""
    with Stubbed(tmp_path) as made, made.on_path():
        yield made


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The directory of a run that listens."""
    directory = tmp_path / "runs" / "pong-20260101-120000"
    directory.mkdir(parents=True)
    (directory / "pipeline.toml").touch()
    Keys(directory, create=True).listening(["tcp://10.0.0.7:5555"])
    return directory
