"""What docs/how-to/come-from-another-library.md says, against our schema and, where it is at hand, the library itself.

The slow tests need stable-baselines3; SB3_PYTHON names a Python that has it, where the one of the tests does not.
"""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import framework
from framework import catalog
from framework.pipeline import describe
from framework.pipeline.sections import DEFAULT_ENCODER, SECTIONS
from framework_ppo.config import PPOConfig
from framework_ppo.objective import Predictions, Targets, ppo_loss

PAGE = (Path(__file__).parents[1] / "docs/how-to/come-from-another-library.md").read_text(encoding="utf-8")
PEER = os.environ.get("SB3_PYTHON") or (importlib.util.find_spec("stable_baselines3") and sys.executable)
needs_peer = pytest.mark.skipif(not PEER, reason="needs stable-baselines3: SB3_PYTHON names a Python that has it")
#: What each table of Stable-Baselines3 is about; arguments that are no settings are left out.
SUBJECTS = {
    "PPO": "stable_baselines3:PPO.__init__",
    "policy_kwargs of PPO": "stable_baselines3.common.policies:ActorCriticPolicy.__init__",
    "DQN": "stable_baselines3:DQN.__init__",
    "make_vec_env": "stable_baselines3.common.env_util:make_vec_env",
    "AtariWrapper": "stable_baselines3.common.atari_wrappers:AtariWrapper.__init__",
    "VecFrameStack": "stable_baselines3.common.vec_env:VecFrameStack.__init__",
    "VecNormalize": "stable_baselines3.common.vec_env:VecNormalize.__init__",
    "EvalCallback": "stable_baselines3.common.callbacks:EvalCallback.__init__",
    "CheckpointCallback": "stable_baselines3.common.callbacks:CheckpointCallback.__init__",
    "Monitor": "stable_baselines3.common.monitor:Monitor.__init__",
    "learn": "stable_baselines3:PPO.learn",
}
#: What has a table's options where several components do.
COMPONENTS = {
    "environment": ("gymnasium", "atari"),
    "encoder": ("mlp", "cnn"),
    "replay": ("uniform",),
}


class Setting(NamedTuple):
    """One row of a table: a setting of the other library, and ours."""

    name: str
    default: str
    key: str
    our_default: str
    advice: str


def tables():
    """The rows of each table with our keys, by its heading."""
    sections = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
    rows = {
        heading.replace("`", ""): [
            Setting(*(cell.strip().strip("`") for cell in line.strip("|").split("|")))
            for line in text.splitlines()
            if line.startswith("| `") and line.count("|") == 6
        ]
        for heading, text in sections.items()
    }
    return {heading: settings for heading, settings in rows.items() if settings}


TABLES = tables()


def ours(heading, key):
    """The default of one of our options as TOML, "required" or "none"; None where there is no such option."""
    section, _, name = key.partition(".")
    if name == "use":
        return f'"{DEFAULT_ENCODER}"' if section == "encoder" else "required"
    if section in SECTIONS:
        classes = [SECTIONS[section]]
    else:
        algorithm = {"DQN": "dqn", "dqn.py": "dqn", "pqn.py": "pqn"}.get(heading, "ppo")
        names = {**COMPONENTS, "algorithm": (algorithm,)}[section]
        classes = [catalog.default_catalog().find(section, component).config_class() for component in names]
    rows = [row for cls in classes for row in describe.rows(cls) if row.path == name]
    return ("required" if rows[0].required else rows[0].default or "none") if rows else None


def test_every_subject_has_a_table():
    """Eleven tables of Stable-Baselines3, three of CleanRL."""
    assert sorted(TABLES) == sorted([*SUBJECTS, "ppo.py", "dqn.py", "pqn.py"])


@pytest.mark.parametrize("heading", sorted(TABLES))
def test_our_side_is_as_the_page_says(heading):
    """Every key that the page names is an option, with the default that the page says."""
    settings = TABLES[heading]
    assert len({setting.name for setting in settings}) == len(settings)
    wrong = {
        setting.key: ours(heading, setting.key)
        for setting in settings
        if setting.key and setting.our_default != ours(heading, setting.key)
    }
    assert wrong == {}


