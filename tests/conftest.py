"""How the tests are spread over processes."""

from __future__ import annotations

import gc
import os
import random
from pathlib import Path
from typing import Any

import pytest

gc.disable()


@pytest.fixture(autouse=True, scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this account's key lies, so that tests leave nothing in the home of who runs them."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(folder)
    return folder


@pytest.fixture
def minari_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own where Minari keeps its datasets."""
    folder = tmp_path / "datasets"
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    return folder


@pytest.fixture(autouse=True)
def equal_starts() -> None:
    """Every test draws the same numbers, whichever ran before it in its process, and has one thread.

    Nor can its errors be those of files that others had imported. Threads of torch that wait for one another slow tests
    down several times where others run beside them.
    """
    import numpy as np  # here, as the process that spreads the tests has no use for them
    import torch

    from framework import catalog

    catalog._owners.clear()
    torch.set_num_threads(1)
    random.seed(0)
    np.random.seed(0)
    torch.default_generator.manual_seed(0)  # manual_seed itself takes milliseconds


def group(nodeid: str) -> str:
    """Tests of one group run in one process: those of a file, which share what it sets up, and all of ``research``,
    which is compiled when it is first used.
    """
    return "research" if "research" in nodeid else nodeid.partition("::")[0]


def pytest_collection_finish() -> None:
    """From here on there is garbage to collect: what was imported and collected is none, and looking takes long."""
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The groups that take longest come first, so that at the end no process has one of them to itself."""
    items.sort(key=lambda item: (group(item.nodeid) != "research", "tests/runtime/" not in item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread groups over the processes, in this order."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)
