"""The files of exported policies: their bytes, and what runs them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch

from framework.errors import PluginError
from framework.export.act_module import Traced, followed
from framework.export.verify import Run

#: Name of the file with the metadata in a `torch.export` program.
METADATA = "framework.json"


def onnx_bytes(traced: Traced, metadata: Mapping[str, str]) -> bytes:
    """The policy as an ONNX file. Raises `PluginError` where what writes it is not installed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _need(package)
    example = (_tensors(traced.interface.inputs(2)),)
    names = list(traced.interface.inputs(1))
    with followed():
        program: Any = torch.onnx.export(
            traced.program,
            example,
            input_names=names,
            output_names=list(traced.outputs),
            dynamo=True,
            verbose=False,
        )
    _rename_inner_values(program.model.graph, {*names, *traced.outputs})
    model = program.model_proto
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]  # which name files of this machine
    for name, text in metadata.items():
        model.metadata_props.add(key=name, value=text)
    serialized: bytes = model.SerializeToString()
    return serialized


def onnx_runner(data: bytes) -> Run:
    """What runs an ONNX file, with onnxruntime on a CPU."""
    runtime = _need("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def torch_bytes(traced: Traced, metadata: Mapping[str, str]) -> bytes:
    """The policy as a `torch.export` program; the metadata are its extra file `METADATA`."""
    file = io.BytesIO()
    with followed():
        torch.export.save(traced.program, file, extra_files={METADATA: json.dumps(dict(metadata))})
    return file.getvalue()


def torch_runner(data: bytes) -> Run:
    """What runs a `torch.export` program."""
    with followed():
        module = torch.export.load(io.BytesIO(data)).module()

    def run(inputs: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            return {name: tensor.numpy() for name, tensor in module(_tensors(inputs)).items()}

    return run


#: Suffix of the option -> how a file is made, and how it is run.
FORMATS: dict[str, tuple[Callable[[Traced, Mapping[str, str]], bytes], Callable[[bytes], Run]]] = {
    "onnx": (onnx_bytes, onnx_runner),
    "torch": (torch_bytes, torch_runner),
}


def _rename_inner_values(graph: Any, taken: set[str]) -> None:
    """Give other names to what is computed on the way: torch names it by its operation, such as ``mean``."""
    for node in graph:
        for value in node.outputs:
            if value.name in taken and not any(value is output for output in graph.outputs):
                value.name = f"{value.name}_inner"


def _tensors(inputs: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in inputs.items()}


def _need(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise PluginError(f'writing ONNX files needs {package}: pip install "framework-rl[export]"') from error
