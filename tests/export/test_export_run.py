"""Policies of runs as files: what they do in the environment, and what stands in them."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import runs
import tiny
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Tuple

import framework
from framework.errors import FrameworkError
from framework.export import export_run as module
from framework.export.act_module import Traced
from framework.export.export_run import Exported, describe_space, export_run
from framework.export.files import onnx_runner
from framework.pipeline.build import build_environment
from framework.runtime.data.seeds import evaluation_seed
from framework.runtime.evaluate.evaluate import evaluate
from framework.runtime.evaluate.evaluate_run import evaluate_run
from framework.toolkit.spaces import ParameterizedActions

PAGE = Path(__file__).parents[2] / "docs/how-to/export-a-policy.md"
MEMORY = {
    "encoder": {"use": "gru", "features": 8, "core": {"use": "mlp", "hidden": [16]}},
    "algorithm__normalize_observations": True,
}


def shown(name: str) -> str:
    """A file that the page shows."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if block.startswith(f"# {name}\n"))
    return block


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of CartPole with memory."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("run")
    return runs.run(runs.write(folder), folder, run__total_steps=512, runtime__samplers=0, **MEMORY)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch's part, which takes seconds."""
    monkeypatch.setattr(module, "trace", lambda policy, interface: Traced(None, interface, ()))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def exported(run: Path) -> Exported:
    (result,) = export_run(run, {"onnx": run.parent / "policy.onnx"}, "last")
    return result


class Session:
    """Acts with an ONNX file alone, and keeps its memory."""

    def __init__(self, path: Path, count: int):
        self._run = onnx_runner(path.read_bytes())
        self._memory: dict[str, Any] = {"memory/policy/hidden": np.zeros((count, 8), np.float32)}
        self._first = np.ones(count, bool)

    def __call__(self, observations: Any, action_mask: Any) -> np.ndarray:
        outputs = self._run({**observations, **self._memory, "first": self._first})
        self._first = np.zeros_like(self._first)
        self._memory = {name: outputs[f"next_{name}"] for name in self._memory}
        return np.asarray(outputs["action"])


def test_returns_are_those_of_the_evaluation(run: Path, exported: Exported) -> None:
    """Over the same episodes, each of them."""
    pipeline = framework.load_run(run)
    seed = evaluation_seed(pipeline.run.seed)
    expected = evaluate_run(run, checkpoint="last", episodes=4)
    actual = evaluate(Session(exported.path, 4), build_environment(pipeline), 4, seed)
    assert actual.returns.tolist() == expected.returns.tolist()


def test_files_say_where_they_come_from(run: Path, exported: Exported) -> None:
    """And what they take and give."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    spaces = {name: json.loads(metadata.pop(f"{name}_space")) for name in ("observation", "action")}
    assert metadata == {
        "framework_version": framework.__version__,
        "run": run.name,
        "checkpoint": "update-00000004",
        "deterministic": "true",
    }
    environment = gymnasium.make("CartPole-v1")
    assert spaces["observation"] == {"observation": describe_space(environment.observation_space)}
    assert spaces["action"] == {"type": "Discrete", "n": 2, "start": 0}
    assert exported.bytes == exported.path.stat().st_size
    names = [[value.name for value in values] for values in (session.get_inputs(), session.get_outputs())]
    assert names == [list(exported.inputs), list(exported.outputs)]
    assert names == [
        ["observation", "first", "memory/policy/hidden"],
        ["action", "logits", "next_memory/policy/hidden"],
    ]


def test_the_page_plays_with_onnxruntime_alone(run: Path, exported: Exported, tmp_path: Path) -> None:
    """The script that the page shows imports neither the framework nor torch, and scores what the agent does."""
    script = tmp_path / "play.py"
    script.write_text(shown("play.py") + "assert not {'torch', 'framework'} & sys.modules.keys()\n")
    output = subprocess.run([sys.executable, script, exported.path], capture_output=True, text=True, check=True).stdout
    agent = framework.load_agent(run, "last")
    environment = gymnasium.make("CartPole-v1")
    expected = []
    for episode in range(10):
        agent.reset()
        observation, _ = environment.reset(seed=episode)
        done, total = False, 0.0
        while not done:
            observation, reward, terminated, truncated, _ = environment.step(agent.act(observation))
            done, total = terminated or truncated, total + float(reward)
        expected.append(f"episode {episode}: return {total:g}")
    assert output.splitlines() == expected


@pytest.fixture(scope="module")
def sampling(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The functions that the page shows for sampling."""
    file = tmp_path_factory.mktemp("page") / "sampling.py"
    file.write_text(shown("sampling.py"))
    specification = importlib.util.spec_from_file_location("sampling", file)
    assert specification is not None
    assert specification.loader is not None
    shown_functions = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(shown_functions)
    return shown_functions


