"""Whose runs may name Python files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import runs

import framework
from framework.__main__ import main
from framework.errors import EXIT_PLUGIN, EXIT_RUN_FAILED, RunError
from framework.runtime.disk import trust
from framework.runtime.disk.trust import authenticate, seal, texts, unseal
from framework.runtime.evaluate.evaluate_run import evaluate_run

ENCODER = """
from pathlib import Path

from framework.toolkit.networks import MLP

Path(__file__).with_name("imported").touch()


class Encoder(MLP):
    def __init__(self, context):
        super().__init__(4, (8,))
"""

POLICY = """
from pathlib import Path

Path(__file__).with_name("imported").touch()


def left(observation, action_mask, generator):
    return 0
"""


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A stranger's run: its encoder is in a file in a folder that its manifest names."""
    run = runs.recorded(tmp_path / "ours")
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "payload.py").write_text(ENCODER)
    pipeline = run / "pipeline.toml"
    pipeline.write_text(
        pipeline.read_text().replace('use = "mlp"', 'use = "payload:Encoder"').replace("\nhidden = ", "\n# ")
    )
    runs.change_manifest(run, base_directory=str(folder))
    return run


@pytest.mark.parametrize("code", [{}, {"authentication": "0" * 64}, {"authentication": None}, {"authentication": "é"}])
def test_files_of_a_stranger_s_run_are_not_imported(strange: Path, tmp_path: Path, code: dict[str, Any]) -> None:
    """By no door, whatever code the manifest has, its own for another folder too; the message names the file."""
    runs.change_manifest(strange, **code)
    for load in (framework.load_run, framework.load_agent, evaluate_run):
        with pytest.raises(RunError, match=r"not made by this account .*theirs/payload\.py; read them"):
            load(strange)
    assert not (tmp_path / "theirs" / "imported").exists()


@pytest.mark.parametrize("command", [("run", "--resume"), ("eval",)])
def test_commands_refuse_and_can_be_told(
    strange: Path, tmp_path: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Both commands end with 1 and one line; with --trust the file is imported, and says what it has to say."""
    with (tmp_path / "theirs" / "payload.py").open("a") as payload:
        payload.write("raise ZeroDivisionError\n")
    assert main([*command, str(strange)]) == EXIT_RUN_FAILED
    (refusal,) = capsys.readouterr().err.splitlines()
    assert "read them, then say --trust" in refusal
    assert not (tmp_path / "theirs" / "imported").exists()
    assert main([*command, str(strange), "--trust"]) == EXIT_PLUGIN
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert (tmp_path / "theirs" / "imported").exists()


def test_policies_beside_a_stranger_s_pipeline_are_not_imported(tmp_path: Path) -> None:
    """A function as the policy is looked for there too; told to trust, it plays."""
    run = runs.recorded(tmp_path)
    (tmp_path / "payload.py").write_text(POLICY)
    runs.change_manifest(run, authentication="")
    with pytest.raises(RunError, match=r"payload\.py; read them"):
        evaluate_run(run, policy="payload:left", episodes=1)
    assert not (tmp_path / "imported").exists()
    assert evaluate_run(run, policy="payload:left", episodes=1, trust=True).lengths[0] > 1


@pytest.mark.parametrize("state", ["file", "locked"])
def test_an_account_without_a_key_trusts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    """Where no key can be kept runs are made all the same, and their files need --trust."""
    (tmp_path / "file").touch()
    (tmp_path / "locked" / "framework-rl").mkdir(parents=True)
    (tmp_path / "locked" / "framework-rl" / "key").write_bytes(b"too short")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / state))
    (tmp_path / "payload.py").write_text(ENCODER)
    assert authenticate(str(tmp_path)) is None
    run = runs.recorded(tmp_path, "encoder.use=payload:Encoder", "~encoder.hidden")
    with pytest.raises(RunError, match="read them"):
        framework.load_run(run)
    assert framework.load_run(run, trust=True).encoder.use == "payload:Encoder"


def test_the_key_is_the_account_s_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made once, nobody else can read it, and with another one the codes are others."""
    codes = []
    for name in ("one", "one", "other"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / name))
        codes.append(authenticate("/project"))
    key = tmp_path / "one" / "framework-rl" / "key"
    assert key.stat().st_mode & 0o77 == 0
    assert codes[0] == codes[1] != codes[2]


def test_texts_are_all_strings() -> None:
    """In tables and arrays of any depth."""
    values = {"a": "1", "b": {"c": ["2", {"d": "3"}, 4]}, "e": True}
    assert list(texts(values)) == ["1", "2", "3"]


def test_what_is_sealed_is_known_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the account that sealed it, and only whole; a code of a folder's name seals nothing."""
    for data in (b"", b"where it stood"):
        sealed = seal(data)
        assert unseal(sealed) == data
        assert unseal(sealed[:-1]) is None
        assert unseal(bytes([sealed[0] ^ 1]) + sealed[1:]) is None
    code = authenticate("/a/folder")
    assert code is not None
    assert unseal(bytes.fromhex(code) + b"/a/folder") is None
    sealed = seal(b"where it stood")
    monkeypatch.setattr(trust, "_key", lambda: bytes(32))
    assert unseal(sealed) is None
    monkeypatch.setattr(trust, "_key", lambda: None)
    assert unseal(sealed) is None
    with pytest.raises(RunError, match="key is gone"):
        seal(b"")
