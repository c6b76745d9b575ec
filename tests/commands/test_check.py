import json
import tomllib
from pathlib import Path

import pytest

from framework.__main__ import main
from framework.pipeline import load
from framework.schema import join

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
PIPELINE = """\
[run]
total_steps = 1000

[environment]
use = "gymnasium"
id = "CartPole-v1"

[encoder]
hidden = [
  32,
]

[algorithm]
use = "ppo"
epochs = 2
"""


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Run ``framework check`` on a text; returns exit code, lines of output, lines of errors."""
    monkeypatch.chdir(tmp_path)

    def check(text, *arguments):
        Path("p.toml").write_text(text)
        code = main(["check", "p.toml", *arguments])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err.splitlines()

    return check


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid(path, capsys):
    """Each pipeline in examples/ passes."""
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path} is valid: ")


def test_a_valid_pipeline_is_said_to_be_valid(check):
    """Exit code 0 and one line that names the components."""
    assert check(PIPELINE) == (0, ["p.toml is valid: gymnasium, mlp, ppo"], [])


TEN_MISTAKES = """\
[run]
seed = -1
total_steps = 1e5
[environment]
use = "gymnasium"
idd = "CartPole-v1"
[encoder]
use = "impala"
[algorithm]
use = "ppo"
learning_rate = "3e-4"
gama = 0.99
[sampling]
rollout_length = true
shard = 3
[evaluation]
episodes = 20.0
[checkpoints]
keep = 1
"""


def test_ten_mistakes_are_ten_messages(check):
    """Every mistake of a file has a line of its own on standard error, with its place; exit code 2."""
    code, output, errors = check(TEN_MISTAKES)
    places = [tuple(line.split(": ", 2)[:2]) for line in errors]
    assert (code, output) == (2, [])
    assert places == [
        ("p.toml:2", "run.seed"),
        ("p.toml:3", "run.total_steps"),
        ("p.toml:6", "environment.idd"),
        ("p.toml:8", "encoder.use"),
        ("p.toml:11", "algorithm.learning_rate"),
        ("p.toml:12", "algorithm.gama"),
        ("p.toml:14", "sampling.rollout_length"),
        ("p.toml:15", "sampling.shard"),
        ("p.toml:17", "evaluation.episodes"),
        ("p.toml:18", "checkpoints"),
    ]


def test_a_former_name_of_an_option_is_refused(check):
    """What an option was called before ends with 2 and the new name, in the file and in an override."""
    text = PIPELINE.replace('use = "ppo"\nepochs = 2', 'use = "dqn"\ntarget_interval = 1')
    assert check(text, "replay.use=uniform", "algorithm.huber_threshold=2.0") == (
        2,
        [],
        [
            "p.toml:15: algorithm.target_interval: target_interval is named target_update_interval now",
            "override: algorithm.huber_threshold: huber_threshold is named huber_delta now",
        ],
    )


def test_a_missing_plugin_ends_with_4(check):
    """A component of a plugin that is not installed is exit code 4."""
    code, _, errors = check(PIPELINE + '[[bonus]]\nuse = "acme/rnd"\n')
    assert (code, errors) == (4, ["p.toml:17: bonus.0.use: no plugin named 'acme' is installed"])


def test_show_prints_the_whole_pipeline_with_origins(check):
    """--show is TOML that loads to the same pipeline; each value's comment says where it comes from."""
    code, lines, _ = check(PIPELINE, "--show", "algorithm.epochs=3", "run.seed=7")
    origins = {line.partition(" = ")[0]: line.rpartition("# ")[2] for line in lines if " = " in line}
    assert code == 0
    assert [origins[key] for key in ("total_steps", "id", "hidden", "epochs", "seed", "learning_rate", "keep")] == [
        "p.toml:2", "p.toml:6", "p.toml:9", "override", "override", "default", "default"
    ]  # fmt: skip
    overridden = load("p.toml", {"algorithm.epochs": 3, "run.seed": 7})
    assert tomllib.loads("\n".join(lines)) == overridden.to_plain()
    assert lines[0] == "[run]"


def test_json_has_values_and_origins_or_problems(check):
    """--json is for scripts: the resolved pipeline with the origin of each option, or the problems."""
    code, lines, _ = check(PIPELINE, "--json")
    result = json.loads("\n".join(lines))
    assert (code, result["valid"], result["problems"]) == (0, True, [])
    assert result["pipeline"] == load("p.toml").to_plain()
    options = {join(section, key) for section, table in result["pipeline"].items() for key in table}
    assert set(result["origins"]) == options
    code, lines, _ = check(PIPELINE, "--json", "run.seed=-1")
    problem = {"message": "must be at least 0, is -1", "path": "run.seed", "file": "override", "line": None}
    expected = {"valid": False, "problems": [problem | {"exit_code": 2}]}
    assert (code, json.loads("\n".join(lines))) == (2, expected)


