"""`framework runs`: what stands in a folder."""

from __future__ import annotations

import json
import os
import re

import pytest
from recorded import learned, write_run

from framework.__main__ import main
from framework.commands import runs


@pytest.fixture
def folder(tmp_path):
    """A run that is done, and after it one that was killed before it had learned anything."""
    write_run(tmp_path / "pole-1", metrics=learned(1, 2.5, evaluated=7, seconds=40.0), total_steps=200)
    write_run(tmp_path / "study" / "pole-2", seed=2, status=None, total_steps=100_000)
    os.utime(tmp_path / "pole-1" / "manifest.json", (1, 1))
    return tmp_path


def test_table_has_a_line_for_each_run(folder, capsys):
    """The newest last; a dash for what there is not."""
    assert main(["runs", str(folder)]) == 0
    assert [re.split(" {2,}", line) for line in capsys.readouterr().out.splitlines()] == [
        ["RUN", "STATUS", "STEPS", "RETURN", "BEST", "SEED", "STARTED", "TIME"],
        ["pole-1", "done", "200 of 200", "2.50", "7.00", "1", "2026-01-02 03:04", "1:20"],
        ["study/pole-2", "killed", "0 of 100k", "-", "-", "2", "2026-01-02 03:04", "-"],
    ]


def test_damaged_runs_are_told_and_left_out(folder, capsys):
    """With the line that is damaged."""
    (folder / "pole-1" / "metrics.jsonl").write_text('{"steps": nonsense\n')
    assert main(["runs", str(folder)]) == 0
    printed = capsys.readouterr()
    assert printed.err == f"left out: {folder / 'pole-1' / 'metrics.jsonl'}:1: not a line of a run's record\n"
    assert [line.split()[0] for line in printed.out.splitlines()] == ["RUN", "study/pole-2"]


def test_json_has_all_of_it(folder, capsys):
    """Numbers as they are."""
    assert main(["runs", str(folder), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == {
        "directory": str(folder / "pole-1"),
        "name": "pole",
        "status": "done",
        "steps": 200,
        "total_steps": 200,
        "return": 2.5,
        "best_evaluation": 7,
        "seed": 1,
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 80.0,
    }
    assert (second["status"], second["return"], second["best_evaluation"], second["seconds"]) == ("killed", *[None] * 3)


@pytest.mark.parametrize(("width", "columns"), [(200, 8), (66, 7), (40, 4), (10, 2)])
def test_narrow_terminals_get_fewer_columns(width, columns):
    """Which run it is and how it stands stay."""
    names = ("RUN", "STATUS", "STEPS", "RETURN", "BEST", "SEED", "STARTED", "TIME")
    lines = runs._fitted([dict.fromkeys(names, "1234567")], width).splitlines()
    assert len(lines[0].split()) == columns
    assert lines[0].split()[:2] == ["RUN", "STATUS"]
    assert max(map(len, lines)) < width or columns == 2


def test_folder_without_runs(tmp_path, capsys):
    """Is told; one that is not there is wrong usage."""
    assert main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().err == f"there are no runs in {tmp_path}\n"
    assert main(["runs", str(tmp_path / "nowhere")]) == 2
