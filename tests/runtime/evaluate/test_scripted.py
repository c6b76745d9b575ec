from typing import Any

import numpy as np
import pytest
from environments import Made
from environments import Scripted as ScriptedEnvironment
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from framework.errors import FrameworkError, RunError
from framework.runtime.evaluate.evaluate import Evaluation, evaluate
from framework.runtime.evaluate.scripted import ObservedEnvironments, Scripted

PARTS = Dict({"kind": Discrete(2, start=3), "arm": Tuple((Box(-1, 1, (2,), np.float32),))})


def play(function: Any, component: Any, count: int = 3, seed: int = 0) -> Evaluation:
    environments = ObservedEnvironments(component)
    return evaluate(Scripted(function, "policy p:f", environments, seed), environments, count, seed)


def plain(action: Any) -> Any:
    if isinstance(action, dict):
        return {key: plain(part) for key, part in action.items()}
    return tuple(map(plain, action)) if isinstance(action, tuple) else np.asarray(action).tolist()


def test_a_function_gets_what_the_environment_gives() -> None:
    """The observation as it is, not flattened; the legal actions; no calls after an episode's end."""
    space = Dict({"camera": Box(0, 1, (2, 2), np.float32), "place": Discrete(5)})
    calls: list[Any] = []

    def function(observation: Any, mask: Any, generator: Any) -> int:
        calls.append((observation, mask.tolist()))
        return 1

    def change(_: Any, result: tuple) -> tuple:
        return (*result[:-1], {**result[-1], "action_mask": [False, True]})

    component = Made(lambda: ScriptedEnvironment(space, change=change))
    lengths = play(function, component, 5).lengths
    assert len(calls) == lengths.sum()
    assert len(set(lengths)) > 1
    assert all(space.contains(observation) and mask == [False, True] for observation, mask in calls)
    assert [environment.actions for environment in component.environments] == [[1] * length for length in lengths]


def test_without_masks_there_is_none() -> None:
    """Then the function gets None."""
    masks = set()
    play(lambda observation, mask, generator: masks.add(mask) or 0, Made(ScriptedEnvironment))
    assert masks == {None}


def test_who_asks_for_the_environment_gets_it() -> None:
    """Without wrappers, each episode its own."""
    environments = []

    def function(observation: Any, mask: Any, generator: Any, *, environment: Any) -> int:
        environments.append(environment)
        return environment.count % 2

    component = Made(ScriptedEnvironment)
    play(function, component)
    assert set(map(id, environments)) == set(map(id, component.environments))
    assert component.environments[0].actions[:3] == [0, 1, 0]


def test_random_numbers_are_those_of_an_episode() -> None:
    """They depend on the seed and on the episode's number, not on how many are played; none are shared."""

    def drawn(count: int, seed: int) -> list[list[int]]:
        component = Made(lambda: ScriptedEnvironment(action=Discrete(1000)))
        play(lambda observation, mask, generator: generator.integers(1000), component, count, seed)
        return [environment.actions[:3] for environment in component.environments]

    assert drawn(2, 1) == drawn(5, 1)[:2]
    assert drawn(2, 1) != drawn(2, 2)
    assert drawn(2, 1)[0] != drawn(2, 1)[1]


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (Discrete(3), 3),
        (Discrete(3), -1),
        (Discrete(3), 1.0),
        (Discrete(3), [1]),
        (Discrete(3), None),
        (Discrete(3), "left"),
        (MultiDiscrete([2, 3]), [1, 3]),
        (MultiDiscrete([2, 3]), [1]),
        (Box(-1, 1, (2,), np.float32), [0.0]),
        (Box(-1, 1, (2,), np.float32), [0.0, np.nan]),
        (Box(-1, 1, (2,), np.float32), [[0.0], [1.0, 2.0]]),
        (PARTS, {"kind": 4}),
        (PARTS, {"kind": 5, "arm": ([0.5, 7],)}),
        (PARTS, {"kind": 4, "arm": ([0.5],)}),
        (PARTS, 4),
    ],
)
def test_what_is_no_action_is_an_error(space: Any, action: Any) -> None:
    """Who gave it, and what would be one, is said."""
    component = Made(lambda: ScriptedEnvironment(action=space))
    with pytest.raises(
        RunError, match=r"policy p:f gave .* in environment 0, which is no action of (Mul|Dis|Box|Dict)"
    ):
        play(lambda observation, mask, generator: action, component)


@pytest.mark.parametrize(
    ("space", "action", "expected"),
    [
        (Discrete(3, start=2), np.uint8(4), 4),
        (MultiDiscrete([2, 3]), (1, 2), [1, 2]),
        (Box(-1, 1, (2,), np.float32), [0.5, 7], [0.5, 1.0]),
        (PARTS, {"kind": 4, "arm": ([0.5, 7],)}, {"arm": ([0.5, 1.0],), "kind": 4}),
    ],
)
def test_actions_are_taken_as_functions_write_them(space: Any, action: Any, expected: Any) -> None:
    """Lists and numbers of other sizes do; what is outside of a box is clipped, as everywhere."""
    component = Made(lambda: ScriptedEnvironment(action=space))
    play(lambda observation, mask, generator: action, component)
    assert plain(component.environments[0].actions[0]) == expected


def test_a_function_that_fails_is_named() -> None:
    """With its traceback."""

    def broken(observation: Any, mask: Any, generator: Any) -> int:
        raise ValueError("no idea")

    with pytest.raises(
        RunError, match=r"policy p:f failed in environment 0: ValueError: no idea\n(.|\n)*in broken"
    ) as caught:
        play(broken, Made(ScriptedEnvironment))
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_function_that_explains_itself_is_quoted() -> None:
    """Without a traceback: what is wrong is with what was asked for."""

    def explained(observation: Any, mask: Any, generator: Any) -> int:
        raise FrameworkError("it needs other observations")

    with pytest.raises(RunError, match=r"^policy p:f failed in environment 0: it needs other observations$"):
        play(explained, Made(ScriptedEnvironment))
