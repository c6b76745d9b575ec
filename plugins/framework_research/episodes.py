"""Episodes side by side as arrays, a world and a browser each: what the environment and its vector version run."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from framework.errors import RunError
from framework_research.browser.actions import ACTIONS
from framework_research.browser.rules import fill_legal_mask, step_browsers
from framework_research.browser.shortest import fill_efficiencies
from framework_research.browser.state import BROWSER, reset_browser
from framework_research.compiled import compiled
from framework_research.config import ResearchConfig
from framework_research.observe.spaces import observer
from framework_research.worlds.corpus import make_corpus
from framework_research.worlds.world import WORLD


class EpisodeBatch:
    """``count`` episodes. The arrays [N] hold what the last call left there."""

    def __init__(self, config: ResearchConfig, count: int):
        self._config, self.corpus = config, make_corpus(config.corpus, config.split, config.bigrams)
        self._observe = observer(config.observation_mode)
        self.worlds, self.browsers = np.zeros(count, WORLD), np.zeros(count, BROWSER)
        self.masks = np.zeros((count, ACTIONS), bool)  #: the legal actions
        self.rewards = np.zeros(count)
        self.terminated = np.zeros(count, bool)
        self.truncated = np.zeros(count, bool)  #: which have taken as many steps as there may be
        self._begun = False  # whether there is a world everywhere
        self._efficiencies = np.zeros(count)  # NaN where an episode has begun, until they are counted

    def reset(self, index: np.ndarray, tasks: list[Any], seeds: list[int]) -> None:
        """A new world at each place of ``index`` [B], of a task (see `level_and_seed`) and a seed each."""
        default = self._config.task_complexity
        pairs = [level_and_seed(task, default, seed) for task, seed in zip(tasks, seeds, strict=True)]
        levels = np.array([level for level, _ in pairs], np.float64)
        worlds = np.zeros(len(index), WORLD)
        self.corpus.sample(worlds, levels, np.array([seed for _, seed in pairs], np.uint64))
        self.worlds[index] = worlds
        self._efficiencies[index] = np.nan
        self._begun = self._begun or bool(self.worlds["questions"].all())
        _reset_browsers(self.worlds, self.browsers, self.masks, index)

    def step(self, actions: np.ndarray) -> None:
        """One action [N] in each world; where an episode has ended nothing happens any more.

        Raises `ValueError` for another number of actions, and for an action that there is not; `ResetNeeded` before all
        have begun.
        """
        self.expect_begun()
        config, ends = self._config, (self.terminated, self.truncated)
        actions, dense = np.asarray(actions, np.int64), config.reward_shaping == "dense"
        if actions.shape != self.rewards.shape:
            raise ValueError(f"expected an action for each of {len(self.rewards)} environments, not {actions.shape}")
        step_browsers(
            self.worlds, self.browsers, actions, self.masks, config.gamma, dense, config.max_steps, self.rewards, *ends
        )

    def expect_begun(self) -> None:
        """Raise `ResetNeeded` where an episode has not."""
        if not self._begun:
            raise ResetNeeded("the research environment has no episode yet: call reset() first")

    @property
    def succeeded(self) -> np.ndarray:
        """[N] bool: where every question was answered, rightly and with its evidence."""
        all_of_them: np.ndarray = self.browsers["succeeded"] == self.worlds["questions"]
        return all_of_them

    def efficiencies(self, ended: np.ndarray) -> np.ndarray:
        """[N]: where an episode has ``ended`` [N] and succeeded, the fewest steps by those that it took; else 0.

        They are counted once for each episode.
        """
        fill_efficiencies(self.worlds, self.browsers, ended & np.isnan(self._efficiencies), self._efficiencies)
        return np.where(ended, self._efficiencies, 0.0)

    def observations(self) -> Any:
        """What is seen in each of them, [N, ...], as copies."""
        return self._observe(self.worlds, self.browsers, self._config.max_steps)


def level_and_seed(task: Any, level: float, seed: int) -> tuple[float, int]:
    """Level and seed of a task: a level, a table with ``level`` or ``seed`` or both, or None.

    What it does not say is ``level`` and ``seed``. Raises `RunError` for anything else.
    """
    table = task if isinstance(task, Mapping) else {} if task is None else {"level": task}
    level, seed = table.get("level", level), table.get("seed", seed)
    if not table.keys() <= {"level", "seed"} or not _is_number(level, Real) or not 0 <= level <= 1:
        raise RunError(
            f"a task must be a level from 0 to 1, or a table such as {{ level = 0.5, seed = 7 }}, not {task!r}"
        )
    if not _is_number(seed, Integral) or not 0 <= seed < 2**64:
        raise RunError(f"the seed of a world must be an integer from 0 to 2^64 - 1, not {seed!r}")
    return float(level), int(seed)


def _is_number(value: Any, kind: type[Real]) -> bool:
    """Whether it is a number of a kind; truth values are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


@compiled
def _reset_browsers(worlds, browsers, masks, index):
    for at in index:
        reset_browser(browsers[at])
        fill_legal_mask(worlds[at], browsers[at], masks[at])
