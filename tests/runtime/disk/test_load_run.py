"""Pipelines of runs that are on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import runs

import framework
from framework.errors import PipelineError, RunError
from framework.runtime.disk.load_run import load_run

ENCODER = """
from framework.toolkit.networks import MLP


class Encoder(MLP):
    def __init__(self, context):
        super().__init__(4, (8,))
"""
WITH_FILE = ("encoder.use=payload:Encoder", "~encoder.hidden")


def test_the_pipeline_is_that_of_the_run(tmp_path: Path) -> None:
    """With every override that it was started with; it need not be given as a `Path`."""
    run = runs.recorded(tmp_path, "run.seed=9", "encoder.hidden=[8]")
    for path in (run, str(run)):
        pipeline = load_run(path)
        assert pipeline.to_plain() == framework.load(run / "pipeline.toml").to_plain()
        assert (pipeline.run.seed, pipeline.encoder.config.hidden) == (9, (8,))


def test_overrides_come_on_top(tmp_path: Path) -> None:
    """As texts or as values, checked like any; the run directory stays as it is."""
    run = runs.recorded(tmp_path, "run.seed=9")
    before = (run / "pipeline.toml").read_bytes()
    assert (
        load_run(run, ["run.total_steps=64"]).run
        == framework.load(tmp_path / "pipeline.toml", {"run.seed": 9, "run.total_steps": 64}).run
    )
    assert load_run(run, {"run.seed": 4}).run.seed == 4
    with pytest.raises(PipelineError, match="total_step"):
        load_run(run, ["run.total_step=64"])
    assert (run / "pipeline.toml").read_bytes() == before


def test_names_are_relative_to_the_pipeline_file(tmp_path: Path) -> None:
    """To the folder where it lay when the run was started, not to the run directory."""
    run = runs.recorded(tmp_path)
    assert load_run(run).directory == tmp_path.resolve() != run


def test_own_runs_need_no_trust(tmp_path: Path) -> None:
    """Files beside one's own pipeline are imported wherever the run directory is moved to."""
    (tmp_path / "payload.py").write_text(ENCODER)
    moved = shutil.move(runs.recorded(tmp_path, *WITH_FILE), tmp_path / "elsewhere")
    assert load_run(moved).encoder.use == "payload:Encoder"


def test_a_stranger_s_run_without_files_needs_no_trust(tmp_path: Path) -> None:
    """What is installed is trusted, and so is a run that uses nothing else."""
    run = runs.recorded(tmp_path)
    runs.change_manifest(run, authentication="", base_directory="/nowhere")
    assert load_run(run).encoder.use == "mlp"


def test_a_stranger_s_run_with_files_is_loaded_when_told(tmp_path: Path) -> None:
    """Not before."""
    (tmp_path / "payload.py").write_text(ENCODER)
    run = runs.recorded(tmp_path, *WITH_FILE)
    runs.change_manifest(run, authentication="")
    with pytest.raises(RunError, match=r"payload\.py; read them, then say --trust"):
        load_run(run)
    assert load_run(run, trust=True).encoder.use == "payload:Encoder"


def test_overrides_are_looked_at_too(tmp_path: Path) -> None:
    """One that names a file in a stranger's folder is refused, and one that takes such a name out is enough."""
    (tmp_path / "payload.py").write_text(ENCODER)
    clean, dirty = runs.recorded(tmp_path), runs.recorded(tmp_path, *WITH_FILE)
    for run in (clean, dirty):
        runs.change_manifest(run, authentication="")
    with pytest.raises(RunError, match=r"payload\.py"):
        load_run(clean, WITH_FILE)
    assert load_run(dirty, {"encoder.use": "mlp"}).encoder.use == "mlp"


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    """Before its pipeline is looked for; a run without one is named by its file."""
    with pytest.raises(RunError, match="is not a run directory"):
        load_run(tmp_path)
    run = runs.recorded(tmp_path)
    (run / "pipeline.toml").unlink()
    with pytest.raises(PipelineError, match=r"pipeline\.toml"):
        load_run(run)
