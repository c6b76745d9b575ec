"""Policies as modules of named tensors, and what torch makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from exporting import ACTIONS, make
from gymnasium.spaces import Box, Discrete
from torch import nn

from framework.errors import FrameworkError
from framework.export.act_module import ActModule, Interface, action_spaces, interface_of, trace
from framework.export.verify import action_outputs

VECTOR = {"observation": Box(-1, 1, (2,), np.float32)}


class Policy(nn.Module):
    """The contract and no more; a test says what its actions are made of."""

    def __init__(self, choose: Any):
        super().__init__()
        self.choose = choose

    def initial_memory(self, count: int) -> dict[str, torch.Tensor]:
        return {"used": torch.zeros(count), "through": torch.zeros(count), "unused": torch.zeros(count, 5)}

    def act(self, observation: Any, memory: Any, first: Any, generator: Any, **more: Any) -> Any:
        used = memory["used"].masked_fill(first, 0.0) + memory["through"]
        unused = memory["unused"] + memory["used"].unsqueeze(1)
        after = {"used": used + 1, "through": memory["through"] + 1, "unused": unused}
        return self.choose(observation["observation"], used), {}, after


def inputs(interface: Interface, count: int) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in interface.inputs(count).items()}


@pytest.mark.parametrize("action", ACTIONS)
def test_actions_are_as_environments_take_them(action: str) -> None:
    """Of every kind of space: dtype, shape, start and bounds."""
    policy, context = make("ppo", "mlp", "vector", action)
    module = ActModule(policy, interface_of(policy, context.observation_space, context.action_space, masked=False))
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 6), scale=1e3).astype(np.float32))
    with torch.inference_mode():
        outputs = module({"observation": rows})
        actions, extras, _ = policy.act(
            {"observation": rows}, {}, torch.ones(4, dtype=torch.bool), torch.Generator(), deterministic=True
        )
    expected = action_outputs(context.action_space, actions.numpy())
    assert list(outputs) == [*expected, *policy.action_distribution(extras)]
    for name, space in action_spaces(context.action_space).items():
        taken = outputs[name].numpy()
        assert (taken.dtype, taken.tolist()) == (expected[name].dtype, expected[name].tolist())
        assert all(space.contains(row) for row in taken)


def test_actions_of_several_parts_have_an_output_each() -> None:
    """By the name of the part; so has what they are drawn from."""
    policy, context = make("ppo", "mlp", "vector", "parts")
    module = ActModule(policy, interface_of(policy, context.observation_space, context.action_space, masked=False))
    outputs = module({"observation": torch.zeros(2, 6)})
    assert {name: tuple(x.shape) for name, x in outputs.items()} == {
        "action/arm/0": (2,),
        "action/arm/1": (2, 1, 2),
        "action/bits": (2, 2),
        "action/picks": (2, 2),
        "arm/0/logits": (2, 3),
        "arm/1/mean": (2, 1, 2),
        "arm/1/std": (2, 1, 2),
        "bits/logits": (2, 2),
        "picks/logits": (2, 5),
    }


def test_memory_that_no_action_depends_on_is_left_out() -> None:
    """What leads to an action through other memory is kept; the names of outputs are others than of inputs."""
    policy: Any = Policy(lambda x, used: (x.sum(1) + used > 1).long())
    traced = trace(policy, interface_of(policy, VECTOR, Discrete(2), masked=False))
    assert list(traced.interface.inputs(1)) == ["observation", "first", "memory/used", "memory/through"]
    assert traced.outputs == ("action", "next_memory/used", "next_memory/through")


def test_observations_that_no_action_depends_on_are_left_out() -> None:
    """But not all of them, as their rows are the size of the batch."""
    both = {"hidden": Box(-1, 1, (3,), np.float32), **VECTOR}
    policy: Any = Policy(lambda x, used: (x.sum(1) > 1).long())
    traced = trace(policy, interface_of(policy, both, Discrete(2), masked=False))
    assert list(traced.interface.inputs(1)) == ["observation"]
    assert list(traced.interface.unread) == ["hidden"]
    constant: Any = Policy(lambda x, used: torch.zeros(x.shape[0]).long())
    traced = trace(constant, interface_of(constant, both, Discrete(2), masked=False))
    assert list(traced.interface.inputs(1)) == ["hidden", "observation"]


def test_the_size_of_the_batch_may_be_asked_for() -> None:
    """As a policy of anybody's does, with `len`; of its memory nothing is needed."""
    policy: Any = Policy(lambda x, used: (x.sum(1) > torch.ones(len(x))).long())
    traced = trace(policy, interface_of(policy, VECTOR, Discrete(2), masked=False))
    assert (list(traced.interface.inputs(1)), traced.outputs) == (["observation"], ("action",))
    outputs = traced.program.module()({"observation": torch.full((5, 2), 2.0)})
    assert outputs["action"].tolist() == [1] * 5


@pytest.mark.parametrize(
    "choose",
    [
        lambda x, used: torch.zeros(len(x)).long() if x.sum() > 0 else torch.ones(len(x)).long(),
        lambda x, used: (x.sum(1) > torch.arange(len(x) if len(x) == 3 else 3)).long(),
    ],
    ids=["if", "size"],
)
def test_what_torch_cannot_follow_is_refused(choose: Any) -> None:
    """With the reason."""
    policy: Any = Policy(choose)
    with pytest.raises(FrameworkError, match=r"as torch cannot follow its act\(\): it may not branch.*\n\w+"):
        trace(policy, interface_of(policy, VECTOR, Discrete(2), masked=False))


@pytest.mark.parametrize("name", ["first", "action_mask", "memory/hidden"])
def test_observations_with_the_name_of_another_input_are_refused(name: str) -> None:
    """By name."""
    policy: Any = Policy(None)
    with pytest.raises(FrameworkError, match=f"the observation '{name}' has the name of an input"):
        interface_of(policy, {name: VECTOR["observation"]}, Discrete(2), masked=False)
