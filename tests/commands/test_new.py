"""`framework new`: what it writes works as it is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from framework.__main__ import main
from framework.commands._scaffold import names, render
from framework.hookspecs import CONTRACTS
from framework.pipeline.toml import parse

STYLE = ["--isolated", "--quiet", "--line-length", "120"]
RULES = ["--select", "E,F,W,I,B,UP,D1", "--ignore", "D105,D107", "--per-file-ignores", "tests/**:D1"]
LINT, FORMAT = ["check", *STYLE, *RULES], ["format", "--check", *STYLE]


@pytest.fixture
def new(tmp_path, monkeypatch, capsys):
    """Run ``framework new``; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def new(*arguments):
        code = main(["new", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return new


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_package_is_whole(new, kind):
    """It has declarations, options, implementation, tests, documentation, an example and a CI file."""
    code, output, _ = new(kind, f"my_{kind}")
    assert code == 0
    folder = Path(f"framework-my-{kind}")
    package = folder / f"framework_my_{kind}"
    for path in ("pyproject.toml", "README.md", "example.toml", ".gitignore", ".github/workflows/test.yml"):
        assert (folder / path).is_file()
        assert f"wrote {folder / path}" in output
    assert sorted(path.name for path in package.iterdir()) == ["__init__.py", "config.py", f"my_{kind}.py"]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"framework-my-{kind}"
    assert project["entry-points"]["framework.plugins"] == {f"my_{kind}": f"framework_my_{kind}"}
    assert output.endswith(
        f"Next:\n\n  cd {folder} && pip install -e '.[test]'\n  pytest\n  framework run example.toml\n"
    )


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_package_is_clean(tmp_path, kind):
    """Its code passes a linter and a formatter; nothing in it is left to be done; its TOML can be read."""
    files = render(names(kind, f"lab/new_{kind}", here=False)) | render(names(kind, f"new_{kind}", here=True))
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        assert "TODO" not in text
        assert "{{" not in text
        assert "{%" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n"), path
        if path.endswith(".toml"):
            parse(text, path)
    for arguments in (LINT, FORMAT):
        subprocess.run([sys.executable, "-m", "ruff", *arguments], cwd=tmp_path, check=True)


def test_names_of_another_plugin(new):
    """``plugin/name`` makes the component of a plugin; names with underscores become classes and distributions."""
    assert new("encoder", "acme_lab/wide_net")[0] == 0
    folder = Path("framework-acme-lab")
    assert "class WideNet(" in (folder / "framework_acme_lab/wide_net.py").read_text()
    assert 'use = "acme_lab/wide_net"' in (folder / "example.toml").read_text()
    assert 'config="framework_acme_lab.config:WideNetConfig"' in (folder / "framework_acme_lab/__init__.py").read_text()


def test_a_single_file(new):
    """``--here`` writes one file, and tells how a pipeline uses it."""
    code, output, _ = new("bonus", "my_bonus", "--here")
    assert code == 0
    assert [path.name for path in Path().iterdir()] == ["my_bonus.py"]
    assert '[[bonus]]\nuse = "my_bonus:MyBonus"' in output
    assert "  framework check --component my_bonus:MyBonus --kind bonus\n" in output


def test_a_launcher_in_a_single_file(new):
    """It is used by a run that listens."""
    _, output, _ = new("launcher", "my_launcher", "--here")
    use = """runtime.launcher='{use = "my_launcher:MyLauncher"}' runtime.listen='"127.0.0.1:0"'"""
    assert f"  framework run PIPELINE.toml {use}\n" in output
    assert 'launcher = { use = "my_launcher:MyLauncher", samplers = 2, nice = 5 }' in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bonus", "My-Bonus"), "'My-Bonus' cannot be a name: it must match"),
        (("bonus", "acme/class"), "'class' cannot be a name"),
        (("bonus", "config"), "'config' cannot be a name"),
        (("bonus", "acme/"), "'' cannot be a name"),
        (("bonus", "acme/mine", "--here"), "a file belongs to no plugin: leave acme/ out"),
        (("bonsu", "mine"), "'bonsu' is not one of"),
    ],
)
def test_what_cannot_be_is_refused(new, arguments, message):
    """Names that no module or component can have, and unknown kinds, are told; nothing is written."""
    code, _, errors = new(*arguments)
    assert code == 2
    assert message in errors
    assert list(Path().iterdir()) == []


def test_nothing_is_overwritten(new):
    """A second time, the file that is there is named, and stays."""
    new("replay", "mine")
    file = Path("framework-mine/framework_mine/mine.py")
    file.write_text("changed\n")
    code, _, errors = new("replay", "mine")
    assert code == 2
    assert "already exists" in errors
    assert file.read_text() == "changed\n"


def test_differences_to_the_template(new):
    """``--diff`` says so where nothing differs, else shows what the template would change; it writes nothing."""
    new("replay", "mine")
    told = "nothing differs: framework-mine/ is as the templates have it\n"
    assert new("replay", "mine", "--diff") == (0, "", told)
    new("replay", "single", "--here")
    assert new("replay", "single", "--here", "--diff")[2].startswith("nothing differs: single.py is as")
    readme = Path("framework-mine/README.md")
    readme.write_text(readme.read_text().replace("## Test", "## Tests"))
    Path("framework-mine/.gitignore").unlink()
    code, output, _ = new("replay", "mine", "--diff")
    assert code == 0
    assert "-## Tests\n+## Test\n" in output
    assert "--- /dev/null\n+++ framework-mine/.gitignore (template)\n" in output
    assert not Path("framework-mine/.gitignore").exists()
