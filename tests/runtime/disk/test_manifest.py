"""Where a run comes from."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import runs
from attrs import evolve

import framework
from framework.errors import RunError
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import components
from framework.runtime.disk.manifest import read_manifest, write_manifest
from framework.runtime.disk.trust import authenticate


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return framework.load(runs.write(tmp_path / "project"))


def test_manifest_tells_where_a_run_comes_from(pipeline: Pipeline, tmp_path: Path) -> None:
    """Seed, versions, components with the hash of their source, machine, command, and when it started."""
    before = datetime.now(UTC).replace(microsecond=0)
    write_manifest(tmp_path, pipeline)
    manifest = read_manifest(tmp_path)
    assert before <= datetime.fromisoformat(manifest["started"]) <= datetime.now(UTC)
    assert (manifest["seed"], manifest["framework"]) == (3, framework.__version__)
    names = ("torch", "numpy", "gymnasium", "pyzmq", "msgpack")
    assert manifest["versions"] == {"python": platform.python_version()} | {name: version(name) for name in names}
    assert manifest["components"].keys() == {"environment/gymnasium", "encoder/mlp", "algorithm/ppo"}
    assert manifest["components"] == json.loads(json.dumps(components(pipeline)))
    assert manifest["machine"]["cores"] == os.cpu_count()
    assert manifest["command"] == sys.argv


def test_a_manifest_is_whole_or_not_there(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the process is killed."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path, pipeline)
    assert not (tmp_path / "manifest.json").exists()


def test_manifest_names_the_folder_of_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, however it was named and through whatever link, and with the code of this account for it."""
    project = tmp_path / "project"
    runs.write(project)
    (tmp_path / "link").symlink_to(project)
    monkeypatch.chdir(tmp_path)
    pipeline = framework.load(Path("link/pipeline.toml"))
    for variant in (pipeline, evolve(pipeline, directory=Path("link"))):
        write_manifest(tmp_path, variant)
        manifest = read_manifest(tmp_path)
        assert manifest["base_directory"] == str(project)
        assert manifest["authentication"] == authenticate(str(project))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", "3", '{"base_directory": 3}', '{"base_directory": null}', "[" * 100_000, "", "\xff"],
    ids=["half", "array", "empty table", "number", "of a number", "of nothing", "deep", "empty", "latin"],
)
def test_damaged_manifests_are_named(tmp_path: Path, text: str) -> None:
    """One line with the file, instead of what the reader of JSON says."""
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(RunError, match="damaged: it does not say where the run's pipeline file lay") as caught:
        read_manifest(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/manifest.json: ")
    assert "\n" not in str(caught.value)


def test_folders_without_a_manifest_are_no_runs(tmp_path: Path) -> None:
    """Nor are folders that are not there."""
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(RunError, match=f"^{folder} is not a run directory: it has no manifest.json$"):
            read_manifest(folder)


def test_manifests_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """With what the system says."""
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(RunError, match=r"manifest\.json: cannot be read: Is a directory"):
        read_manifest(tmp_path)
