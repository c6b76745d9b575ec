"""Trained policies that act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Space

from framework.errors import FrameworkError
from framework.runtime.disk.checkpoint import CheckpointError
from framework.runtime.evaluate.agent import Acting, Agent, load_agent


class Remembering:
    """A policy that writes down what it is given, and gives what a test says."""

    def __init__(self, *actions: Any):
        self.calls: list[dict[str, Any]] = []
        self._actions = iter(actions)

    def initial_memory(self, count: int) -> dict[str, torch.Tensor]:
        return {"calls": torch.zeros(count)}

    def act(self, observation: Any, memory: Any, first: Any, generator: Any, **more: Any) -> Any:
        assert torch.is_inference_mode_enabled()
        self.calls.append(
            {"observation": observation, "memory": memory["calls"].tolist(), "first": first.tolist(), **more}
            | {"drawn": torch.rand((), generator=generator).item()}
        )
        return torch.as_tensor(next(self._actions)), {"value": None}, {"calls": memory["calls"] + 1}


def agent(policy: Any, action_space: Space[Any] | None = None, observation_space: Space[Any] | None = None) -> Agent:
    return Agent(policy, observation_space or Box(-1, 1, (2,), np.float32), action_space or Discrete(3))


# Several environments.


def test_memory_goes_from_step_to_step() -> None:
    """It is that of no memory at first, where alone an episode starts; its size is that of the batch."""
    policy: Any = Remembering([0, 1, 2], [2, 1, 0])
    acting = Acting(policy, 0, deterministic=True)
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert acting({"observation": rows}, None).tolist() == [0, 1, 2]
    assert acting({"observation": rows + 1}, None).tolist() == [2, 1, 0]
    before, after = policy.calls
    assert (before["first"], before["memory"]) == ([True] * 3, [0.0] * 3)
    assert (after["first"], after["memory"]) == ([False] * 3, [1.0] * 3)
    assert after["observation"]["observation"].tolist() == (rows + 1).tolist()


@pytest.mark.parametrize("deterministic", [True, False])
def test_random_numbers_are_those_of_the_seed(deterministic: bool) -> None:
    """They go on from step to step; whether actions are sampled is the policy's to know."""
    random_numbers = []
    for seed in (1, 1, 2):
        policy: Any = Remembering([0], [0])
        acting = Acting(policy, seed, deterministic)
        for _ in range(2):
            acting({"observation": np.zeros((1, 2), np.float32)}, None)
        assert [call["deterministic"] for call in policy.calls] == [deterministic] * 2
        random_numbers.append([call["drawn"] for call in policy.calls])
    assert random_numbers[0] == random_numbers[1] != random_numbers[2]
    assert random_numbers[0][0] != random_numbers[0][1]


def test_what_the_policy_gets_is_a_copy() -> None:
    """The vector's own arrays change with its next step, and may not be written to."""
    policy: Any = Remembering([0])
    rows, mask = np.zeros((1, 2), np.float32), np.ones((1, 3), bool)
    rows.flags.writeable = mask.flags.writeable = False
    Acting(policy, 0, deterministic=True)({"observation": rows}, mask)
    (call,) = policy.calls
    assert call["action_mask"].tolist() == [[True] * 3]
    with torch.inference_mode():
        call["observation"]["observation"].fill_(1.0)
        call["action_mask"].fill_(False)
    assert (rows.sum(), mask.sum()) == (0, 3)


# One environment.


def test_observations_and_actions_are_those_of_the_environment() -> None:
    """Of any structure: leaves with a batch of one on the way in, a plain action on the way out."""
    space = Dict({"eye": Box(0, 255, (2, 2), np.uint8), "place": Discrete(5)})
    policy: Any = Remembering([[1, 2]])
    action = agent(policy, MultiDiscrete([2, 3]), space).act({"eye": np.full((2, 2), 7, np.uint8), "place": 4})
    assert MultiDiscrete([2, 3]).contains(action)
    assert action.tolist() == [1, 2]
    leaves = policy.calls[0]["observation"]
    assert {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in leaves.items()} == {
        "eye": (torch.uint8, (1, 2, 2)),
        "place": (torch.int64, (1,)),
    }


def test_actions_outside_of_a_box_are_clipped() -> None:
    """As they are while training; a discrete one is a plain integer."""
    box = Box(-1, 1, (2,), np.float64)
    action = agent(Remembering([[-7.0, 0.25]]), box).act(np.zeros(2, np.float32))
    assert (action.dtype, action.tolist()) == (np.float64, [-1.0, 0.25])
    assert Discrete(3).contains(agent(Remembering([2])).act(np.zeros(2, np.float32)))


