"""Encoders with memory: how tests make them and run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Space
from small_ppo import make_context

from framework.catalog import default_catalog
from framework.interfaces import Context, Encoding
from framework.pipeline.build import build
from framework.pipeline.components import as_table, choose

Tensors = dict[str, torch.Tensor]

VECTOR = Box(-1, 1, (3,), np.float32)
#: Each encoder with memory, small, as a pipeline would ask for it.
SMALL: dict[str, dict[str, Any]] = {
    "gru": {"use": "gru", "features": 8},
    "lstm": {"use": "lstm", "features": 8},
    "transformer_memory": {"use": "transformer_memory", "width": 8, "heads": 2, "depth": 2, "window": 4},
}


def make_part(part: Any, part_context: Context) -> Any:
    """The encoder that an option names, as the kernel makes it."""
    component, problems = choose("encoder", as_table(part), "encoder", directory=Path(), catalog=default_catalog())
    assert component is not None, problems
    return build(component, part_context)


def make(part: Any, observation: Space[Any] = VECTOR, seed: int = 0) -> Any:
    """An encoder over a core of one layer; its weights are a function of the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        table = {"core": {"use": "mlp", "hidden": [6]}, **as_table(part)}
        return make_part(table, make_context(observation, make_part=make_part))


def sequences(steps: int, count: int, ends: float = 0.25, seed: int = 0) -> tuple[Tensors, torch.Tensor]:
    """Random observations [T, N, 3], and where episodes start [T, N]: anywhere, with probability ``ends``."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.rand(steps, count, 3, generator=generator) * 2 - 1
    return {"observation": observation}, torch.rand(steps, count, generator=generator) < ends


def step_by_step(encoder: Any, observations: Tensors, memory: Tensors, first: torch.Tensor) -> tuple[Encoding, Tensors]:
    """What one pass over T should give, made of T passes over one step each."""
    features = []
    for t in range(len(first)):
        encoding, memory = encoder({name: x[t : t + 1] for name, x in observations.items()}, memory, first[t : t + 1])
        features.append(encoding.features)
    return Encoding(torch.cat(features)), memory
