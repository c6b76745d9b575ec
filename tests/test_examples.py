import re
from pathlib import Path

import pytest

import framework

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))
SMALL = {"sampling.rollout_length": 8, "evaluation.episodes": 0, "runtime.samplers": 0, "run.total_steps": 1}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_says_what_it_is_for(example):
    """Each example starts with a comment, and is named as its run."""
    assert re.match(r"# \S+", example.read_text())
    assert framework.load(example).run.name in example.stem


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_trains(example, tmp_path):
    """Each example makes its environments and goes through an update."""
    (update,) = framework.train(framework.load(example, SMALL), root=tmp_path)
    assert update.steps == update.metrics["steps"] > 0