def test_masks_may_be_of_any_kind() -> None:
    """Numbers and lists do, and the policy gets truth values for a batch of one."""
    policy: Any = Remembering([0], [0], [0])
    acting = agent(policy)
    for mask in ([1, 0, 1], np.array([1.0, 0.0, 1.0]), None):
        acting.act(np.zeros(2, np.float32), mask)
    masks = [call["action_mask"] for call in policy.calls]
    assert [mask.tolist() for mask in masks[:2]] == [[[True, False, True]]] * 2
    assert masks[2] is None


def test_another_episode_starts_with_a_reset() -> None:
    """Memory is forgotten and random numbers start anew; without one the episode goes on."""
    policy: Any = Remembering(*[[0]] * 5)
    acting, observation = agent(policy), np.zeros(2, np.float32)
    acting.act(observation)
    acting.act(observation)
    acting.reset(seed=0, deterministic=False)
    acting.act(observation)
    acting.reset(seed=1)
    acting.act(observation)
    assert [call["first"] for call in policy.calls] == [[True], [False], [True], [True]]
    assert [call["memory"] for call in policy.calls] == [[0.0], [1.0], [0.0], [0.0]]
    assert [call["deterministic"] for call in policy.calls] == [True, True, False, True]
    random_numbers = [call["drawn"] for call in policy.calls]
    assert random_numbers[0] == random_numbers[2]
    assert len(set(random_numbers)) == 3


def test_observations_of_another_environment_are_refused() -> None:
    """By the leaf that does not fit."""
    with pytest.raises(FrameworkError, match=r"observation 'observation' is float32\[3\]"):
        agent(Remembering([0])).act(np.zeros(3, np.float32))


# Of a run.


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with three checkpoints, the second of which is the best."""
    directory = tiny.recorded(tmp_path)
    for name, weight in (("update-00000010", 10.0), ("best-00000020", 20.0), ("update-00000030", 30.0)):
        tiny.save(directory, name, weight)
    return directory


@pytest.mark.parametrize(
    ("checkpoint", "weight"), [("best", 20.0), ("last", 30.0), ("update-00000010", 10.0), (None, 20.0)]
)
def test_agents_have_the_newest_weights_of_a_checkpoint(run: Path, checkpoint: str | None, weight: float) -> None:
    """Of the older versions beside them none: versions are numbers, and 9 comes before 10."""
    arguments = () if checkpoint is None else (checkpoint,)
    policy: Any = load_agent(run, *arguments).policy
    assert policy.weight.item() == weight
    assert not policy.training


def test_without_an_evaluation_the_last_checkpoint_is_the_best(tmp_path: Path) -> None:
    """It need not be given as a `Path`."""
    directory = tiny.recorded(tmp_path)
    tiny.save(directory, "update-00000010", 10.0)
    policy: Any = load_agent(str(directory)).policy
    assert policy.weight.item() == 10.0


def test_agents_act_in_the_environment_of_their_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They know its spaces; the environment that was made to learn of them is closed."""
    environments: list[tiny.Hashed] = []
    monkeypatch.setattr(tiny.Environment, "make", lambda self: environments.append(tiny.Hashed()) or environments[-1])
    acting = load_agent(run)
    assert [environment.closed for environment in environments] == [True]
    assert acting.observation_space == tiny.Hashed.observation_space
    assert acting.action_space == tiny.Hashed.action_space
    observation, _ = tiny.Hashed().reset(seed=1)
    assert acting.act(observation) == 0
    acting.reset(seed=0, deterministic=False)
    assert {int(acting.act(observation)) for _ in range(20)} == {0, 1}


def test_weights_of_another_policy_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the checkpoint that they are in."""

    class Wide(tiny.Policy):
        def __init__(self) -> None:
            super().__init__()
            self.more = torch.nn.Parameter(torch.zeros(7))

    monkeypatch.setattr(tiny.Algorithm, "make_policy", staticmethod(lambda config, context: Wide()))
    with pytest.raises(CheckpointError, match=r"best-00000020: does not fit this run: .*32 bytes cannot take 4 bytes"):
        load_agent(run)


def test_runs_without_a_checkpoint_have_no_agent(tmp_path: Path, run: Path) -> None:
    """What there is instead of the one that was asked for is said."""
    with pytest.raises(FrameworkError, match="no checkpoint in it"):
        load_agent(tiny.recorded(tmp_path))
    with pytest.raises(FrameworkError, match=r"no checkpoint 'best-7'; there are: best-00000020, update-0"):
        load_agent(run, "best-7")
