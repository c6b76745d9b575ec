"""`framework check --component`: the conformance kit without pytest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from framework.__main__ import main
from framework.commands._scaffold import names, render, write


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Run ``framework check --component`` in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def check(*arguments):
        code = main(["check", "--component", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return check


def test_a_right_component_passes(check):
    """Each check has a line; then come the skipped ones with their reason, and the total; exit code 0."""
    code, output, errors = check("mlp", "hidden=[8]")
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert "passed  row_independence[vector]" in lines
    assert "skipped first_resets_memory[vector]" in lines
    assert "    it has no memory" in lines
    assert re.fullmatch(r"encoder mlp: [1-9]\d passed, 0 failed, 12 skipped, [1-9]\d in all", lines[-1])


def test_a_wrong_component_fails(check):
    """The check that fails says why; exit code 1."""
    write(render(names("curriculum", "mine", here=True)), Path())
    file = Path("mine.py")
    file.write_text(
        file.read_text().replace(
            "self._exploration = config.smoothing, config.exploration", "self._exploration = config.smoothing, 0.0"
        )
    )
    code, output, _ = check("mine:Mine", "--kind", "curriculum", "exploration=0.4", "tasks=[1, 2, 3, 4]")
    assert code == 1
    assert "failed  no_task_starves\n" in output
    assert "failed: no_task_starves\n    task 1 is drawn with 0.0000, declared is at least 0.1000\n" in output


def test_results_as_json(check):
    """The same for a script."""
    code, output, _ = check("threshold", "--json")
    report = json.loads(output)
    assert code == 0
    assert (report["kind"], report["component"], report["passed"]) == ("curriculum", "threshold", True)
    assert {"name": "tasks", "status": "passed", "reason": ""} in report["checks"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mpl",), "no component is named 'mpl'; did you mean mlp?"),
        (("mine:Mine",), "'mine:Mine' is a class: say what it is with --kind"),
        (("mlp", "hiden=[3]"), "encoder.hiden: unknown key; did you mean hidden?"),
        (("mlp", "hidden"), "'hidden' is not written key=value"),
        (("fixed",), "curriculum"),
        (("mlp", "--show"), "--show and --build are for pipelines"),
    ],
)
def test_mistakes_are_told(check, arguments, message):
    """Wrong names, options and combinations; exit code 2."""
    code, output, errors = check(*arguments)
    assert (code, output) == (2, "")
    assert message in errors


def test_a_pipeline_or_a_component_is_needed(capsys):
    """Without either, both are named; --kind alone is of no use."""
    assert main(["check"]) == 2
    assert "name a pipeline file, or a component with --component" in capsys.readouterr().err
    assert main(["check", "p.toml", "--kind", "encoder"]) == 2
    assert "--kind and --patience are for --component" in capsys.readouterr().err