def test_the_page_samples_from_the_distribution(sampling: Any) -> None:
    """Each choice as often as it is probable, and a masked one never."""
    generator, rows = np.random.default_rng(0), 20_000
    logits = np.array([0.0, 1.0, np.finfo(np.float32).min, -1.0], np.float32)
    probabilities = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()
    batch = np.tile(logits, (rows, 1))
    counts = np.bincount(sampling.discrete(batch, generator), minlength=4)
    np.testing.assert_allclose(counts / rows, probabilities, atol=0.015)
    assert counts[2] == 0
    first, second = sampling.multi_discrete(np.concatenate([batch, batch[:, :2]], 1), [4, 2], generator, start=5).T
    np.testing.assert_allclose(np.bincount(first - 5, minlength=4) / rows, probabilities, atol=0.015)
    np.testing.assert_allclose((second == 6).mean(), 1 / (1 + np.exp(-1.0)), atol=0.015)
    bits = sampling.multi_binary(batch[:, :2], generator)
    np.testing.assert_allclose(bits.mean(0), [0.5, 1 / (1 + np.exp(-1.0))], atol=0.015)
    values = sampling.box(np.full((rows, 1), 0.5), np.full((rows, 1), 0.1), -1.0, 1.0, generator)
    np.testing.assert_allclose([values.mean(), values.std()], [0.5, 0.1], atol=0.015)
    values = sampling.squashed_box(np.full((rows, 1), 0.5), np.full((rows, 1), 0.1), -1.0, 3.0, generator)
    np.testing.assert_allclose(np.median(values), 1 + 2 * np.tanh(0.5), atol=0.015)


@pytest.mark.usefixtures("untraced")
def test_nothing_is_written_where_the_file_does_not_do_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is told, and a file that was there before stays as it was."""
    wrong = {"torch": (lambda traced, metadata: b"", lambda data: lambda inputs: {"action": np.zeros(1)})}
    monkeypatch.setattr(module, "FORMATS", wrong)
    file = tmp_path / "policy.pt2"
    with pytest.raises(FrameworkError, match="the exported policy gives action as float64"):
        export_run(run, {"torch": file}, "last")
    assert not file.exists()

    def refuse(data: bytes) -> None:
        raise ValueError("no such operator")

    monkeypatch.setattr(module, "FORMATS", {"torch": (lambda traced, metadata: b"", refuse)})
    with pytest.raises(FrameworkError, match="cannot be loaded: no such operator"):
        export_run(run, {"torch": file}, "last")


@pytest.mark.usefixtures("untraced")
def test_files_that_cannot_be_written_are_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the path and the system's reason."""
    monkeypatch.setattr(module, "verify", lambda *arguments: None)
    monkeypatch.setattr(module, "FORMATS", {"torch": (lambda traced, metadata: b"", lambda data: None)})
    with pytest.raises(FrameworkError, match=r"nowhere/policy.pt2: cannot be written: No such file"):
        export_run(run, {"torch": tmp_path / "nowhere/policy.pt2"}, "last")


def test_masks_are_an_input_where_the_environment_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is seen at a reset, with a task of the evaluation where there is one; the environment is closed."""
    asked: list[Any] = []

    class Masked(tiny.Hashed):
        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            asked.append(options)
            return super().reset(seed=seed, options=options)[0], {"action_mask": np.ones(2, bool)}

    environments: list[tiny.Hashed] = []
    monkeypatch.setattr(tiny.Environment, "make", lambda self: environments.append(Masked()) or environments[-1])
    pipeline = tiny.load(tmp_path, evaluation__tasks=[7])
    observation_space, action_space, masked = module._spaces(pipeline)
    assert (list(observation_space), action_space, masked) == (["observation"], Discrete(2), True)
    assert asked == [{"task": 7}]
    assert [environment.closed for environment in environments] == [True]
    monkeypatch.undo()
    assert module._spaces(tiny.load(tmp_path))[2] is False


@pytest.mark.parametrize(
    ("space", "described"),
    [
        (Discrete(3, start=-1), {"type": "Discrete", "n": 3, "start": -1}),
        (Box(0, 255, (2, 2), np.uint8), {"type": "Box", "shape": [2, 2], "dtype": "uint8", "low": 0, "high": 255}),
        (
            Box(np.array([-np.inf, 0.5]), np.inf, dtype=np.float64),
            {"type": "Box", "shape": [2], "dtype": "float64", "low": [None, 0.5], "high": None},
        ),
        (
            MultiDiscrete([2, 3], start=[0, 1]),
            {"type": "MultiDiscrete", "shape": [2], "dtype": "int64", "nvec": [2, 3], "start": [0, 1]},
        ),
        (MultiBinary(3), {"type": "MultiBinary", "shape": [3], "dtype": "int8"}),
        (
            Tuple((Discrete(2), ParameterizedActions({"go": MultiBinary(1), "wait": None}))),
            {
                "type": "Tuple",
                "parts": {
                    "0": {"type": "Discrete", "n": 2, "start": 0},
                    "1/choice": {"type": "Discrete", "n": 2, "start": 0},
                    "1/go": {"type": "MultiBinary", "shape": [1], "dtype": "int8"},
                },
            },
        ),
        (
            ParameterizedActions({"wait": None}),
            {
                "type": "ParameterizedActions",
                "names": ["wait"],
                "parts": {"choice": {"type": "Discrete", "n": 1, "start": 0}},
            },
        ),
    ],
)
def test_spaces_are_described_in_json(space: Any, described: dict[str, Any]) -> None:
    """Strictly: without infinities."""
    assert describe_space(space) == described
    json.dumps(describe_space(space), allow_nan=False)
