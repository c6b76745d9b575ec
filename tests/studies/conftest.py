import functools
from types import SimpleNamespace

import pytest

from framework.studies import ledger


@pytest.fixture
def in_memory(monkeypatch):
    """Ledgers of sweeps without files; one that is opened again is the same one."""
    from optuna.storages import InMemoryStorage

    class Memory(InMemoryStorage):
        engine = SimpleNamespace(dispose=lambda: None)

    monkeypatch.setattr(ledger, "_sqlite", functools.cache(lambda file: Memory()))
