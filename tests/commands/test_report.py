"""`framework report`: one page about one run or several."""

from pathlib import Path

import pytest
from markup import check_page
from written_runs import PIPELINE, evaluation, update, write

from framework.__main__ import main

LINES = [update(1), evaluation(1), update(2)]


@pytest.fixture
def report(capsys):
    """Run ``framework report``; returns exit code, output and errors."""

    def report(*arguments):
        code = main(["report", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return report


def test_one_run_has_its_page_in_its_directory(report, tmp_path):
    """Its size and the time that it took are said."""
    folder = write(tmp_path / "run", LINES)
    code, output, errors = report(folder)
    assert (code, errors) == (0, "")
    assert output.startswith(f"{folder / 'report.html'}: ")
    assert output.endswith(" s\n")
    assert " kB, " in output
    check_page((folder / "report.html").read_text())


def test_several_runs_have_theirs_here(report, tmp_path, monkeypatch):
    """Or wherever one wants it."""
    folders = [write(tmp_path / name, LINES, pipeline=PIPELINE.replace("pole", name)) for name in ("a", "b")]
    monkeypatch.chdir(tmp_path)
    assert report(*folders)[1].startswith("report.html: ")
    assert report(*folders, "--output", tmp_path / "study.html")[0] == 0
    for page in ("report.html", "study.html"):
        assert "<h1>a, b</h1>" in Path(page).read_text()


def test_videos_are_linked_beyond_a_size(report, tmp_path):
    """Which is in megabytes."""
    folder = write(tmp_path / "run", LINES)
    (folder / "videos").mkdir()
    (folder / "videos" / "update-00000001.mp4").write_bytes(b"x" * 2000)
    for limit, tag in (("0.001", "a"), ("1", "video")):
        assert report(folder, "--videos", limit)[0] == 0
        assert len(check_page((folder / "report.html").read_text()).all(tag)) == 1


def test_other_folders_are_refused(report, tmp_path):
    """With what is wrong with them; where the page cannot be written, it says so."""
    code, _, errors = report(tmp_path)
    assert (code, errors) == (
        1,
        f"{tmp_path} is no run directory: pipeline.toml cannot be read: No such file or directory\n",
    )
    folder = write(tmp_path / "run", LINES)
    code, _, errors = report(folder, "--output", tmp_path / "missing" / "page.html")
    assert code == 1
    assert "No such file or directory" in errors
    assert report()[0] == 2
