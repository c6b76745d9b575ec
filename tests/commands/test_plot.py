"""`framework plot`: in the terminal, as pictures, and what it refuses."""

from __future__ import annotations

import pytest
from recorded import learned, write_run

from framework.__main__ import main


@pytest.fixture
def plot(capsys, monkeypatch):
    """Run ``framework plot`` where a line has 60 letters; returns exit code, output and errors."""
    monkeypatch.setenv("COLUMNS", "60")

    def run(*arguments):
        code = main(["plot", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path):
    """Three seeds of a pipeline, one of another."""
    for seed in (1, 2, 3):
        write_run(tmp_path / f"pole-{seed}", seed=seed, metrics=learned(seed, 2 * seed, 10, evaluated=12.0))
    write_run(tmp_path / "deep" / "cart-1", name="cart", metrics=learned(3, 2, 1))
    return tmp_path


def test_a_folder_of_runs_is_drawn(plot, folder):
    """A curve for each name, with its seeds; title, axes and legend."""
    code, output, errors = plot(folder)
    lines = output.splitlines()
    assert (code, errors, lines[0]) == (0, "", "return")
    assert lines[-3:] == ["                      environment steps", "A pole (3 seeds)", "B cart (1 seed)"]
    assert max(map(len, lines)) <= 60
    assert any("⠤" in line or "⣀" in line or "⠒" in line for line in lines)


def test_one_run_and_several_metrics(plot, folder):
    """A panel for each, with evaluations as points in that of their namesake."""
    run = folder / "pole-1"
    code, output, _ = plot(run, run, "--metric", "return", "--metric", "evaluation/return", "--metric", "update")
    first, second = output.split("\n\n")
    assert code == 0
    assert first.splitlines()[-2:] == ["─ pole (1 seed)", "● pole (1 seed), evaluated"]
    assert second.startswith("update\n")


def test_ascii_where_the_encoding_has_nothing_else(folder, monkeypatch, tmp_path):
    """Nothing that would be escaped."""
    file = tmp_path / "out.txt"
    with file.open("w", encoding="latin-1") as output:
        monkeypatch.setattr("sys.stdout", output)
        assert main(["plot", str(folder), "--axis", "time"]) == 0
    text = file.read_text()
    assert text.isascii()
    assert "\\u" not in text
    assert "A pole (3 seeds)" in text


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures(plot, folder, suffix):
    """Where they were written is told."""
    file = folder / f"curve.{suffix}"
    assert plot(folder, "--output", file) == (0, f"wrote {file}\n", "")
    assert file.stat().st_size > 1000


def test_metrics_are_listed(plot, folder):
    """One in a line, each once."""
    code, output, _ = plot(folder, "--list")
    assert (code, output.splitlines()) == (0, ["update", "steps", "return", "time/seconds", "evaluation/return"])


def test_what_is_not_there_is_an_error(plot, folder, tmp_path):
    """Metrics, runs, folders, formats; with what was meant."""
    code, _, errors = plot(folder, "--metric", "retrun")
    assert (code, errors) == (2, "no run has recorded the metric 'retrun'; did you mean return?\n")
    (tmp_path / "empty").mkdir()
    code, _, errors = plot(tmp_path / "empty")
    assert (code, errors) == (1, f"{tmp_path / 'empty'} is no run directory, and has none in it\n")
    code, _, errors = plot(tmp_path / "nowhere")
    assert code == 2
    assert "does not exist" in errors
    code, _, errors = plot(folder, "--output", tmp_path / "curve.jpg")
    assert (code, "must end in .png or .svg" in errors) == (1, True)


def test_runs_that_have_not_begun_are_told(plot, folder):
    """And the others drawn."""
    write_run(folder / "pole-4", seed=4)
    code, output, errors = plot(folder)
    assert (code, errors) == (0, f"{folder / 'pole-4'} has not recorded 'return': it is left out\n")
    assert "A pole (3 seeds)" in output
