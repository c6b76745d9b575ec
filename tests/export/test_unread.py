"""Exported policies without what only their value sees, and of continuous actions of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from exporting import TOLERANCE, export, make

from framework.export.act_module import interface_of, trace
from framework.export.files import FORMATS
from framework.export.verify import verify

POLICY_ALONE = {"policy_observations": ["body/place"]}


@pytest.mark.parametrize("kind", [pytest.param("onnx", marks=pytest.mark.slow), "torch"])
def test_the_file_needs_no_observation_that_no_action_depends_on(kind: str) -> None:
    """Whatever the policy itself is given there, the file does the same without it."""
    pytest.importorskip("onnxscript")
    options: dict[str, Any] = {**POLICY_ALONE, "normalize_observations": True}
    policy, context = make("ppo", "mlp", "dict", "two", **options)
    run, interface = export(policy, context, kind)
    assert list(interface.inputs(1)) == ["body/place"]
    assert sorted(interface.unread) == ["bits", "body/kind", "eye", "text"]
    assert verify(run, policy, interface, TOLERANCE).rows > 0


@pytest.mark.slow
def test_what_the_memory_of_the_value_reads_is_left_out_with_it() -> None:
    """As no action depends on either."""
    encoder = {"use": "gru", "features": 4, "core": {"use": "mlp", "hidden": [4]}}
    policy, context = make("ppo", "mlp", "dict", "two", value_encoder=encoder, **POLICY_ALONE)
    assert policy.initial_memory(1)
    traced = trace(policy, interface_of(policy, context.observation_space, context.action_space, masked=False))
    assert list(traced.interface.inputs(1)) == ["body/place"]


PRE_SQUASH, PLAIN = ["pre_squash_mean", "pre_squash_std"], ["mean", "std"]
#: Options, and the parameters of the distribution in the file.
CONTINUOUS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "squashed": ({"action_distribution": "squashed"}, PRE_SQUASH),
    "state_dependent_std": ({"state_dependent_std": True}, PLAIN),
    "gsde": ({"gsde": True}, PLAIN),
    "all": ({"gsde": True, "action_distribution": "squashed", "actor_hidden": [4]}, PRE_SQUASH),
}
QUICK = ("squashed", "torch")
SLOW = [(name, kind) for name in CONTINUOUS for kind in FORMATS if (name, kind) != QUICK]


@pytest.mark.parametrize(("name", "kind"), [QUICK, *(pytest.param(*cell, marks=pytest.mark.slow) for cell in SLOW)])
def test_continuous_actions_of_every_kind(name: str, kind: str) -> None:
    """They agree, with the parameters of the distribution; the noise of gSDE is no input of deterministic actions."""
    pytest.importorskip("onnxscript")
    options, parameters = CONTINUOUS[name]
    policy, context = make("ppo", "mlp", "vector", "bounded", **options)
    run, interface = export(policy, context, kind)
    assert list(interface.inputs(1)) == ["observation"]
    assert list(run(interface.inputs(2))) == ["action", *parameters]
    assert verify(run, policy, interface, TOLERANCE).rows > 0
