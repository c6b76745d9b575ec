"""`framework new pipeline`: what it writes fits the environment's spaces, and can be built and run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

import framework
from framework.__main__ import main
from framework.catalog import Catalog
from framework.commands import _new_pipeline
from framework.toolkit.spaces import flat_space

#: Environments with spaces of many kinds, as `use = "rooms:NAME"` names them.
ROOMS = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple

PIXELS = Box(0, 255, (3, 64, 64), np.uint8)
NUMBERS = Box(-1, 1, (5,), np.float32)
ROWS = Box(-1, 1, (4, 6), np.float32)


class Room(gymnasium.Env):
    observation_space, action_space, mask = NUMBERS, Discrete(3), None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), self.info()

    def step(self, action):
        self.steps += 1
        return self.observation_space.sample(), 1.0, self.steps == 5, False, self.info()

    def info(self):
        return {} if self.mask is None else {"action_mask": np.array(self.mask, np.int8)}


def room(observations=NUMBERS, actions=Discrete(3), mask=None):
    variant = type("Variant", (Room,), {"observation_space": observations, "action_space": actions, "mask": mask})

    class Rooms:
        def __init__(self, config, context):
            pass

        def make(self):
            return variant()

    return Rooms


Numbers = room()
Pixels = room(PIXELS)
Small = room(Box(0, 255, (7, 7, 3), np.uint8))
Tiny = room(Box(0, 255, (3, 3, 3), np.uint8))
Grey = room(Box(0, 255, (40, 50), np.uint8), Box(-1, 1, (2,), np.float32))
Both = room(Dict({"camera": PIXELS, "arm": NUMBERS}))
Modalities = room(Dict({"camera": PIXELS, "arm": NUMBERS, "things": ROWS}))
Nested = room(Dict({"a": Dict({"b": Discrete(7)}), "c": Tuple((MultiBinary(3), MultiDiscrete([2, 5])))}))
Rows = room(ROWS)
Masked = room(mask=[1, 0, 1])
Continuous = room(actions=Box(-1, 1, (2,), np.float32))
Many = room(actions=MultiDiscrete([3, 2]))
Switches = room(actions=MultiBinary(3))
Parts = room(actions=Dict({"go": Tuple((Discrete(3), Box(-1, 1, (2,), np.float32)))}))
Words = room(Text(10))


class Broken:
    def __init__(self, config, context):
        raise ValueError("no power")
"""
#: What is chosen for each of them.
ENCODERS = {
    "Numbers": "mlp",
    "Pixels": "cnn",
    "Small": "cnn",
    "Tiny": "cnn",
    "Grey": "cnn",
    "Both": "cnn",
    "Modalities": "multimodal",
    "Nested": "mlp",
    "Rows": "mlp",
    "Masked": "mlp",
    "Continuous": "mlp",
    "Many": "mlp",
    "Switches": "mlp",
    "Parts": "mlp",
}
WITH_DQN = [name for name in ENCODERS if name not in ("Grey", "Continuous", "Many", "Switches", "Parts")]


