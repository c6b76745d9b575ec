"""The keeper with short times, for tests: ``python -m quick_keeper FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from framework.toolkit import keeper

keeper._FIRST, keeper._LAST, keeper._SETTLED = 0.05, 0.2, 60.0
keeper._TICK, keeper._CLOSED, keeper._TERMINATED = 0.02, 0.5, 1.0

if __name__ == "__main__":
    keeper.keep(Path(sys.argv[1]))
