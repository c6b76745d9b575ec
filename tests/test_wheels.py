"""Real wheels, built and installed into an environment of their own: the framework's, and those of six strangers."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # CI runs them

ROOT = Path(__file__).parents[1]
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "1.0"

[project.entry-points."{group}"]
{plugin} = "{module}"
"""
DECLARATION = """
from framework import hookimpl

@hookimpl
def {hook}(register):
    register("wide", "{module}.wide:Wide", config="{module}.config:WideConfig", summary="One wide layer.")
"""
CONFIG = """
from attrs import frozen
from framework.schema import option

@frozen
class WideConfig:
    width: int = option(32, help="Units of the layer.", ge=1)
"""
ENCODER = """
from torch import nn
from framework.interfaces import Encoding

class Wide(nn.Module):
    def __init__(self, config, context):
        super().__init__()
        self.layer = nn.Linear(context.observation_space["observation"].shape[0], config.width)
        self.feature_dim = config.width

    def initial_memory(self, count):
        return {}

    def forward(self, observation, memory, first):
        return Encoding(self.layer(observation["observation"]).relu()), memory
"""
BUNDLED = (
    "callbacks",
    "curiosity",
    "curricula",
    "dqn",
    "encoders",
    "gymnasium",
    "kubernetes",
    "mlflow",
    "offline",
    "off_policy",
    "ppo",
    "pqn",
    "ray",
    "replay",
    "research",
    "slurm",
    "ssh",
    "tensorboard",
    "trackio",
    "wandb",
)
GOOD = DECLARATION.format(hook="register_encoders", module="framework_acme")
MISSPELLED = DECLARATION.format(hook="register_encoderz", module="framework_misspelled")
RAISING = "raise RuntimeError('{} was imported')\n"
#: distribution -> (entry-point group, plugin, source of the package)
STRANGERS = {
    "framework-acme": ("framework.plugins", "acme", GOOD),
    "framework-exploding": ("framework.plugins", "exploding", RAISING.format("exploding")),
    "framework-misspelled": ("framework.plugins", "misspelled", MISSPELLED),
    "framework-twin-one": ("framework.plugins", "twin", RAISING.format("twin")),
    "framework-twin-two": ("framework.plugins", "twin", RAISING.format("twin")),
    "framework-ancient": ("framework.plugins.v0", "ancient", RAISING.format("ancient")),
}
BUILD = """
import os, sys
from hatchling.build import build_wheel
for project in sys.argv[2:]:
    os.chdir(project)
    build_wheel(sys.argv[1])
"""
PIPELINE = """
[run]
total_steps = 1024

[environment]
use = "gymnasium"
id = "CartPole-v1"

[encoder]
use = "{encoder}"

[algorithm]
use = "ppo"

[evaluation]
episodes = 2
"""


