"""What only the value sees: the how-to page's panel learns where the sun is in fewer steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import framework
from framework.errors import PipelineError

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "train-continuous-control.md"


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """The files of the page."""
    for name, code in re.findall(r"```\w+\n# (tracker\.\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(code)
    return tmp_path / "tracker.toml"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_policy_learns_faster_by_a_value_that_sees_more(pipeline: Path, tmp_path: Path, seed: int) -> None:
    """After equal steps its error is less than half as large."""
    errors = []
    for value_observation in ("state", "sensor"):
        overrides = {"run.seed": seed, "runtime.samplers": 0, "algorithm.value_observations": [value_observation]}
        *_, last = framework.train(framework.load(pipeline, overrides), root=tmp_path)
        assert last.evaluation is not None
        errors.append(last.evaluation["evaluation/metrics/error"])
    assert errors[0] < 0.18
    assert errors[0] < 0.5 * errors[1]


def test_an_observation_that_is_not_there_is_named(pipeline: Path, tmp_path: Path) -> None:
    """Before there is a run directory."""
    wrong = framework.load(pipeline, {"runtime.samplers": 0, "algorithm.value_observations": ["stat"]})
    with pytest.raises(PipelineError, match=r'value_observations names "stat".* did you mean "state"\?'):
        next(iter(framework.train(wrong, root=tmp_path / "runs")))
    assert not list((tmp_path / "runs").glob("*"))
