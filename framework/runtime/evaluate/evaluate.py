"""How good a policy is: some episodes, side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from numbers import Real
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from attrs import field, frozen

from framework.errors import RunError
from framework.interfaces import EnvironmentFactory
from framework.runtime.data.seeds import episode_seed
from framework.runtime.rollout.environments import make_environment
from framework.runtime.rollout.stepped_vector import SteppedVector

#: Where an episode has not ended after so many steps, it is taken to never end.
ENDLESS = 1_000_000

Act = Callable[[Mapping[str, np.ndarray], np.ndarray | None], np.ndarray]
Record = Callable[[Sequence[np.ndarray]], None]
#: Hears after each step: how many episodes are finished, of how many, and which step it was.
Watcher = Callable[[int, int, int], None]


@frozen(eq=False)
class Evaluation:
    """The episodes of an evaluation."""

    returns: np.ndarray  #: [episodes] float64: the sum of an episode's rewards, not discounted
    lengths: np.ndarray  #: [episodes] int64: environment steps
    successes: np.ndarray  #: [episodes] int8: 1, 0, or -1 where the environment does not tell
    metrics: Mapping[str, np.ndarray] = field(factory=dict)  #: name -> [episodes] float64: ``info["metrics"]``

    def scores(self) -> dict[str, np.ndarray]:
        """What episodes are measured by, by name, [episodes] float64 each.

        ``return``, ``length``, ``success`` where every episode told it, and ``metrics/NAME``.
        """
        scores = {"return": self.returns, "length": self.lengths.astype(np.float64)}
        if (self.successes >= 0).all():
            scores["success"] = self.successes.astype(np.float64)
        return scores | {f"metrics/{name}": values for name, values in self.metrics.items()}

    def summary(self) -> dict[str, Any]:
        """Plain values: the means of the `scores`, and extremes of the returns."""
        means = {name: float(values.mean()) for name, values in self.scores().items()}
        extremes = {
            "return_std": float(self.returns.std()),
            "return_min": float(self.returns.min()),
            "return_max": float(self.returns.max()),
        }
        return means | extremes | {"episodes": len(self.returns)}


def evaluate(
    act: Act,
    environment: EnvironmentFactory,
    episodes: int,
    seed: int,
    *,
    tasks: Sequence[Any] = (),
    record: Record | None = None,
    filmed: int | None = None,
    watcher: Watcher | None = None,
) -> Evaluation:
    """Play ``episodes`` episodes, one in each of as many environments stepped singly.

    Exactly one each, so that long episodes count as much as short ones. ``act`` gets the observations
    ``{name: [episodes, ...]}`` and the legal actions [episodes, actions] or None, always of all environments, and
    returns actions [episodes, ...]; those of finished episodes are ignored. ``tasks`` are played in turn.
    ``record`` gets the pictures of the first ``filmed`` environments, by default of all, uint8 [height, width, 3] each,
    at the start and after each step; ``watcher`` hears of how far it is.

    Raises `RunError` where an environment fails, gives a number that is not finite, never ends its episode, or gives
    metrics in some episodes only.
    """
    vector = SteppedVector([Frozen(make_environment(environment)) for _ in range(episodes)])
    try:
        film = None if record is None else lambda: record(vector.render(filmed))
        return _play(act, vector, seed, list(islice(cycle(tasks or [None]), episodes)), film, watcher)
    finally:
        for problem in vector.close():
            print(problem, file=sys.stderr)


def _play(
    act: Act,
    vector: SteppedVector,
    seed: int,
    tasks: Sequence[Any],
    film: Callable[[], None] | None,
    watcher: Watcher | None,
) -> Evaluation:
    count = vector.count
    returns, lengths, successes = np.zeros(count), np.zeros(count, np.int64), np.full(count, -1, np.int8)
    playing, metrics = np.ones(count, bool), list[Any]([None] * count)
    vector.reset(np.arange(count), [episode_seed(seed, index, 0) for index in range(count)], tasks)
    _check(vector)
    if film is not None:
        film()
    for step in range(1, ENDLESS + 1):
        vector.step(act(vector.observations, vector.action_mask))
        _check(vector)
        if film is not None:
            film()
        returns += vector.rewards
        lengths += playing
        over = playing & (vector.terminated | vector.truncated)
        successes[over] = vector.success[over]
        for index in np.flatnonzero(over):
            metrics[index] = vector.metrics[index]
        playing &= ~over
        if watcher is not None:
            watcher(count - int(playing.sum()), count, step)
        if not playing.any():
            return Evaluation(returns, lengths, successes, _collect(metrics))
    raise RunError(
        f"the episode of environment {np.flatnonzero(playing)[0]} has not ended after {ENDLESS:,} steps:"
        " give the environment max_episode_steps"
    )


def _check(vector: SteppedVector) -> None:
    for name, array in {**vector.observations, "reward": vector.rewards}.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            index = np.flatnonzero(~np.isfinite(array.reshape(vector.count, -1)).all(axis=1))[0]
            raise RunError(f"environment {index}: {name} is not finite: {array[index]}")


def _collect(metrics_of_episodes: Sequence[Any]) -> dict[str, np.ndarray]:
    """What each episode ended with as ``info["metrics"]``, by name: [episodes] float64."""
    for index, metrics in enumerate(metrics_of_episodes):
        where = f"environment {index} ended its episode with info['metrics']"
        if metrics is not None and not isinstance(metrics, Mapping):
            raise RunError(f"{where} = {metrics!r}: it must be a dictionary of names and numbers")
        for name, value in (metrics or {}).items():
            if not isinstance(name, str):
                raise RunError(f"{where} named {name!r}: a name must be a string")
            if not isinstance(value, Real) or not np.isfinite(float(value)):
                raise RunError(f"{where}[{name!r}] = {value!r}: it must be a finite number")
    names = [list(metrics or {}) for metrics in metrics_of_episodes]
    for index, episode_names in enumerate(names):
        if set(episode_names) != set(names[0]):
            raise RunError(
                f"environment {index} ended its episode with the info['metrics'] {_listed(episode_names)}, and"
                f" environment 0 with {_listed(names[0])}: all must give the same"
            )
    return {name: np.array([metrics[name] for metrics in metrics_of_episodes], np.float64) for name in names[0]}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


class Frozen(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Stands still once its episode is over: the last observation and picture, and rewards of 0."""

    _last: tuple[Any, SupportsFloat, bool, bool, dict[str, Any]] | None = None
    _picture: Any = None

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """A step of the episode, or nothing."""
        if self._last is not None:
            return self._last
        result = self.env.step(action)
        if result[2] or result[3]:
            self._last = (result[0], 0.0, *result[2:])
        return result

    def render(self) -> Any:
        """The picture, drawn once after the end."""
        if self._last is None or self._picture is None:
            picture = self.env.render()
            if self._last is None:
                return picture
            self._picture = picture
        return self._picture
