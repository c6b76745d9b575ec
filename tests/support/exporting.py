"""Policies that have learned nothing, of any algorithm and encoder, and what their exported files make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import evolve
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from framework.export.act_module import Interface, interface_of, trace
from framework.export.files import FORMATS
from framework.export.verify import Agreement, Run, verify
from framework.interfaces import Context, Policy
from framework.pipeline.build import build, make_policy
from framework.pipeline.components import as_table
from framework.testing.subject import find
from framework.toolkit.spaces import ParameterizedActions, flat_space

TOLERANCE = 1e-4
OBSERVATIONS: dict[str, Space[Any]] = {
    "cartpole": Box(-np.inf, np.inf, (4,), np.float32),
    "vector": Box(-np.inf, np.inf, (6,), np.float32),
    "image": Box(0, 255, (20, 20, 3), np.uint8),
    "dict": Dict(
        {
            "eye": Box(0, 255, (20, 20, 3), np.uint8),
            "body": Dict({"place": Box(-3, 3, (3,), np.float64), "kind": Discrete(4, start=-1)}),
            "bits": MultiBinary(3),
            "text": MultiDiscrete([5] * 4),
        }
    ),
}
ACTIONS: dict[str, Space[Any]] = {
    "two": Discrete(2),
    "discrete": Discrete(3, start=2),
    "multi_discrete": MultiDiscrete([2, 3], start=[0, 1]),
    "multi_binary": MultiBinary(3),
    "parts": Dict(
        {
            "arm": Tuple((Discrete(3, start=2), Box(-0.01, 0.01, (1, 2), np.float64))),
            "bits": MultiBinary(2),
            "picks": MultiDiscrete([2, 3], start=[0, 1]),
        }
    ),
    "parameterized": ParameterizedActions({"kick": Box(-1, 1, (2,), np.float32), "wait": None}),
    "bounded_box": Box(np.array([[-0.01, -1.0]]), np.array([[0.01, 3.0]]), dtype=np.float64),
    "box": Box(np.array([[-0.01, -1.0]]), np.array([[0.01, np.inf]]), dtype=np.float64),
}
#: Bounded on all sides.
BOUNDED = Box(np.array([-0.01, -1.0], np.float32), np.array([0.01, 3.0], np.float32))
_SMALL_CNN = {"kernels": [3, 3], "strides": [3, 2], "channels": [4, 4], "features": 16}
_TOKENS = {"width": 16, "heads": 2, "depth": 1}
ENCODERS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [16]},
    "cnn": _SMALL_CNN,
    "impala_cnn": {"channels": [4], "features": 16},
    "transformer": _TOKENS,
    "multimodal": {**_TOKENS, "features": 16},
    "gru": {"features": 16, "core": {"use": "mlp", "hidden": [16]}},
    "lstm": {"features": 16, "core": {"use": "cnn", **_SMALL_CNN}},
    "transformer_memory": {**_TOKENS, "window": 4, "core": {"use": "mlp", "hidden": [16]}},
}


def make(algorithm: str, encoder: str, observation: str, action: str, **options: Any) -> tuple[Policy, Context]:
    """A policy with its first weights, and the context that it was made for."""
    context = Context(
        observation_space=flat_space(OBSERVATIONS[observation]),
        action_space=BOUNDED if action == "bounded" else ACTIONS[action],
        seed=1,
        device="cpu",
        num_envs=4,
        rollout_length=8,
        total_steps=1000,
    )

    def make_part(part: Any, part_context: Context) -> Any:
        return build(find("encoder", as_table(part)), part_context)

    table = {"use": encoder, **ENCODERS[encoder]}
    context = evolve(
        context,
        make_part=make_part,
        make_encoder=lambda encoder_context=None: make_part(table, encoder_context or context),
    )
    return make_policy(find("algorithm", {"use": algorithm, **options}), context), context


def export(policy: Policy, context: Context, kind: str, *, masked: bool = False) -> tuple[Run, Interface]:
    """What runs the file of this kind, and what goes into it."""
    traced = trace(policy, interface_of(policy, context.observation_space, context.action_space, masked=masked))
    encode, runner = FORMATS[kind]
    return runner(encode(traced, {})), traced.interface


def agreement(policy: Policy, context: Context, kind: str, *, masked: bool = False) -> Agreement:
    """How well the file and the policy agree; raises where they do not."""
    run, interface = export(policy, context, kind, masked=masked)
    return verify(run, policy, interface, TOLERANCE)