def write_projects(folder):
    for distribution, (group, plugin, source) in STRANGERS.items():
        module = distribution.replace("-", "_")
        package = folder / distribution / module
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        (package / "config.py").write_text(CONFIG)
        (package / "wide.py").write_text(ENCODER)
        project = PROJECT.format(distribution=distribution, group=group, plugin=plugin, module=module)
        (package.parent / "pyproject.toml").write_text(project)
    return [folder / distribution for distribution in STRANGERS]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with the wheel of the framework and of each stranger."""
    folder = tmp_path_factory.mktemp("wheels")
    projects = write_projects(tmp_path_factory.mktemp("projects"))
    subprocess.run([sys.executable, "-c", BUILD, folder, ROOT, *projects], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory):
    """A virtual environment with these wheels, that borrows all other packages from the environment of the tests."""
    folder = tmp_path_factory.mktemp("scratch")
    venv.EnvBuilder(symlinks=True).create(folder)
    python = folder / "bin" / "python"
    [site] = folder.glob("lib/python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "borrowed.pth").write_text("\n".join(borrowed))  # their own .pth files do not count, so no editable install
    offline = ["--no-deps", "--no-index", "--ignore-installed", "--disable-pip-version-check", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", *offline]
    subprocess.run([*pip, *wheels.glob("*.whl")], check=True, capture_output=True)
    return folder


@pytest.fixture
def framework(environment, tmp_path):
    """Run the installed command in an empty directory."""

    def run(*arguments, code=0, **variables):
        process = subprocess.run(
            [environment / "bin" / "framework", *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == code, process.stdout + process.stderr
        return process

    return run


def write_pipeline(folder, encoder):
    (folder / "pipeline.toml").write_text(PIPELINE.format(encoder=encoder))
    return "pipeline.toml"


def test_the_wheel_has_only_packages_of_its_own_name(wheels):
    """No top-level package called plugins, tests or benchmarks is installed; examples and templates lie inside the
    framework, and every package says that it is typed.
    """
    [wheel] = wheels.glob("framework_rl-*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    names = {name.partition("/")[0] for name in files}
    packages = {"framework", *(f"framework_{plugin}" for plugin in BUNDLED)}
    assert {name for name in names if not name.endswith(".dist-info")} == packages
    assert any(name.startswith("framework/templates/bonus/") for name in files)
    examples = {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert {
        name.removeprefix("framework/examples/") for name in files if name.startswith("framework/examples/")
    } == examples
    assert {name for name in files if name.endswith("py.typed")} == {f"{package}/py.typed" for package in packages}


@pytest.mark.timeout(300)
def test_the_first_hour_without_a_clone(framework, tmp_path):
    """In an empty folder an example is listed, copied with its helper file, trained, and resumed for longer."""
    assert re.search(r"^cartpole-gru +300,000 ", framework("examples").stdout, re.MULTILINE)
    framework("examples", "cartpole-gru")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cartpole-gru.toml", "hidden_velocities.py"]
    small = ["runtime.samplers=1", "evaluation.episodes=1", "algorithm.epochs=1", "sampling.rollout_length=32"]
    framework("run", "cartpole-gru.toml", "run.total_steps=1", *small)
    [run] = (tmp_path / "runs").iterdir()
    framework("run", "--resume", str(run), "run.total_steps=500")
    steps = [json.loads(line).get("steps", 0) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 512
    framework("new", "pipeline", "mine", "--environment", "Pendulum-v1")
    assert "mine.toml is valid" in framework("check", "mine.toml", "--build").stdout


@pytest.mark.timeout(300)
def test_users_see_types(environment, tmp_path):
    """A type checker finds the types of the installed framework, and a mistake in how it is called."""
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(
        "import framework\n"
        "from framework_ppo.config import PPOConfig\n"
        'reveal_type(framework.load("cartpole.toml").run.seed)\n'
        "reveal_type(PPOConfig().gamma)\n"
        "framework.load(3)\n"
    )
    skipped = (f"[mypy-{package}.*]\nfollow_imports = skip\n" for package in ("torch", "numpy", "gymnasium"))
    (tmp_path / "mypy.ini").write_text("[mypy]\nfollow_imports = silent\n" + "".join(skipped))
    check = ["-m", "mypy", "--python-executable", environment / "bin" / "python", "user.py"]
    process = subprocess.run([sys.executable, *check], cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = process.stdout.splitlines()
    assert lines[:2] == [
        f'user.py:{line}: note: Revealed type is "{name}"' for line, name in ((3, "int"), (4, "float"))
    ]
    assert 'user.py:5: error: Argument 1 to "load" has incompatible type "int"' in lines[2]


def test_the_readme_has_no_broken_link(wheels):
    """What package indexes show of it has neither pictures nor links to files."""
    [wheel] = wheels.glob("framework_rl-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    fields, _, readme = metadata.partition("\n\n")
    assert "Description-Content-Type: text/markdown" in fields
    assert readme.startswith("# Framework\n")
    assert re.findall(r"\]\((?!https?://)", re.sub(r"^```.*?^```$", "", readme, flags=re.MULTILINE | re.DOTALL)) == []


def test_each_plugin_has_its_row(framework, environment):
    """The good ones are loaded; each bad one has its status and a reason that names what is wrong."""
    rows = json.loads(framework("plugins", "--json").stdout)
    status = {(row["name"], row["distribution"]): row["status"] for row in rows}
    assert status == {
        **{(plugin, "framework-rl"): "loaded" for plugin in BUNDLED},
        ("acme", "framework-acme"): "loaded",
        ("exploding", "framework-exploding"): "broken",
        ("misspelled", "framework-misspelled"): "broken",
        ("twin", "framework-twin-one"): "duplicate",
        ("twin", "framework-twin-two"): "duplicate",
        ("ancient", "framework-ancient"): "too old",
    }
    reasons = {row["name"]: row["reason"] for row in rows}
    [site] = environment.glob("lib/python*/site-packages")
    assert reasons["exploding"] == "RuntimeError: exploding was imported"
    assert reasons["misspelled"] == (
        f"{site}/framework_misspelled/__init__.py:4: register_encoderz is no hook; did you mean register_encoders?"
    )
    assert reasons["twin"] == (
        "the plugin 'twin' is offered by framework-twin-one 1.0 and framework-twin-two 1.0; uninstall one"
    )
    assert reasons["ancient"].startswith("it is made for the hook contract 'framework.plugins.v0'")


def test_the_table_for_people(framework):
    """The same as text, with the stranger's component under its qualified name."""
    text = framework("plugins").stdout
    assert re.search(r"^acme +framework-acme +1\.0 +loaded\n +encoder +acme/wide +One wide layer\.$", text, re.M)
    assert re.search(r"^exploding +framework-exploding +1\.0 +broken\n +RuntimeError", text, re.M)


