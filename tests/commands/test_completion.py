"""Completion of arguments, as shells ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete
from recorded import learned, write_run

from framework.commands import _shells, cli

PIPELINE = """
[run]
name = "pole"
seed = 1
total_steps = 1000
[environment]
use = "gymnasium"
id = "CartPole-v1"
[algorithm]
use = "ppo"
[[bonus]]
use = "rnd"
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder with a pipeline file and two runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pole.toml").write_text(PIPELINE)
    for number in (1, 2):
        run = write_run(tmp_path / "runs" / f"pole-{number}", metrics=learned(1, evaluated=2))
        (run / "pipeline.toml").write_text(PIPELINE)
        os.utime(run / "manifest.json", (number, number))
    (tmp_path / "runs" / "pole-1" / "checkpoints" / "update-00000001").mkdir(parents=True)


def offered(*words):
    """What is offered for the last of the words."""
    completion = ShellComplete(cli, {}, "framework", "_FRAMEWORK_COMPLETE")
    items = completion.get_completions(list(words[:-1]), words[-1])
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in items]


def test_keys_of_the_pipeline_file():
    """Of its sections and of the components that it uses; each is followed by its value."""
    assert offered("run", "pole.toml", "algorithm.learning_r") == [
        "algorithm.learning_rate=",
        "algorithm.learning_rate_schedule=",
    ]
    assert offered("check", "pole.toml", "encoder.act") == ["encoder.activation="]
    assert {"bonus.0.use=", "bonus.0.weight=", "bonus.0.epochs="} <= set(offered("run", "pole.toml", "bonus.0."))
    assert {"run.seed=", "sampling.shard=", "environment.id="} <= set(offered("run", "pole.toml", ""))
    assert offered("run", "pole.toml", "~b") == ["~bonus"]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["bonus.0.use="], ["rnd", "icm", "random_features"]),
        (["runtime.precision="], ["float32", "bfloat16", "float16"]),
        (["runtime.compile="], ["true", "false"]),
        (["sampling.policy_lag="], ["free"]),
        (["run.seed="], []),
    ],
)
def test_values_of_keys(words, values):
    """Names of components, choices, true and false: as one word, or where bash makes three of it."""
    key = words[0].removesuffix("=")
    assert offered("run", "pole.toml", f"{key}=") == [f"{key}={value}" for value in values]
    assert offered("run", "pole.toml", key, "=") == values
    if values:
        start = values[-1][:2]
        assert values[-1] in offered("run", "pole.toml", key, "=", start)
        assert f"{key}={values[-1]}" in offered("run", "pole.toml", f"{key}={start}")


def test_keys_of_a_run_that_is_resumed():
    """Its pipeline is the one in its directory; the first argument is an override then."""
    assert offered("run", "--resume", "runs/pole-1", "run.tot") == ["run.total_steps="]
    assert offered("run", "--resume", "runs/pole-1", "run.seed=1", "algorithm.ep") == ["algorithm.epochs="]
    assert offered("run", "po") == ["<file>"]


@pytest.mark.parametrize("words", [["run", "--resume"], ["eval"], ["plot"], ["join"]])
def test_run_directories(words):
    """The newest first, also where only their folder is begun."""
    assert offered(*words, "ru") == ["runs/pole-2", "runs/pole-1"]
    assert offered(*words, "runs/pole-1") == ["runs/pole-1"]
    assert offered(*words, "nothing") == ["<file>"]


def test_launchers_and_then_runs():
    """As the arguments follow one another; the launcher may be left out."""
    assert offered("launch", "ss") == ["ssh"]
    assert offered("launch", "ssh", "runs/") == offered("launch", "runs/") == ["runs/pole-2", "runs/pole-1"]


def test_what_evaluations_may_override():
    """The sections that they read."""
    keys = offered("eval", "runs/pole-1", "e")
    assert {key.partition(".")[0] for key in keys} == {"environment", "evaluation"}
    assert offered("eval", "runs/pole-1", "run.s") == ["<file>"]


def test_metrics_checkpoints_plugins_and_components():
    """What the run named before has, and what is installed."""
    assert offered("plot", "runs/pole-1", "--metric", "eval") == ["evaluation/return"]
    assert offered("eval", "runs/pole-1", "--checkpoint", "") == ["best", "last", "update-00000001"]
    assert offered("plugins", "curi") == ["curiosity"]
    assert offered("plugins", "bon") == ["bonus"]
    assert "mlp" in offered("check", "--component", "m")


def test_mistakes_are_not_told():
    """A pipeline file that is none or is not there, and components in files, which are not run for this."""
    assert offered("run", "nothing.toml", "alg") == []
    assert offered("run", "pole.toml", "no.such_key=") == []
    with open("pole.toml", "a") as file:
        file.write('[encoder]\nuse = "explode:Encoder"\n')
    with open("explode.py", "w") as file:
        file.write("raise SystemExit\n")
    assert offered("run", "pole.toml", "encoder.") == ["encoder.use="]
    with open("pole.toml", "a") as file:
        file.write("[[")
    assert offered("run", "pole.toml", "alg") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_shells_put_no_space_after_a_key():
    """As the value follows; after a whole word it does."""
    assert "compopt -o nospace" in _shells.Bash.source_template
    assert "compadd -U -S ''" in _shells.Zsh.source_template
    program = f'eval "$("{sys.executable}" -P -m framework)"; complete -p framework'
    environment = os.environ | {"_FRAMEWORK_COMPLETE": "bash_source"}
    result = subprocess.run(["bash", "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert result.stdout == "complete -o nosort -F _framework_completion framework\n"
