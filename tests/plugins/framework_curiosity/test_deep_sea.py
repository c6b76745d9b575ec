"""What bonuses find in a grid where only exploring helps."""

from __future__ import annotations

from pathlib import Path

import pytest
import runs
from deep_sea import DeepSea

PIPELINE = """
[run]
total_steps = 20_480

[environment]
use = "gymnasium"
id = "deep_sea:DeepSea-v0"

[algorithm]
use = "ppo"
learning_rate = 1e-3
learning_rate_schedule = "constant"
minibatch_size = 128
entropy_coefficient = 0.0

[sampling]
environments = 8
rollout_length = 40
policy_lag = 0

[checkpoint]
every_seconds = 3600.0

[runtime]
samplers = 0
"""
#: Cells that can be reached: in row r, the columns 0 to r.
CELLS = 210


def cells_visited(folder: Path, bonus: str, seed: int) -> tuple[int, int]:
    """How many cells were visited in a thousand episodes, and how many in the last 250 of them."""
    pipeline = runs.write(folder, PIPELINE + (f'[[bonus]]\nuse = "{bonus}"\nlearning_rate = 1e-3\n' if bonus else ""))
    early: set[tuple[int, int]] = set()
    DeepSea.visited, DeepSea.episodes = set(), 0

    def watch(*_):
        if DeepSea.episodes > 750 and not early:
            early.update(DeepSea.visited)
            DeepSea.visited = set()

    runs.run(pipeline, folder, watch, run__seed=seed)
    assert DeepSea.episodes >= 1000
    return len(early | DeepSea.visited), len(DeepSea.visited)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_bonus_goes_on_to_explore(tmp_path, seed):
    """In the last quarter of 1,000 episodes, a bonus at least doubles the cells visited, and finds more in all.

    The first cells are found by chance, three of four in all that there are, so those in all cannot double.
    """
    without_in_all, without = cells_visited(tmp_path / "without", "", seed)
    assert without < 0.25 * CELLS
    for bonus in ("rnd", "icm"):
        in_all, last = cells_visited(tmp_path / bonus, bonus, seed)
        assert last >= 2 * without
        assert in_all > without_in_all
