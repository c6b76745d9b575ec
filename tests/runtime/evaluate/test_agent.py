"""Trained policies that act."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import runs
import tiny
import torch
from exporting import OBSERVATIONS, make
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from gymnasium.vector import AutoresetMode

from framework.errors import FrameworkError
from framework.runtime.disk.checkpoint import CheckpointError
from framework.runtime.evaluate.agent import Acting, Agent, load_agent
from framework.toolkit.spaces import flat_action


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


def test_actions_of_several_parts_are_nested() -> None:
    """One action for `act`, and arrays for a batch, as environments and vector environments take them."""
    space = Dict({"kind": Tuple((Discrete(3, start=5), Box(-1, 1, (1,), np.float32))), "bits": MultiBinary(2)})
    policy: Any = Remembering([[1, 0, 2, 0.5]])
    acting = agent(policy, space)
    action = acting.act(np.zeros(2, np.float32), {"kind": ([1, 0, 1], None)})
    assert space.contains(action)
    assert flat_action(space, action).tolist() == [1, 0, 2, 0.5]
    assert policy.calls[0]["action_mask"].tolist() == [[True, False, True]]
    acting = agent(Remembering([[1, 0, 2, 0.5], [0, 1, 0, 7]]), space)
    batch = acting.act_batch(np.zeros((2, 2), np.float32))
    assert {key: np.array(part).tolist() for key, part in batch.items() if key == "bits"} == {"bits": [[1, 0], [0, 1]]}
    assert [part.tolist() for part in batch["kind"]] == [[7, 5], [[0.5], [1.0]]]


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


# A batch of environments.


def test_batches_are_those_of_vector_environments() -> None:
    """Of any structure and any kind of mask; actions are an array that the vector takes."""
    space = Dict({"eye": Box(0, 255, (2, 2), np.uint8), "place": Discrete(5)})
    policy: Any = Remembering([[1, 2], [0, 0]])
    observations = {"eye": np.full((2, 2, 2), 7, np.uint8), "place": np.array([4, 1])}
    actions = agent(policy, MultiDiscrete([2, 3]), space).act_batch(observations, np.ones((2, 5)))
    assert actions.tolist() == [[1, 2], [0, 0]]
    (call,) = policy.calls
    assert call["observation"]["place"].tolist() == [4, 1]
    assert call["action_mask"].tolist() == [[True] * 5] * 2


def test_episodes_start_where_a_mask_says() -> None:
    """At the next step alone; random numbers go on. At the first step all start, whatever the mask."""
    policy: Any = Remembering([0, 0], [0, 0], [0, 0])
    acting, observations = agent(policy), np.zeros((2, 2), np.float32)
    acting.reset(np.array([False, True]))
    for _ in range(3):
        acting.act_batch(observations)
        acting.reset([False, True])
        acting.reset([False, False])
    assert [call["first"] for call in policy.calls] == [[True, True], [False, True], [False, True]]
    assert [call["memory"] for call in policy.calls] == [[0, 0], [1, 1], [2, 2]]
    assert len({call["drawn"] for call in policy.calls}) == 3


def test_another_size_needs_a_reset() -> None:
    """A batch of other environments than before is refused, and so is a mask for others."""
    acting = agent(Remembering([0, 0], [0, 0, 0]))
    acting.act_batch(np.zeros((2, 2), np.float32))
    with pytest.raises(FrameworkError, match=r"acts in 2 environments and got the observations of 3: call reset\(\)"):
        acting.act_batch(np.zeros((3, 2), np.float32))
    with pytest.raises(FrameworkError, match=r"shape \(3,\): it must have one value for each environment, 2"):
        acting.reset(np.zeros(3, bool))
    acting.reset()
    assert acting.act_batch(np.zeros((3, 2), np.float32)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_batch_acts_as_each_environment_by_itself(mode: AutoresetMode) -> None:
    """With memory, in a vector environment of Gymnasium that resets itself, over several episodes each."""
    policy, _ = make("ppo", "gru", "cartpole", "two")
    together, *alone = (Agent(policy, OBSERVATIONS["cartpole"], Discrete(2)) for _ in range(4))
    environments = gymnasium.make_vec("CartPole-v1", 3, "sync", vector_kwargs={"autoreset_mode": mode})
    observations, _ = environments.reset(seed=0)
    ended, episodes = np.zeros(3, bool), 0
    for _ in range(60):
        actions = together.act_batch(observations)
        assert actions.tolist() == [single.act(row) for single, row in zip(alone, observations, strict=True)]
        observations, _, terminated, truncated, _ = environments.step(actions)
        starting = ended if mode is AutoresetMode.NEXT_STEP else terminated | truncated
        together.reset(starting)
        for index in np.flatnonzero(starting):
            alone[index].reset()
        ended, episodes = terminated | truncated, episodes + int(starting.sum())
    environments.close()
    assert episodes > 6


def test_the_page_plays_many_episodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script that it shows for vector environments."""
    page = (Path(__file__).parents[3] / "docs/how-to/use-from-python.md").read_text()
    (script,) = re.findall(r"^```python\n(# play_many.py\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "play_many.py").write_text(script)
    directory = runs.run(runs.write(tmp_path), tmp_path, run__total_steps=128, runtime__samplers=0)
    monkeypatch.setattr(sys, "argv", ["play_many.py", str(directory)])
    runpy.run_path(str(tmp_path / "play_many.py"))
    words = capsys.readouterr().out.split()
    assert words[:3] == ["mean", "return", "of"]
    assert int(words[3]) >= 200
    assert 5 < float(words[-1]) < 500


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