def test_a_file_that_is_not_there(capsys):
    """A wrong file name is a problem of the pipeline, not a traceback."""
    assert main(["check", "no/such.toml"]) == 2
    assert capsys.readouterr().err == "no/such.toml: cannot be read: No such file or directory\n"


# --- --build -----------------------------------------------------------------------------------------------------

WORLD = """
import gymnasium
import numpy as np
import tiny
from gymnasium.spaces import Box, Discrete, Text


class World(gymnasium.Env):
    observation_space = Box(-1, 1, (3,))
    action_space = Discrete(2)
    info = {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3, np.float32), self.info

    def step(self, action):
        return np.zeros(3, np.float32), 0.0, True, False, self.info


class Plain:
    world = World

    def __init__(self, config, context):
        pass

    def make(self):
        return self.world()


class Talking(Plain):
    class world(World):
        observation_space = Text(5)


class Round(Plain):
    class world(World):
        action_space = Text(5)


class Masked(Plain):
    class world(World):
        info = {"action_mask": np.ones(2, bool)}


class Failing(Plain):
    def make(self):
        raise OSError("no display")


class Stuck(Plain):
    class world(World):
        def reset(self, *, seed=None, options=None):
            raise OSError("no display")


class Whole(Plain):
    native = True

    def make_vector(self, count):
        mode = gymnasium.vector.AutoresetMode.DISABLED
        return gymnasium.vector.SyncVectorEnv([self.world] * count, autoreset_mode=mode)


class Learner(tiny.Algorithm):
    supports = {"streams"}

    def __init__(self, config, context):
        assert context.make_encoder().feature_dim > 0
        super().__init__(config, context)


class Picky:
    def __init__(self, config, context):
        raise ValueError(f"cannot count {context.action_space}")
"""


@pytest.fixture
def build(check, tmp_path):
    """Run ``framework check --build`` with the classes above."""
    (tmp_path / "world.py").write_text(WORLD)

    def build(environment, *overrides):
        text = f'[run]\ntotal_steps = 1\n[environment]\nuse = "{environment}"\n[algorithm]\nuse = "world:Learner"\n'
        return check(text, "--build", *overrides)

    return build


def test_build_builds_what_a_static_check_does_not(build):
    """A pipeline whose environment and components can be built is valid."""
    assert build("world:Plain") == (0, ["p.toml is valid: world:Plain, mlp, world:Learner"], [])


@pytest.mark.parametrize(
    ("environment", "code", "start"),
    [
        ("world:Talking", 2, "p.toml:3: environment: observation 'observation' has the unsupported space Text"),
        ("world:Round", 2, "p.toml:3: environment: the action space is Text"),
        (
            "world:Masked",
            2,
            "p.toml:3: environment: it gives info['action_mask'], which world:Learner does not support",
        ),
        ("world:Failing", 4, "p.toml:3: environment: environment Failing cannot be made: OSError: no display"),
        ("world:Stuck", 2, "p.toml:3: environment: environment 0 failed in reset: OSError: no display"),
    ],
)
def test_build_refuses_environments(build, environment, code, start):
    """Unsupported spaces, masks that the algorithm cannot take, and environments that fail are named before a run."""
    exit_code, _, errors = build(environment)
    assert errors[0].startswith(start)
    assert exit_code == code


RESTART = "runtime.on_environment_error='restart'"


def test_build_refuses_restarts_of_what_is_one_object(build):
    """At the line of the option, and not only when the run starts."""
    code, _, errors = build("world:Whole", RESTART)
    assert code == 2
    assert errors[0].startswith('override: runtime.on_environment_error: "restart" needs environments that can be')
    assert build("world:Whole")[0] == build("world:Plain", RESTART)[0] == 0


def test_build_forgives_no_environment(build):
    """One that cannot be reset is a mistake, also where a run would try again."""
    code, _, errors = build("world:Stuck", RESTART)
    assert (code, errors[0]) == (2, "p.toml:3: environment: environment 0 failed in reset: OSError: no display")


def test_build_names_every_component_that_cannot_be_built(build):
    """Components that fail are all reported, each at its own section."""
    code, _, errors = build("world:Plain", "algorithm.use=world:Picky", "bonus=[{use='world:Picky'}]")
    assert code == 2
    assert errors == ['override: bonus.0: world:Picky needs an algorithm that supports "streams", unlike world:Picky']
    code, _, errors = build("world:Plain", "bonus=[{use='world:Learner'}, {use='world:Picky'}]")
    assert (code, len([line for line in errors if line.startswith("override: ")])) == (4, 1)
    assert errors[0].startswith("override: bonus.1: bonus 'world:Picky'")
    assert errors[-1] == "ValueError: cannot count Discrete(2)"