def test_options_and_tracebacks(framework):
    """A stranger's options are shown, and the whole traceback of one that raises."""
    assert "  width: integer ≥ 1 = 32\n      Units of the layer.\n" in framework("plugins", "acme/wide").stdout
    text = framework("plugins", "exploding").stdout
    assert 'framework_exploding/__init__.py", line 1, in <module>' in text


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("exploding/x", ["plugin 'exploding' (framework-exploding 1.0) is broken", "Traceback", "line 1, in <module>"]),
        ("misspelled/wide", ["plugin 'misspelled' (framework-misspelled 1.0) is broken", "did you mean"]),
        ("twin/wide", ["framework-twin-one 1.0 and framework-twin-two 1.0"]),
        ("ancient/wide", ["plugin 'ancient' (framework-ancient 1.0) is too old"]),
        ("absent/wide", ["no plugin named 'absent' is installed"]),
    ],
)
def test_a_pipeline_that_asks_for_a_bad_plugin_is_refused(framework, tmp_path, use, words):
    """The line of the pipeline, the distribution, the reason and the traceback are told; the exit code is 4."""
    error = framework("check", write_pipeline(tmp_path, use), code=4).stderr
    assert error.startswith("pipeline.toml:10: encoder.use: ")
    assert [word for word in words if word not in error] == []


def test_training_with_a_strangers_encoder(framework, tmp_path):
    """A third-party encoder is found by its entry point and trained with, and the run records whose it is."""
    framework("run", write_pipeline(tmp_path, "acme/wide"), "encoder.width=16", "runtime.samplers=1")
    [run] = (tmp_path / "runs").iterdir()
    recorded = json.loads((run / "manifest.json").read_text())["components"]["encoder/acme/wide"]
    assert recorded == {
        "distribution": "framework-acme",
        "version": "1.0",
        "sha256": sha256(ENCODER.encode()).hexdigest(),
    }
    steps = [json.loads(line).get("steps", 0) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 1024


def test_everything_broken(framework, tmp_path):
    """``plugins``, ``doctor`` and ``--help`` work where no plugin does, and say so."""
    shadows = tmp_path / "shadows"
    shadows.mkdir()
    for module in ("acme", *BUNDLED):
        (shadows / f"framework_{module}.py").write_text("1 / 0\n")
    broken = {"PYTHONPATH": str(shadows)}
    rows = json.loads(framework("plugins", "--json", **broken).stdout)
    assert {row["status"] for row in rows} == {"broken", "duplicate", "too old"}
    assert "Commands:" in framework("--help", **broken).stdout
    report = framework("doctor", code=1, **broken).stdout
    assert "ppo (framework-rl" in report
    assert "ZeroDivisionError" in report
    error = framework("check", write_pipeline(tmp_path, "mlp"), code=4, **broken).stderr
    assert "plugin 'encoders' (framework-rl" in error


PRIORITIZED = """
[run]
total_steps = 512
[environment]
use = "gymnasium"
id = "CartPole-v1"
[algorithm]
use = "dqn"
learning_starts = 64
[replay]
use = "prioritized"
[runtime]
samplers = 0
"""


def test_the_extra_fast_changes_nothing_but_speed(framework, tmp_path):
    """Without it prioritized replay gives the same numbers, and research says what is missing."""
    (tmp_path / "numba.py").write_text("raise ModuleNotFoundError(\"No module named 'numba'\", name='numba')\n")
    without = {"PYTHONPATH": str(tmp_path)}
    path = tmp_path / "prioritized.toml"
    path.write_text(PRIORITIZED)
    framework("run", str(path), "--runs", "fast")
    framework("run", str(path), "--runs", "plain", **without)
    numbers = []
    for folder in ("fast", "plain"):
        [metrics] = (tmp_path / folder).glob("*/metrics.jsonl")
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        numbers.append([{name: x for name, x in line.items() if not name.startswith("time/")} for line in lines])
    assert numbers[0] == numbers[1]
    assert any("loss" in name for name in numbers[0][-2])
    path.write_text(PRIORITIZED.replace('"gymnasium"\nid = "CartPole-v1"', '"research"'))
    error = framework("run", str(path), code=4, **without).stderr
    assert 'research needs the package numba: pip install "framework-rl[fast]"' in error
