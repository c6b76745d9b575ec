"""The policy of a run written to files, each held against the policy itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space

from framework import __version__
from framework.errors import FrameworkError, writing
from framework.export.act_module import Interface, interface_of, trace
from framework.export.files import FORMATS
from framework.export.verify import Agreement, verify
from framework.pipeline.build import build_environment
from framework.pipeline.sections import Pipeline
from framework.runtime.data.seeds import episode_seed, evaluation_seed
from framework.runtime.disk.load_run import load_run
from framework.runtime.evaluate.agent import load_policy
from framework.runtime.rollout.environments import make_environment
from framework.runtime.rollout.stepped_vector import SteppedVector
from framework.toolkit.spaces import ParameterizedActions, action_parts

#: The largest difference of real numbers that is taken for rounding, relative to those larger than 1.
TOLERANCE = 1e-4


@frozen
class Exported:
    """A file that was written, and how well it agrees with the policy."""

    path: Path
    bytes: int
    inputs: Mapping[str, np.ndarray]  #: by name, of a batch of one
    outputs: Mapping[str, np.ndarray]
    agreement: Agreement


def export_run(
    run: Path, files: Mapping[str, Path], checkpoint: str = "best", *, tolerance: float = TOLERANCE, trust: bool = False
) -> list[Exported]:
    """Write the policy of a run directory to files, by their format: ``{"onnx": path, "torch": path}``.

    The policy acts deterministically, with its normalization of observations, in float32 whatever the run's precision.
    A file is written only if it agrees with the policy on random observations, see `verify`.

    Args:
        run: a run directory.
        files: a path for each format.
        checkpoint: ``"best"`` by evaluation (the last where there was none), ``"last"``, or a checkpoint's name.
        tolerance: the largest difference of real numbers, relative to those larger than 1.
        trust: import the Python files that the run names, as for `framework.load_run`.

    Raises `FrameworkError` where the policy cannot be exported, or does not do the same where it was, and `PluginError`
    where a format needs packages that are missing.
    """
    pipeline = load_run(run, trust=trust)
    observation_space, action_space, masked = _spaces(pipeline)
    policy, path = load_policy(run, pipeline, observation_space, action_space, checkpoint, precision="float32")
    traced = trace(policy, interface_of(policy, observation_space, action_space, masked=masked))
    metadata = _metadata(run, path, traced.interface)
    exported = []
    for kind, file in files.items():
        encode, runner = FORMATS[kind]
        data = encode(traced, metadata)
        try:
            execute = runner(data)
        except Exception as error:
            raise FrameworkError(f"what was exported cannot be loaded: {error}") from error
        agreement = verify(execute, policy, traced.interface, tolerance)
        with writing(file):
            file.write_bytes(data)
        inputs = traced.interface.inputs(1)
        exported.append(Exported(file, len(data), inputs, dict(execute(inputs)), agreement))
    return exported


def _spaces(pipeline: Pipeline) -> tuple[dict[str, Space[Any]], Space[Any], bool]:
    """Flat observation space and action space of the run's environment, and whether it tells the legal actions."""
    vector = SteppedVector([make_environment(build_environment(pipeline))])
    try:
        task = next(iter(pipeline.evaluation.tasks), None)
        vector.reset(np.arange(1), [episode_seed(evaluation_seed(pipeline.run.seed), 0, 0)], [task])
        return vector.observation_space, vector.action_space, vector.action_mask is not None
    finally:
        for problem in vector.close():
            print(problem, file=sys.stderr)


def _metadata(run: Path, checkpoint: Path, interface: Interface) -> dict[str, str]:
    observations = {name: describe_space(leaf) for name, leaf in interface.observation_space.items()}
    return {
        "framework_version": __version__,
        "run": run.resolve().name,
        "checkpoint": checkpoint.name,
        "deterministic": "true",
        "observation_space": json.dumps(observations),
        "action_space": json.dumps(describe_space(interface.action_space)),
    }


def describe_space(space: Space[Any]) -> dict[str, Any]:
    """A space as plain values. Bounds are one number where all are equal, and null where infinite."""
    described: dict[str, Any] = {"type": type(space).__name__}
    if isinstance(space, ParameterizedActions):
        described["names"] = list(space.names)
    if parts := action_parts(space):
        return described | {"parts": {name: describe_space(part.space) for name, part in parts.items()}}
    if isinstance(space, Discrete):
        return described | {"n": int(space.n), "start": int(space.start)}
    described |= {"shape": list(space.shape or ()), "dtype": str(space.dtype)}
    if isinstance(space, Box):
        return described | {"low": _bounds(space.low), "high": _bounds(space.high)}
    if isinstance(space, MultiDiscrete):
        return described | {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
    assert isinstance(space, MultiBinary)
    return described


def _bounds(array: np.ndarray) -> Any:
    values = array.astype(object)
    values[~np.isfinite(array)] = None
    distinct = np.unique(array)
    return values.reshape(-1)[0] if len(distinct) == 1 else values.tolist()
