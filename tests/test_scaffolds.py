"""What `framework new` writes, as strangers use it: built, installed, tested and trained with, without an edit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from framework.commands._scaffold import names, render, write
from framework.hookspecs import CONTRACTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[1]
BUILD = """
import os, sys
from hatchling.build import build_wheel
for project in sys.argv[2:]:
    os.chdir(project)
    build_wheel(sys.argv[1])
"""
#: Sections of a pipeline beside that of the component.
PIPELINE = {
    "run": {"total_steps": 1024},
    "environment": {"use": "gymnasium", "id": "CartPole-v1", "task_attribute": "length"},
    "encoder": {"use": "mlp"},
    "algorithm": {"use": "ppo"},
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A new package of each kind."""
    folder = tmp_path_factory.mktemp("packages")
    for kind in CONTRACTS:
        component = names(kind, f"my_{kind}", here=False)
        write(render(component), folder / component.distribution)
    return {kind: folder / f"framework-my-{kind}" for kind in CONTRACTS}


@pytest.fixture(scope="module")
def scratch(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment with the wheels of the framework and of each package."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("scratch")
    subprocess.run([sys.executable, "-c", BUILD, wheels, ROOT, *packages.values()], check=True, capture_output=True)
    venv.EnvBuilder(symlinks=True).create(folder)
    [site] = folder.glob("lib/python*/site-packages")
    # All other packages are borrowed; their own .pth files do not count, so that no editable install does.
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "borrowed.pth").write_text("\n".join(borrowed))
    offline = ["--no-deps", "--no-index", "--ignore-installed", "--disable-pip-version-check", "--quiet"]
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", *offline]
    subprocess.run([*pip, *wheels.glob("*.whl")], check=True, capture_output=True)
    return folder / "bin"


def run(*command: object, folder: Path) -> str:
    """What a program writes; fails with it where the program does."""
    path = os.pathsep.join([str(Path(str(command[0])).parent), os.environ["PATH"]])
    process = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def trained(folder: Path) -> int:
    """Steps of the only run in a folder."""
    [directory] = (folder / "runs").iterdir()
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return max(json.loads(line).get("steps", 0) for line in lines)


@pytest.mark.parametrize("kind", CONTRACTS)
def test_its_tests_pass(packages: dict[str, Path], scratch: Path, kind: str) -> None:
    """pytest in the package's folder passes, with no warning."""
    assert "0 failed" in run(scratch / "python", "-m", "pytest", "-p", "no:cacheprovider", folder=packages[kind])


@pytest.mark.parametrize("kind", CONTRACTS)
def test_its_example_trains(packages: dict[str, Path], scratch: Path, kind: str, tmp_path: Path) -> None:
    """Its example pipeline runs as it is, only shorter; and the package is known by its name."""
    example = packages[kind] / "example.toml"
    run(scratch / "framework", "run", example, "run.total_steps=2048", folder=tmp_path)
    assert trained(tmp_path) >= 2048
    assert f"my_{kind}/my_{kind}" in run(scratch / "framework", "plugins", f"my_{kind}", folder=tmp_path)


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_single_file_trains(scratch: Path, kind: str, tmp_path: Path) -> None:
    """A pipeline uses the file beside it, with nothing of it installed; the kit finds no fault."""
    from framework.pipeline import to_toml

    write(render(names(kind, "mine", here=True)), tmp_path)
    table = {"use": "mine:Mine"}
    if kind == "replay":
        sections = PIPELINE | {"algorithm": {"use": "dqn"}, kind: table}
    elif kind == "launcher":
        runtime = {"samplers": 0, "listen": "127.0.0.1:0", "launcher": {"use": "mine:Mine", "samplers": 2}}
        sections = PIPELINE | {"runtime": runtime}
    else:
        sections = PIPELINE | {kind: [table] if kind in ("bonus", "callback") else table}
    if kind == "curriculum":
        sections[kind] = table | {"tasks": [0.5, 1.0]}
    (tmp_path / "pipeline.toml").write_text(to_toml(sections))
    run(scratch / "framework", "run", "pipeline.toml", folder=tmp_path)
    assert trained(tmp_path) >= 1024
    report = run(scratch / "framework", "check", "--component", "mine:Mine", "--kind", kind, folder=tmp_path)
    assert " 0 failed" in report