@pytest.fixture
def new(tmp_path, monkeypatch, capsys):
    """Run ``framework`` in a folder with ``rooms.py``; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    Path("rooms.py").write_text(ROOMS)

    def new(*arguments, command=("new", "pipeline")):
        code = main([*command, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return new


def builds(new, name):
    """Whether the file can be read and everything in it be built; the pipeline."""
    code, output, errors = new(f"{name}.toml", "--build", command=["check"])
    assert (code, errors) == (0, ""), errors
    assert f"{name}.toml is valid" in output
    return framework.load(f"{name}.toml")


@pytest.mark.parametrize("room", ENCODERS)
def test_spaces_of_every_kind(new, room):
    """The file fits the environment, has an encoder for its observations, and can be built as it is."""
    code, output, errors = new("mine", "--environment", f"rooms:{room}")
    assert code == 0, errors
    assert output == "wrote mine.toml\n\nNext:\n\n  framework check mine.toml --build\n  framework run mine.toml\n"
    pipeline = builds(new, "mine")
    assert (pipeline.encoder.use, pipeline.run.name) == (ENCODERS[room], "mine")
    assert pipeline.environment.use == f"rooms:{room}"
    images = room in ("Pixels", "Small", "Tiny", "Grey", "Both", "Modalities")
    assert pipeline.algorithm.config.share_encoder == images
    assert pipeline.algorithm.config.normalize_observations != images


@pytest.mark.parametrize("algorithm", ["bc", "iql"])
def test_an_algorithm_that_learns_offline(new, algorithm):
    """All steps are learned from a dataset, which is left to be named."""
    assert new("mine", "--environment", "CartPole-v1", "--algorithm", algorithm)[0] == 0
    pipeline = framework.load("mine.toml")
    assert pipeline.run.offline_steps == pipeline.run.total_steps
    assert pipeline.replay.use == "minari"


@pytest.mark.parametrize("room", WITH_DQN)
def test_another_algorithm(new, room):
    """Its settings and what it needs beside it are in the file, too."""
    assert new("mine", "--environment", f"rooms:{room}", "--algorithm", "dqn")[0] == 0
    pipeline = builds(new, "mine")
    assert (pipeline.algorithm.use, pipeline.replay.use) == ("dqn", "uniform")
    assert pipeline.algorithm.config.learning_starts < pipeline.replay.config.capacity


@pytest.mark.parametrize("room", WITH_DQN[:3])
def test_layers_are_normalized_for_pqn(new, room):
    """Those of the encoder too, as it has no target network; and there is no replay buffer."""
    assert new("mine", "--environment", f"rooms:{room}", "--algorithm", "pqn")[0] == 0
    pipeline = builds(new, "mine")
    assert (pipeline.algorithm.use, pipeline.replay) == ("pqn", None)
    assert getattr(pipeline.encoder.config, "layer_norm", True)


@pytest.mark.parametrize(
    ("algorithm", "room"), [("sac", "Continuous"), ("td3", "Continuous"), ("tqc", "Continuous"), ("sac", "Masked")]
)
def test_actor_critics(new, algorithm, room):
    """Continuous actions for all, Discrete ones for sac: with a buffer, and layers after an encoder without any."""
    code, _, errors = new("mine", "--environment", f"rooms:{room}", "--algorithm", algorithm)
    assert code == 0, errors
    pipeline = builds(new, "mine")
    assert (pipeline.algorithm.use, pipeline.replay.use) == (algorithm, "uniform")
    assert (pipeline.encoder.config.hidden, pipeline.algorithm.config.actor_hidden) == ((), (256, 256))


@pytest.mark.parametrize(
    ("environment", "table", "encoder", "package"),
    [
        ("CartPole-v1", {"use": "gymnasium", "id": "CartPole-v1"}, "mlp", "gymnasium"),
        ("Pendulum-v1", {"use": "gymnasium", "id": "Pendulum-v1"}, "mlp", "gymnasium"),
        ("Blackjack-v1", {"use": "gymnasium", "id": "Blackjack-v1"}, "mlp", "gymnasium"),
        ("ALE/MsPacman-v5", {"use": "atari", "game": "ms_pacman"}, "cnn", "ale_py"),
        ("MiniGrid-Empty-5x5-v0", {"use": "minigrid", "id": "MiniGrid-Empty-5x5-v0"}, "mlp", "minigrid"),
        ("research", {"use": "research"}, "transformer", "numba"),
    ],
)
def test_installed_environments(new, environment, table, encoder, package):
    """Ids lead to the component that plays them best, and names of components to themselves."""
    pytest.importorskip(package)
    code, _, errors = new("mine", "--environment", environment)
    assert code == 0, errors
    pipeline = builds(new, "mine")
    assert {key: pipeline.environment.to_plain()[key] for key in table} == table
    assert pipeline.encoder.use == encoder


def test_the_file_explains_itself(new):
    """It says what the environment's spaces are, and which actions are masked; blank lines stand between sections."""
    new("mine", "--environment", "rooms:Masked")
    text = Path("mine.toml").read_text()
    assert text.startswith(
        "# rooms:Masked with ppo\n# Observations: observation Box[5] float32. Actions: Discrete(3), of"
    )
    assert "mask forbids some" in text
    assert len(re.findall(r"\n\n\[", text)) == len(re.findall(r"^\[", text, re.MULTILINE)) == 7
    assert "\n\n\n" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_it_runs(new):
    """Two updates of the file as it is written."""
    new("mine", "--environment", "rooms:Both")
    overrides = {"run.total_steps": 65, "sampling.rollout_length": 8, "runtime.samplers": 0, "evaluation.episodes": 0}
    assert len(list(framework.train(framework.load("mine.toml", overrides)))) == 2


def test_actions_on_tokens(new):
    """Where actions say which token they are about, the policy reads them from it."""
    pytest.importorskip("numba")
    new("mine", "--environment", "research")
    assert framework.load("mine.toml").algorithm.config.action_head == "tokens"


