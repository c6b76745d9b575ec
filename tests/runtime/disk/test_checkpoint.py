import errno
import hashlib
import json
import math
import os
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from framework.runtime.disk import checkpoint
from framework.runtime.disk.checkpoint import CheckpointError, load, save

TORCH_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32),
    *(torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.float8_e4m3fn),
)
NUMPY_DTYPES = ("bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)))
NUMPY_DTYPES += ("float16", "float32", "float64", "complex64")
FILES = ("tensors.safetensors", "state.json", "manifest.json")
STATE = {"update": 3, "weights": torch.arange(6.0), "counts": np.arange(3), "name": "x", "nested": [{"a": (1, 2.5)}]}

fuzz = settings(derandomize=True, deadline=None, max_examples=100, database=None)


def assert_same(actual: Any, expected: Any) -> None:
    """Both are of one type and equal, bit for bit."""
    assert type(actual) is type(expected)
    if isinstance(actual, torch.Tensor):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        left, right = (tensor.contiguous().view(-1).view(torch.uint8) for tensor in (actual, expected))
        assert left.equal(right)
    elif isinstance(actual, np.ndarray):
        assert (actual.dtype, actual.shape, actual.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    elif isinstance(actual, dict):
        assert list(actual) == list(expected)
        for key, value in actual.items():
            assert_same(value, expected[key])
    elif isinstance(actual, list | tuple):
        assert len(actual) == len(expected)
        for left, right in zip(actual, expected, strict=True):
            assert_same(left, right)
    else:
        assert actual == expected or (math.isnan(actual) and math.isnan(expected))
        assert repr(actual) == repr(expected)


def survives(folder: Path, state: dict[str, Any]) -> None:
    """The state is loaded as it was saved."""
    assert_same(load(save(folder, "update-1", state)), state)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that nobody damages."""
    return save(tmp_path_factory.mktemp("whole"), "update-1", STATE)


@pytest.mark.parametrize("dtype", TORCH_DTYPES, ids=str)
def test_tensors_survive(tmp_path: Path, dtype: torch.dtype) -> None:
    """Every dtype, bit for bit: scalars, empty ones, and patterns such as NaN with a payload."""
    size = dtype.itemsize
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (2 * 3 * size,), dtype=torch.uint8)
    tensor = raw.view(dtype).reshape(2, 3)
    survives(tmp_path, {"a": tensor, "scalar": tensor[0, 0].clone(), "empty": tensor[:0], "transposed": tensor.t()})


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_arrays_survive(tmp_path: Path, dtype: str) -> None:
    """Arrays come back as arrays that can be written, with dtype and shape, whatever their layout in memory was."""
    raw = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 256, 6 * np.dtype(dtype).itemsize, np.uint8)
    array = raw.view(dtype).reshape(2, 3)
    frozen = array.copy()
    frozen.flags.writeable = False
    state = {
        "a": array,
        "scalar": np.array(array[0, 0]),
        "empty": array[:0],
        "strided": array[::-1, ::2],
        "ro": frozen,
    }
    survives(tmp_path, state)
    assert all(loaded.flags.writeable for loaded in load(tmp_path / "update-1").values())


def test_plain_values_survive(tmp_path: Path) -> None:
    """Nested containers keep their types and order; integers are no floats, true is no integer; NaN and infinity."""
    survives(
        tmp_path,
        {
            "numbers": [0, -1, 2**70, 0.1, 1e-320, -0.0, math.inf, -math.inf, math.nan, 1.0, True, False, None],
            "text": ["", "ä\n\0\ud800", '"\\'],
            "nested": {"list": [[], [()], ({},)], "tuple": ((1,), [2]), "empty": {}},
            "keys": {0: "int", "0": "text", None: 1, 1.5: 2, "$tensor": "a", "$dict": []},
            "order": {"b": 1, "a": 2},
            "$tuple": {"$array": "x"},
        },
    )


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.builds(np.arange, st.integers(0, 3)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab/$0", max_size=3) | st.integers(0, 2), inner, max_size=3)
    ),
    max_leaves=10,
)


@fuzz
@given(values)
def test_any_nest_survives(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """Any nest of containers, with keys that look like paths, like numbers, or like our own tags."""
    survives(tmp_path_factory.getbasetemp() / "nests", {"value": value})


def test_names_do_not_collide(tmp_path: Path) -> None:
    """Tensors keep apart whose paths read alike: a name with a slash, 1 and "1", a list's index and a key."""
    survives(
        tmp_path,
        {
            "a": {"b": torch.zeros(1), "c/d": torch.ones(1)},
            "a/b": torch.full((1,), 2.0),
            "a/c": {"d": torch.full((1,), 3.0)},
            "keys": {1: torch.full((1,), 4.0), "1": torch.full((1,), 5.0)},
            "__metadata__": torch.full((1,), 6.0),
        },
    )


def test_aliases_and_views_are_saved_apart(tmp_path: Path) -> None:
    """Tensors that share memory, parameters and tensors of a graph are saved as their values."""
    whole = torch.arange(6.0)
    parameter = nn.Parameter(torch.ones(2))
    state = load(
        save(tmp_path, "update-1", {"a": whole, "b": whole, "c": whole[2:4], "p": parameter, "g": parameter * 2})
    )
    assert_same(state, {"a": whole, "b": whole, "c": whole[2:4], "p": torch.ones(2), "g": torch.full((2,), 2.0)})


def test_optimizers_survive(tmp_path: Path) -> None:
    """An optimizer goes on from a loaded state exactly as it would have gone on."""

    def learner() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        return model, torch.optim.AdamW(model.parameters(), amsgrad=True)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()

    original = learner()
    step(*original)
    path = save(tmp_path, "update-1", {"model": original[0].state_dict(), "optimizer": original[1].state_dict()})
    restored, state = learner(), load(path)
    restored[0].load_state_dict(state["model"])
    restored[1].load_state_dict(state["optimizer"])
    for pair in (original, restored):
        step(*pair)
    assert_same(OrderedDict(restored[0].state_dict()), OrderedDict(original[0].state_dict()))
    assert_same(restored[1].state_dict(), original[1].state_dict())


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", np.int64(1), np.array(["text"]), np.array([None]), {(1, 2): 3}, {b"k": 1}, len],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_restored_is_not_saved(tmp_path: Path, value: Any) -> None:
    """A value that would come back as something else, or not at all, is refused by its place; nothing is written."""
    with pytest.raises(CheckpointError, match=r"/value is of |in /value one is of type"):
        save(tmp_path / "folder", "update-1", {"value": value})
    assert not list(tmp_path.glob("**/*update*"))


# Damage.


def damage(whole: Path, folder: Path, file: str, data: bytes) -> Path:
    """A copy of a checkpoint with other bytes in one of its files."""
    copy = folder / "update-1"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    (copy / file).write_bytes(data)
    return copy


@pytest.mark.parametrize("file", FILES)
@fuzz
@given(data=st.data())
def test_flipped_bits_are_noticed(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, file: str, data: st.DataObject
) -> None:
    """A single flipped bit, anywhere in any file, is a `CheckpointError`."""
    content = bytearray((whole / file).read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CheckpointError):
        load(damage(whole, tmp_path_factory.getbasetemp(), file, bytes(content)))


@pytest.mark.parametrize("file", FILES)
def test_truncated_files_are_noticed(whole: Path, tmp_path: Path, file: str) -> None:
    """A file that ends too early, by however much, is missing or too long, is a `CheckpointError`."""
    content = (whole / file).read_bytes()
    for length in range(len(content)):
        with pytest.raises(CheckpointError):
            load(damage(whole, tmp_path, file, content[:length]))
    with pytest.raises(CheckpointError):
        load(damage(whole, tmp_path, file, content + b"x"))
    (tmp_path / "update-1" / file).unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "update-1")


def test_missing_checkpoints_are_errors(tmp_path: Path) -> None:
    """No folder, an empty folder, and a file in the place of a folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name in ("nothing", "empty", "file"):
        with pytest.raises(CheckpointError):
            load(tmp_path / name)


def test_other_formats_are_refused(whole: Path, tmp_path: Path) -> None:
    """A checkpoint of a later format says so, instead of being misread."""
    manifest = json.loads((whole / "manifest.json").read_bytes()) | {"format": checkpoint.FORMAT + 1}
    with pytest.raises(CheckpointError, match="format"):
        load(damage(whole, tmp_path, "manifest.json", json.dumps(manifest).encode()))


def forge(folder: Path, state: Any, tensors: bytes | None = None) -> Path:
    """A checkpoint whose checksums are right and whose content is anything."""
    path = folder / "update-1"
    path.mkdir(exist_ok=True)
    contents = {
        "tensors.safetensors": safetensors.torch.save({"/t": torch.ones(2)}) if tensors is None else tensors,
        "state.json": state if isinstance(state, bytes) else json.dumps(state).encode(),
    }
    checksums = {file: hashlib.blake2b(data, digest_size=32).hexdigest() for file, data in contents.items()}
    contents["manifest.json"] = json.dumps({"format": checkpoint.FORMAT, "checksums": checksums}).encode()
    for file, data in contents.items():
        (path / file).write_bytes(data)
    return path


@pytest.mark.parametrize(
    "state",
    [
        *([], 1, None, {}, {"$dict": 1}, {"$dict": [1]}, {"$dict": [[1]]}, {"$dict": [[[], 1]]}, {"$tuple": 3}),
        *({"$tensor": "/nothing"}, {"$tensor": []}, {"$array": {}}, {"$tensor": "/t", "$array": "/t"}, {"$exec": "1"}),
        *({"$dict": [["a", {"x": 1}]]}, {"$tuple": []}, b"", b"\xff", b"[" * 100_000, b'{"$tuple":' * 5000),
    ],
    ids=str,
)
def test_forged_states_are_errors(tmp_path: Path, state: Any) -> None:
    """What nobody here wrote ends in `CheckpointError`, though its checksums are right."""
    with pytest.raises(CheckpointError):
        load(forge(tmp_path, state))


@fuzz
@given(data=st.data())
def test_forged_tensors_are_errors(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Mutated safetensors with the right checksums give a state or `CheckpointError`."""
    content = bytearray(safetensors.torch.save({"/t": torch.ones(2), "/u": torch.ones(1, dtype=torch.bfloat16)}))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    state = {"$dict": [["t", {"$tensor": "/t"}], ["u", {"$array": "/t"}]]}
    try:
        assert load(forge(tmp_path_factory.getbasetemp(), state, bytes(content))).keys() == {"t", "u"}
    except CheckpointError:
        return


# Which one is taken.


@pytest.mark.parametrize("name", ["update-1", "update-2"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("call", range(5))
def test_failed_saves_leave_the_older_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException, call: int
) -> None:
    """Whichever flush fails, or is interrupted: the error is raised, and what was there before is still there."""
    save(tmp_path, "update-1", STATE)
    calls = iter(range(100))
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if next(calls) == call:
            raise error
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(type(error)):
        save(tmp_path, name, STATE | {"update": 4})
    left = [path.name for path in tmp_path.iterdir()]
    # The last flush comes after the rename: by then the new one is whole.
    assert set(left) == ({"update-1"} if call < 4 else {"update-1", name})
    assert load(tmp_path / "update-1")["update"] == (4 if call == 4 and name == "update-1" else 3)


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """A process that was killed while it saved leaves a hidden folder; the next save removes it."""
    leftover = tmp_path / ".update-00000001.12345"
    leftover.mkdir()
    (leftover / "tensors.safetensors").write_bytes(b"x")
    save(tmp_path, "update-00000002", STATE)
    assert [path.name for path in tmp_path.iterdir()] == ["update-00000002"]


def test_saving_again_replaces(tmp_path: Path) -> None:
    """A checkpoint of the same name is replaced as a whole."""
    save(tmp_path, "update-1", STATE)
    (tmp_path / "update-1" / "more").write_bytes(b"")
    save(tmp_path, "update-1", {"update": 5})
    assert load(tmp_path / "update-1") == {"update": 5}
    assert sorted(path.name for path in (tmp_path / "update-1").iterdir()) == sorted(FILES)


def test_states_travel_as_bytes(tmp_path: Path) -> None:
    """What is decoded is what would be loaded from a checkpoint."""
    state = {"a": torch.arange(3), "b": [1, (2.5, "x")], "c": {"d": np.ones((2, 2))}, "e": None}
    decoded = checkpoint.decode(checkpoint.encode(state))
    loaded = checkpoint.load(checkpoint.save(tmp_path, "one", state))
    assert repr(decoded) == repr(loaded) == repr(state)
