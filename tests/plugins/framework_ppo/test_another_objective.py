"""Objectives of a researcher's own: the how-to page's, from a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import framework
from framework.errors import PipelineError
from framework.pipeline.components import functions
from framework.runtime.data.fingerprint import components

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "try-another-objective.md"
OBJECTIVE = {"algorithm.objective": "spo:spo_loss"}


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The CartPole example beside the file of the page."""
    (code,) = re.findall(r"```python\n(# spo\.py.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 40
    (tmp_path / "spo.py").write_text(code)
    path = tmp_path / "cartpole.toml"
    path.write_text((ROOT / "examples" / "cartpole.toml").read_text())
    return path


def test_it_is_what_trains(example: Path, tmp_path: Path) -> None:
    """Its terms are the metrics, beside those of the update; its file is part of the run's record."""
    overrides = {"run.total_steps": 512, "evaluation.episodes": 0, "runtime.samplers": 0, **OBJECTIVE}
    pipeline = framework.load(example, overrides)
    *_, last = framework.train(pipeline, root=tmp_path)
    assert last.metrics["policy_loss"] != 0
    assert "clip_fraction" not in last.metrics
    assert last.metrics["explained_variance"] != 0
    assert list(functions(pipeline.algorithm.config)) == [("objective", "spo:spo_loss")]
    recorded = components(pipeline)["algorithm/ppo.objective"]["sha256"]
    (example.parent / "spo.py").write_text((example.parent / "spo.py").read_text() + "\n")
    assert recorded != components(pipeline)["algorithm/ppo.objective"]["sha256"]


def test_a_function_that_is_not_there_is_named(example: Path) -> None:
    """By `check`, with its key."""
    with pytest.raises(PipelineError, match=r"algorithm\.objective: function 'spo:spo_los': spo has no spo_los"):
        framework.load(example, {"algorithm.objective": "spo:spo_los"})


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_balances_the_pole(example: Path, tmp_path: Path, seed: int) -> None:
    """An evaluation of 475 or more after the example's steps, as with the clipped objective."""
    overrides = {"run.seed": seed, "runtime.samplers": 0, **OBJECTIVE}
    *_, last = framework.train(framework.load(example, overrides), root=tmp_path)
    assert last.evaluation is not None
    assert last.evaluation["evaluation/return"] >= 475
