"""`framework examples`: the list, and copies that work where nothing else is."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import framework
from framework.__main__ import main
from framework.bundled import EXAMPLES, bundled_folder, example_names
from framework.commands import _examples, _extras

FOLDER = bundled_folder(EXAMPLES)


@pytest.fixture
def examples(tmp_path, monkeypatch, capsys):
    """Run ``framework examples`` in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def examples(*arguments, command="examples"):
        code = main([command, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return examples


def test_the_list_has_every_example(examples):
    """Each has a row with its steps, and below it what it is."""
    code, output, _ = examples()
    assert code == 0
    assert set(re.findall(r"^(\S+) +[\d,]+  ", output, re.MULTILINE)) == set(example_names())
    assert re.search(r"^cartpole +100,000 +[\d.]+ to [\d.]+ +500, 500, 500 +475\n  CartPole-v1\n", output, re.MULTILINE)
    assert re.search(r"^pong +10,000,000 +- +- +-\n  ALE Pong", output, re.MULTILINE)


def test_the_list_as_json(examples):
    """Numbers, what the pipeline aims at, and the extras that it needs."""
    rows = {row["name"]: row for row in json.loads(examples("--json")[1])}
    assert list(rows) == example_names()
    assert rows["lunarlander"]["extras"] == ["box2d"]
    assert rows["research-factbook"]["extras"] == ["fast", "factbook"]
    assert rows["pendulum"]["aim"] == "-250"
    assert rows["research"]["steps"] == rows["research-factbook"]["steps"] == 300_000
    assert rows["cartpole-gru"]["summary"] == "CartPole-v1 without velocities, which a memory makes up for"


def test_what_is_missing_is_named(examples, monkeypatch):
    """An extra that is not installed here is in the list, and in the commands after a copy."""
    monkeypatch.setattr(_extras, "missing", lambda extra: ["numba"] if extra == "fast" else [])
    assert 'pages; needs pip install "framework-rl[fast]"' not in examples()[1]
    assert 'all six kinds; needs pip install "framework-rl[fast]"\n' in examples()[1]
    _, output, _ = examples("research-baseline")
    assert output.endswith('Next:\n\n  pip install "framework-rl[fast]"\n  framework run research-baseline.toml\n')


@pytest.mark.parametrize("name", example_names())
def test_a_copy_is_whole(name, tmp_path):
    """With the files that are copied, and no others, the pipeline can be read and is that of the example."""
    _examples.copy(_examples.needed_files(_examples.find_example(name)), tmp_path / "copy")
    copied = framework.load(tmp_path / "copy" / f"{name}.toml")
    assert copied.to_plain() == framework.load(FOLDER / f"{name}.toml").to_plain()


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("cartpole", ["cartpole.toml"]),
        ("cartpole-gru", ["cartpole-gru.toml", "hidden_velocities.py"]),
        ("research-factbook", ["research-factbook.toml", "research.toml"]),
    ],
)
def test_copying(examples, monkeypatch, name, files):
    """The files that a pipeline needs are copied and named, and the next command is told."""
    monkeypatch.setattr(_extras, "missing", lambda extra: [])
    code, output, _ = examples(name)
    assert code == 0
    assert output == "".join(f"wrote {file}\n" for file in files) + f"\nNext:\n\n  framework run {name}.toml\n"
    assert sorted(path.name for path in Path().iterdir()) == sorted(files)


def test_copying_into_a_folder(examples):
    """It is made where it is not there; the next command names the file in it."""
    _, output, _ = examples("cartpole", "--to", "my runs/first")
    assert Path("my runs/first/cartpole.toml").is_file()
    assert output.endswith("  framework run 'my runs/first/cartpole.toml'\n")


def test_nothing_is_overwritten(examples):
    """A file that is there is named and stays, and nothing else is copied."""
    Path("hidden_velocities.py").write_text("mine\n")
    code, output, errors = examples("cartpole-gru")
    assert (code, output) == (2, "")
    assert errors == (
        "hidden_velocities.py already exists: move it away, or copy into another folder with --to FOLDER\n"
    )
    assert [path.read_text() for path in Path().iterdir()] == ["mine\n"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cartpol"], "there is no example 'cartpol'; did you mean cartpole?"),
        (["zebra"], "there is no example 'zebra'; there are acrobot, cartpole, "),
        (["--to", "folder"], "--to is for copying an example: name one"),
        (["cartpole", "--json"], "--json is for the list: leave NAME out"),
    ],
)
def test_what_cannot_be(examples, arguments, message):
    """Unknown names have a suggestion, and options their place; the exit code is 2 and nothing is written."""
    code, _, errors = examples(*arguments)
    assert code == 2
    assert message in errors
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_pipeline_that_is_still_to_be_copied(examples, command):
    """Where the named file is not there and an example has its name, the error says how to get it."""
    code, _, errors = examples("cartpole.toml", command=command)
    assert code == 2
    assert errors == (
        "cartpole.toml: cannot be read: No such file or directory; the example of that name is copied into this folder "
        "by: framework examples cartpole\n"
    )
    assert examples("mine.toml", command=command)[2] == "mine.toml: cannot be read: No such file or directory\n"


def test_without_examples(tmp_path, monkeypatch):
    """An installation that lacks them says so; a pipeline that is not there is told as ever."""
    monkeypatch.setattr("framework.__file__", str(tmp_path / "framework" / "__init__.py"))
    assert example_names() == []
    with pytest.raises(framework.errors.FrameworkError, match=r"the examples are missing: .*; install again"):
        _examples.list_examples()


def test_what_is_missing_of_an_extra(monkeypatch):
    """Requirements that are absent or too old, also those of an extra of what an extra requires; markers count."""
    requirements = {
        "framework-rl": [
            "core>=1",
            'there>=1; extra == "fast"',
            'absent; extra == "fast"',
            'old>=2; extra == "fast"',
            'nested[inner]; extra == "fast"',
            'elsewhere; python_version < "3" and extra == "fast"',
            'unrelated; extra == "plots"',
        ],
        "nested": ['deep; extra == "inner"', "shallow"],
    }
    versions = {"there": "1.1", "old": "1.9", "nested": "0.1"}

    def version(name):
        if name not in versions:
            raise _extras.PackageNotFoundError(name)
        return versions[name]

    def requires(name):
        if name not in requirements:
            raise _extras.PackageNotFoundError(name)
        return requirements[name]

    monkeypatch.setattr(_extras, "version", version)
    monkeypatch.setattr(_extras, "requires", requires)
    assert _extras.missing("fast") == ["absent", "deep", "old"]
    assert _extras.missing("fast", "never-installed") == []


def test_helpers_are_found_wherever_they_are_named(tmp_path):
    """In nested tables and arrays, once each; what is no file here is no helper."""
    for name in ("one.py", "two.py"):
        shutil.copyfile(FOLDER / "hidden_velocities.py", tmp_path / name)
    (tmp_path / "base.toml").write_text('[environment]\nuse = "one:CartPole"\n')
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text(
        'extends = "base.toml"\n[[bonus]]\nuse = "two:Bonus"\nencoder = { use = "one:Net" }\n'
        '[algorithm]\nobjective = "elsewhere:loss"\nnote = "not two: words"\n'
    )
    names = [path.name for path in _examples.needed_files(pipeline)]
    assert names == ["pipeline.toml", "base.toml", "one.py", "two.py"]