def test_a_replay_buffer_fits_into_memory():
    """Large observations are kept for fewer steps, small ones for as many as help, and never too few to learn."""
    assert _new_pipeline._replay(16) == {"capacity": "100_000", "megabytes": "2"}
    assert _new_pipeline._replay(28_224) == {"capacity": "35_000", "megabytes": "988"}
    assert _new_pipeline._replay(10**6)["capacity"] == "10_000"


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["mine"], "name the environment of the pipeline, such as --environment CartPole-v1", 2),
        (["my file", "--environment", "CartPole-v1"], "'my file' cannot be the name of a run", 2),
        (["mine.toml", "--environment", "CartPole-v1"], "it must match [A-Za-z0-9][A-Za-z0-9_.+-]*, without .toml", 2),
        (["rooms", "--environment", "CartPol-v1"], "did you mean CartPole-v1?", 2),
        (["mine", "--environment", "CartPole-v1", "--here"], "--here and --diff are for components", 2),
        (["mine", "--environment", "CartPole-v1", "--algorithm", "pp"], "there is no algorithm named 'pp'", 2),
        (["mine", "--environment", "atari"], "environment.game: missing: ", 2),
        (
            ["mine", "--environment", "rooms:Parts", "--algorithm", "dqn"],
            "it needs one Discrete action, and here actions are go/0 Discrete(3), go/1 Box[2] float32",
            2,
        ),
        (["mine", "--environment", "rooms:Words"], "Text", 2),
        (["mine", "--environment", "rooms:Missing"], "rooms has no Missing", 2),
        (["mine", "--environment", "rooms:Broken"], "no power", 4),
        (
            ["mine", "--environment", "rooms:Continuous", "--algorithm", "dqn"],
            "dqn compares the values of all actions, so it needs one Discrete action, and here actions are Box[2] ",
            2,
        ),
        (
            ["mine", "--environment", "rooms:Switches", "--algorithm", "tqc"],
            "tqc needs real-valued actions, and here actions are MultiBinary",
            2,
        ),
    ],
)
def test_what_cannot_be_is_refused(new, arguments, message, code):
    """Names, environments and algorithms that lead nowhere are told, and nothing is written."""
    status, _, errors = new(*arguments)
    assert message in errors
    assert status == code
    assert [path.name for path in Path().glob("*.toml")] == []


def test_options_of_pipelines_are_for_no_component(new):
    """They are refused, instead of being ignored."""
    code, _, errors = new("mine", "--algorithm", "ppo", command=["new", "bonus"])
    assert code == 2
    assert "--environment and --algorithm are for a pipeline" in errors


def test_nothing_is_overwritten(new):
    """A file that is there is named, and stays."""
    Path("mine.toml").write_text("mine\n")
    code, _, errors = new("mine", "--environment", "CartPole-v1")
    assert (code, errors) == (2, "mine.toml already exists: choose another name\n")
    assert Path("mine.toml").read_text() == "mine\n"


def test_an_algorithm_of_a_plugin(tmp_path, monkeypatch):
    """It has its own defaults, and what it says that it needs; a mask that it does not support is refused."""

    class Acme:
        @staticmethod
        @framework.hookimpl
        def register_algorithms(register):
            register("slow", "acme:Slow", summary="Slow.", needs=("replay",))

    monkeypatch.chdir(tmp_path)
    Path("rooms.py").write_text(ROOMS)
    catalog = Catalog.from_plugins({"acme": Acme}, framework.plugins.installed())
    text = _new_pipeline.render("mine", "rooms:Numbers", "acme/slow", catalog)
    assert 'use = "acme/slow"\n# Its options: framework plugins acme/slow\n\n[replay]\nuse = "uniform"\n' in text
    with pytest.raises(_new_pipeline.NewPipelineError, match="which acme/slow does not support"):
        _new_pipeline.render("mine", "rooms:Masked", "acme/slow", catalog)


def test_images_and_their_sides():
    """Channels are no side, first or last; a Box of two axes is an image only where it holds bytes."""
    observations = flat_space(
        spaces.Dict(
            {
                "first": spaces.Box(0, 255, (4, 84, 60), np.uint8),
                "last": spaces.Box(0, 1, (90, 70, 3), np.float32),
                "grey": spaces.Box(0, 255, (50, 55), np.uint8),
                "rows": spaces.Box(-1, 1, (9, 2), np.float32),
            }
        )
    )
    facts = _new_pipeline.describe_spaces(observations, spaces.Discrete(2))
    assert (set(facts.images), facts.tokens, facts.smallest_side) == ({"first", "last", "grey"}, ("rows",), 50)
    assert facts.observation_bytes == 4 * 84 * 60 + 90 * 70 * 3 * 4 + 50 * 55 + 9 * 2 * 4


def test_torch_is_not_imported(tmp_path):
    """Making one environment and choosing by its spaces takes no torch."""
    program = (
        "import sys; from framework.__main__ import main\n"
        "code = main(['new', 'pipeline', 'mine', '--environment', 'CartPole-v1'])\n"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
