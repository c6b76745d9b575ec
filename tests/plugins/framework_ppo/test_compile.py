"""Compiled networks learn what the others do."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from remembering import Remembering
from small_ppo import collect, make_context, ppo, use

from framework_encoders.cnn import CNN
from framework_encoders.config import CNNConfig
from framework_ppo.config import PPOConfig
from framework_ppo.ppo import PPO

IMAGE = Box(0, 255, (1, 12, 12), np.uint8)
SMALL = CNNConfig(features=16, channels=(4,), kernels=(4,), strides=(2,))
ENCODERS: dict[str, dict[str, Any]] = {
    "mlp": {},
    "cnn": {"observation": IMAGE, "encoder": lambda context: CNN(SMALL, context)},
    "memory": {"encoder": lambda context: Remembering(None, context), "steps": 4},
}


def learned(compile: bool, **fields: Any) -> dict[str, torch.Tensor]:
    """The weights after two updates whose minibatches are of two sizes."""
    context = make_context(compile=compile, **fields)
    algorithm = ppo(context, minibatch_size=36, epochs=2, learning_rate=3e-3)
    use("networks by autograd", algorithm)
    for seed in range(2):
        algorithm.update(collect(algorithm, context, seed=seed))
    return algorithm.policy.state_dict()


def assert_equal(name: str) -> None:
    """Compiled or not, the weights are the same, and have the same names."""
    plain, compiled = (learned(compile, **ENCODERS[name]) for compile in (False, True))
    assert list(plain) == list(compiled)
    for key, value in plain.items():
        torch.testing.assert_close(compiled[key], value, rtol=1e-3, atol=1e-5)


@pytest.fixture
def counters():
    """What torch.compile counts."""
    from torch._dynamo import reset
    from torch._dynamo.utils import counters as found

    reset()
    found.clear()
    yield found
    reset()


@pytest.mark.slow  # CI runs it: importing the compiler takes as long as it does
@pytest.mark.parametrize("name", ENCODERS)
def test_compiled_encoders_learn_the_same(name, monkeypatch, counters):
    """Each encoder is traced whole, without a break, and its updates end at the same weights."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    assert_equal(name)
    assert counters["stats"]["unique_graphs"] > 0
    assert not counters["graph_break"]


def test_only_the_learner_compiles(monkeypatch):
    """What samplers act with is as it is; the closed form gives way to what is compiled."""
    compiled = []

    def note(module: torch.nn.Module) -> None:
        compiled.append(module)

    monkeypatch.setattr(torch.nn.Module, "compile", note)
    context = make_context(compile=True)
    PPO.make_policy(PPOConfig(), context)
    assert compiled == []
    algorithm = ppo(context)
    assert not algorithm.policy.closed_form
    assert compiled == list(algorithm.policy.encoders.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_real_compiler_does_the_same(name, counters):
    """As above, through the machine's C++ compiler."""
    assert_equal(name)
    assert counters["inductor"]
