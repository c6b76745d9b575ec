"""The bytes of exported policies."""

from __future__ import annotations

import io
import json
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting import make

from framework.errors import PluginError
from framework.export import files
from framework.export.act_module import Traced, interface_of, trace
from framework.export.files import METADATA, onnx_bytes, onnx_runner, torch_bytes, torch_runner
from framework.export.verify import COUNTS, STEPS, verify

POLICY, CONTEXT = make("ppo", "mlp", "dict", "multi_discrete", normalize_observations=True)


@pytest.fixture(scope="module")
def traced() -> Traced:
    return trace(POLICY, interface_of(POLICY, CONTEXT.observation_space, CONTEXT.action_space, masked=True))


def names_files(data: bytes) -> bool:
    """Whether the bytes name a file of this machine."""
    return any(
        str(folder).encode() in data for folder in (Path(torch.__file__).parent, Path(files.__file__).parents[2])
    )


def test_onnx_files_are_valid_and_tell_nothing_of_this_machine(traced: Traced) -> None:
    """The checker of ONNX takes them; the first axis is named, as any size of batch does; they have the metadata."""
    onnx = pytest.importorskip("onnx")
    data = onnx_bytes(traced, {"run": "cartpole-1"})
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    values = {value.name: value.type.tensor_type.shape.dim for value in (*model.graph.input, *model.graph.output)}
    assert {name: dims[0].dim_param for name, dims in values.items()} == dict.fromkeys(
        [*CONTEXT.observation_space, "action_mask", "action", "logits"], "batch"
    )
    assert {entry.key: entry.value for entry in model.metadata_props} == {"run": "cartpole-1"}
    assert not names_files(data)
    result = verify(onnx_runner(data), POLICY, traced.interface, 1e-4)
    assert (result.rows, result.ties) == (sum(COUNTS) * STEPS, 0)


def test_programs_of_torch_have_the_metadata(traced: Traced) -> None:
    """As an extra file; they take their inputs in any order, and tell nothing of this machine."""
    data = torch_bytes(traced, {"run": "cartpole-1"})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (metadata,) = (content for name, content in contents.items() if name.endswith(METADATA))
    assert json.loads(metadata) == {"run": "cartpole-1"}
    assert not any(map(names_files, contents.values()))
    inputs = traced.interface.inputs(5)
    outputs = torch_runner(data)(dict(reversed(inputs.items())))
    assert (outputs["action"] == torch_runner(data)(inputs)["action"]).all()
    assert np.asarray(outputs["action"]).shape == (5, 2)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package: str, traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""

    def import_all_others(name: str) -> Any:
        if name == package:
            raise ImportError(name)
        return import_module("json")

    monkeypatch.setattr(files, "import_module", import_all_others)
    with pytest.raises(PluginError, match=rf'needs {package}: pip install "framework-rl\[export\]"'):
        onnx_bytes(traced, {})
