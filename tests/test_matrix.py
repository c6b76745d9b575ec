"""Every kind composes with every other by the pipeline file alone: the matrix of the bundled components.

The default run does a share of the cells in which every pair of components comes up, of those that run and of those
that are refused; ``-m slow`` does all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import pytest

import framework
from framework.errors import FrameworkError
from framework.runtime.session import Session

ENVIRONMENT = '''
import gymnasium
import numpy as np
from attrs import frozen
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete

from framework.schema import option

ACTIONS = {"discrete": Discrete(3), "box": Box(-1, 1, (2,), np.float32)}
SPACES = {
    "vector": Box(-1, 1, (4,), np.float32),
    "image": Box(0, 255, (20, 20, 1), np.uint8),
    "tokens": Box(-1, 1, (3, 5), np.float32),
    "dict": Dict({
        "text": MultiDiscrete([7] * 4), "eye": Box(0, 255, (20, 20, 3), np.uint8), "body": Box(-1, 1, (2,), np.float32)
    }),
}


class Noise(gymnasium.Env):
    """Random observations; ends after a few steps, by itself or cut, later at higher levels."""

    def __init__(self, observation, action):
        self.observation_space, self.action_space = SPACES[observation], ACTIONS[action]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        level = options["task"] if options else 0.5
        self.count, self.length = 0, 3 + int(4 * level)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.count += 1
        over = self.count == self.length
        cut = over and self.np_random.random() < 0.5
        info = {"success": bool(self.np_random.random() < 0.9)} if over else {}
        return self.observation_space.sample(), float(np.mean(action)), over and not cut, cut, info


class Noises:
    supports = {"tasks"}

    @frozen
    class Config:
        observation: str = option(help="Which space.", choices=SPACES)
        action: str = option(help="Which space.", choices=ACTIONS)

    def __init__(self, config, context):
        self.config = config

    def make(self):
        return Noise(self.config.observation, self.config.action)
'''
ENCODERS = {
    "mlp": ("vector", 'use = "mlp"\nhidden = [8]'),
    "cnn": ("image", 'use = "cnn"\nchannels = [4]\nkernels = [4]\nstrides = [4]\nfeatures = 8'),
    "impala_cnn": ("image", 'use = "impala_cnn"\nchannels = [2, 2]\nfeatures = 8'),
    "transformer": ("tokens", 'use = "transformer"\nwidth = 8\ndepth = 1\nheads = 2'),
    "multimodal": ("dict", 'use = "multimodal"\nwidth = 8\nheads = 2'),
    "gru": ("vector", 'use = "gru"\nfeatures = 8\ncore = { use = "mlp", hidden = [8] }'),
    "lstm": ("vector", 'use = "lstm"\nfeatures = 8\ncore = { use = "mlp", hidden = [8] }'),
    "transformer_memory": (
        "vector",
        'use = "transformer_memory"\nwidth = 8\ndepth = 1\nheads = 2\nwindow = 4\ncore = { use = "mlp", hidden = [8] }',
    ),
}
WITH_MEMORY = ("gru", "lstm", "transformer_memory")
_OFF_POLICY = """
actor_hidden = [8]
critic_hidden = [8]
minibatch_size = 16
learning_starts = 16
updates_per_step = 0.1
"""
ALGORITHMS = {
    "ppo": 'use = "ppo"\nminibatch_size = 32\nepochs = 1',
    "dqn": 'use = "dqn"\nminibatch_size = 16\nlearning_starts = 16',
    "pqn": 'use = "pqn"\nminibatch_size = 32\nepochs = 1\nhead_hidden = [8]',
    "iql": 'use = "iql"\nminibatch_size = 16\nupdates_per_step = 0.1\ncritic_hidden = [8]',
    **{name: f'use = "{name}"{_OFF_POLICY}' for name in ("sac", "td3", "tqc")},
}
FROM_REPLAY = ("dqn", "iql", "sac", "td3", "tqc")
CONTINUOUS = ("td3", "tqc")
BONUSES = {"none": (), "rnd": ("rnd",), "icm": ("icm",), "both": ("rnd", "icm")}
CURRICULA = {"none": "", "threshold": '[curriculum]\nuse = "threshold"'}
REPLAYS = {"none": "", "prioritized": '[replay]\nuse = "prioritized"\ncapacity = 200'}
AXES = (ENCODERS, ALGORITHMS, BONUSES, CURRICULA, REPLAYS)
UPDATES = 5

Cell = tuple[str, ...]


def refusal(cell: Cell) -> str:
    """Why `check` refuses a cell, as a part of its message; empty where it does not."""
    encoder, algorithm, bonuses, _, replay = cell
    if algorithm == "pqn":
        return 'supports "replay", unlike pqn' if replay != "none" else ""
    if algorithm in FROM_REPLAY:
        if encoder in WITH_MEMORY and algorithm != "dqn":
            return f'{encoder} needs an algorithm that supports "memory", unlike {algorithm}'
        if BONUSES[bonuses] and algorithm == "iql":
            return f'{BONUSES[bonuses][0]} needs an algorithm that supports "streams", unlike iql'
        return f"{algorithm} needs a replay" if replay == "none" else ""
    return "memory" if encoder in WITH_MEMORY and replay != "none" else ""


def pipeline(cell: Cell) -> str:
    """The pipeline file of a cell."""
    encoder, algorithm, bonuses, curriculum, replay = cell
    observation, options = ENCODERS[encoder]
    # What a bonus sees goes through an encoder without memory.
    bonus_encoder = '\nencoder = { use = "mlp", hidden = [8] }' if encoder in WITH_MEMORY else ""
    return "\n".join(
        [
            f"[run]\ntotal_steps = {UPDATES * 32}",
            f'[environment]\nuse = "noise:Noises"\nobservation = "{observation}"',
            f'action = "{"box" if algorithm in CONTINUOUS else "discrete"}"',
            f"[encoder]\n{options}",
            f"[algorithm]\n{ALGORITHMS[algorithm]}",
            *(f'[[bonus]]\nuse = "{bonus}"{bonus_encoder}' for bonus in BONUSES[bonuses]),
            CURRICULA[curriculum],
            REPLAYS[replay],
            "[sampling]\nenvironments = 4\nrollout_length = 8",
            "[evaluation]\nepisodes = 2",
            "[runtime]\nsamplers = 0",
        ]
    )


def pairs(cell: Cell) -> set[tuple[tuple[int, str], ...]]:
    return set(combinations(enumerate(cell), 2))


def covering(cells: list[Cell]) -> Iterator[Cell]:
    """Cells in which every pair of components comes up that comes up in any: always the one with the most new pairs."""
    missing = set().union(*map(pairs, cells))
    while missing:
        best = max(cells, key=lambda cell: len(pairs(cell) & missing))
        missing -= pairs(best)
        yield best


EVERY = list(product(*AXES))
SHARE = {cell for refused in (False, True) for cell in covering([x for x in EVERY if bool(refusal(x)) == refused])}


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, id="-".join(cell), marks=[] if cell in SHARE else pytest.mark.slow) for cell in EVERY],
)
def test_every_combination_runs_or_is_refused(cell: Cell, tmp_path: Path) -> None:
    """Five updates with finite metrics, or a refusal that says why, before anything has started."""
    (tmp_path / "noise.py").write_text(ENVIRONMENT)
    path = tmp_path / "p.toml"
    path.write_text(pipeline(cell))
    if reason := refusal(cell):
        with pytest.raises(FrameworkError, match=reason):
            next(Session(framework.load(path), root=tmp_path).updates())
        assert not any(path.read_text() for path in tmp_path.glob("run-*/metrics.jsonl"))
        return
    updates = list(Session(framework.load(path), root=tmp_path).updates())
    assert [update.number for update in updates] == list(range(1, UPDATES + 1))
    numbers = {name: value for update in updates for name, value in update.metrics.items() if value is not None}
    assert all(math.isfinite(value) for value in numbers.values())
    assert ("curriculum/level" in numbers) == (cell[3] == "threshold")
    for bonus in BONUSES[cell[2]]:
        assert f"bonus/{bonus}/reward" in numbers