def shown(name):
    """The file of this name on the page."""
    return next(
        match[2]
        for match in re.finditer(r"^```(python|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        if match[2].startswith(f"# {name}\n")
    )


def test_the_two_files_mean_the_same():
    """Each setting of the script stands in the pipeline under the table's key, as the table's factor has it."""
    pipeline = tomllib.loads(shown("cartpole-sb3.toml"))
    calls = [node for node in ast.walk(ast.parse(shown("train_sb3.py"))) if isinstance(node, ast.Call)]
    environments = {"PPO": 8, "EvalCallback": 8}
    compared = 0
    for call in calls:
        heading = getattr(call.func, "id", getattr(call.func, "attr", ""))
        rows = {setting.name: setting for setting in TABLES.get(heading, ())}
        if heading == "make_vec_env" and call.keywords[0].value.value == 1:
            continue  # the environment of the evaluations
        for keyword in call.keywords:
            setting = rows[keyword.arg]
            if not setting.key:
                continue
            value, section = keyword.value, pipeline[setting.key.partition(".")[0]]
            name = setting.key.partition(".")[2]
            if isinstance(value, ast.Lambda):
                assert section[f"{name}_schedule"] == "linear"
                value = value.body.left
            expected = ast.literal_eval(value)
            factor = {"**twice**": 2, "**1.5 times**": 1.5, "**times `n_envs`**": environments.get(heading)}
            expected *= next((number for words, number in factor.items() if words in setting.advice), 1)
            assert section[name] == (expected if isinstance(expected, str) else pytest.approx(expected)), name
            compared += 1
    assert compared == 17


def test_dqn_with_their_defaults(tmp_path):
    """The page's pipeline of DQN has their default of every setting that is a number, converted as the table says."""
    (tmp_path / "dqn-sb3.toml").write_text(shown("dqn-sb3.toml"), encoding="utf-8")
    values = framework.load(tmp_path / "dqn-sb3.toml").to_plain()
    theirs = {
        setting.name: ast.literal_eval(setting.default) for setting in TABLES["DQN"] if setting.default[0].isdigit()
    }
    updates_per_step = theirs["gradient_steps"] / theirs["train_freq"]  # of one environment
    expected = theirs | {
        "gradient_steps": updates_per_step,
        "target_update_interval": theirs["target_update_interval"] * updates_per_step,
    }
    compared = [setting for setting in TABLES["DQN"] if setting.key and setting.name in theirs]
    assert len(compared) == 14
    for setting in compared:
        section, _, name = setting.key.partition(".")
        assert values[section][name] == pytest.approx(expected[setting.name]), setting.name
    assert values["algorithm"]["double"] is False


def test_value_coefficient_is_twice_theirs():
    """The loss of Stable-Baselines3's ``PPO.train``, of the mean squared error, is ours with twice the coefficient."""
    generator = torch.Generator().manual_seed(0)
    new = Predictions(*(torch.randn(64, generator=generator) for _ in range(3)))
    old = Targets(torch.zeros(64), *(torch.randn(64, generator=generator) for _ in range(4)))
    ratio = (new.log_prob - old.log_prob).exp()
    policy = -torch.minimum(ratio * old.advantages, ratio.clamp(0.8, 1.2) * old.advantages).mean()
    theirs = policy + 0.01 * -new.entropy.mean() + 0.5 * torch.nn.functional.mse_loss(old.returns, new.values)
    loss = ppo_loss(new, old, 0.2, PPOConfig(entropy_coefficient=0.01, value_coefficient=1.0))
    torch.testing.assert_close(loss.total, theirs)


def peer(script, folder):
    """What a script prints as its last line, JSON, run by the Python with Stable-Baselines3."""
    (folder / "script.py").write_text(script, encoding="utf-8")
    command = [PEER, "-W", "ignore", "script.py"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(process.stdout.splitlines()[-1])


SIGNATURES = """
import importlib, inspect, json
def default(value):
    return None if value is inspect.Parameter.empty else getattr(value, "__name__", None) or repr(value)
def signature(target):
    module, _, path = target.partition(":")
    value = importlib.import_module(module)
    for name in path.split("."):
        value = getattr(value, name)
    return {name: default(parameter.default) for name, parameter in inspect.signature(value).parameters.items()}
"""


@needs_peer
@pytest.mark.slow
def test_their_side_is_as_the_page_says(tmp_path):
    """Every setting that they have is on the page with its default, and no other."""
    script = SIGNATURES + f"print(json.dumps({{name: signature(target) for name, target in {SUBJECTS!r}.items()}}))"
    no_settings = {"self", "observation_space", "action_space", "lr_schedule", "venv", "_init_setup_model"}
    for heading, signature in peer(script, tmp_path).items():
        theirs = {name: default for name, default in signature.items() if name not in no_settings}
        if heading == "AtariWrapper":
            del theirs["env"]
        page = {setting.name: setting.default for setting in TABLES[heading]}
        assert page.keys() == theirs.keys(), heading
        for name, default in theirs.items():
            if default is None or default.isidentifier():
                assert page[name] == (default or "required"), (heading, name)
            else:
                assert ast.literal_eval(page[name]) == ast.literal_eval(default), (heading, name)


@needs_peer
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_files_learn_the_same(tmp_path):
    """Script and pipeline, as the page shows them, both solve CartPole: 475 or more in their last evaluation."""
    script = shown("train_sb3.py") + "\nimport json\nprint(json.dumps(evaluation.last_mean_reward))\n"
    theirs = peer(script, tmp_path)
    (tmp_path / "cartpole-sb3.toml").write_text(shown("cartpole-sb3.toml"), encoding="utf-8")
    *_, last = framework.train(framework.load(tmp_path / "cartpole-sb3.toml"), root=tmp_path)
    assert theirs >= 475
    assert last.evaluation["evaluation/return"] >= 475


@needs_peer
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_files_of_dqn_learn_the_same(tmp_path):
    """Script and pipeline, as the page shows them, both reach 475 or more in an evaluation."""
    script = shown("train_dqn_sb3.py") + "\nimport json\nprint(json.dumps(evaluation.best_mean_reward))\n"
    theirs = peer(script, tmp_path)
    (tmp_path / "cartpole-dqn-sb3.toml").write_text(shown("cartpole-dqn-sb3.toml"), encoding="utf-8")
    updates = framework.train(framework.load(tmp_path / "cartpole-dqn-sb3.toml"), root=tmp_path)
    ours = max(update.evaluation["evaluation/return"] for update in updates if update.evaluation is not None)
    assert theirs >= 475
    assert ours >= 475
