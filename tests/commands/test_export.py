"""`framework export`: of runs, to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framework.__main__ import main
from framework.errors import PluginError
from framework.export import export_run
from framework.export.export_run import Exported
from framework.export.verify import Agreement


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[object, ...]]:
    """What the command asks for, in place of it."""
    calls: list[tuple[object, ...]] = []

    def export(run: Path, files: dict[str, Path], checkpoint: str, **options: object) -> list[Exported]:
        calls.append((run, files, checkpoint, options))
        arrays = {"observation": np.zeros((1, 4), np.float32)}, {"action": np.zeros(1, np.int64)}
        return [Exported(file, 21_600, *arrays, Agreement(80, 2, 1.25e-7)) for file in files.values()]

    monkeypatch.setattr(export_run, "export_run", export)
    return calls


def test_what_was_written_is_told(
    asked: list[tuple[object, ...]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each file: its size, what goes in and comes out, and how well it agrees with the policy."""
    assert main(["export", str(tmp_path), "--onnx", "a.onnx", "--torch", "a.pt2", "--checkpoint", "last"]) == 0
    files = {"onnx": Path("a.onnx"), "torch": Path("a.pt2")}
    assert asked == [(tmp_path, files, "last", {"tolerance": 1e-4, "trust": False})]
    assert capsys.readouterr().out.splitlines()[:4] == [
        "wrote a.onnx, 22 kB",
        "inputs   observation float32[batch, 4]",
        "outputs  action int64[batch]",
        "agrees with the policy on 80 random observations: the same actions, 2 ties decided otherwise, and numbers that"
        " differ by at most 1.2e-07",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a file: --onnx FILE, --torch FILE, or both"),
        (["--onnx", "a.onnx", "--tolerance", "-1"], "-1.0 is not in the range"),
    ],
)
def test_wrong_usage_is_an_error(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2."""
    assert main(["export", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert main(["export", str(tmp_path / "nowhere"), "--onnx", "a.onnx"]) == 2


def test_missing_packages_have_an_exit_code_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of plugins, with the extra that has them."""

    def export(*arguments: object, **options: object) -> None:
        raise PluginError('writing ONNX files needs onnx: pip install "framework-rl[export]"')

    monkeypatch.setattr(export_run, "export_run", export)
    assert main(["export", str(tmp_path), "--onnx", "a.onnx"]) == 4
    assert 'pip install "framework-rl[export]"' in capsys.readouterr().err
