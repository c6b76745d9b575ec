import fcntl
import subprocess
import sys

import pytest
from markup import HOSTILE, check_page
from written_runs import FINISHED, PIPELINE, evaluation, update, write

from framework.errors import RunError
from framework.report.run_report import write_report

LINES = [update(1), evaluation(1), update(2), evaluation(2, 7.0)]


def page_of(*folders, output=None, **options):
    """The page about runs, checked."""
    output = output or folders[0].parent / "page.html"
    size = write_report(folders, output, **options)
    assert output.stat().st_size == size
    return check_page(output.read_text(encoding="utf-8"))


def sections(page):
    return [text for _, text in page.all("h2")]


def test_a_page_about_one_run(tmp_path):
    """Status and headline figures first, then everything that a run records."""
    page = page_of(write(tmp_path / "run", LINES))
    assert [text for _, text in page.all("h1")] == ["pole, seed 3"]
    assert sections(page) == ["Learning", "Algorithm", "Speed", "Events", "Pipeline", "Versions and machine"]
    assert page.text.index("All steps are done.") < page.text.index("last evaluation") < page.text.index("Learning")


def test_a_page_about_several_runs(tmp_path):
    """One table, curves of each name, details of each run folded away, and the options that differ."""
    folders = [write(tmp_path / f"pole-{seed}", LINES, pipeline=PIPELINE.replace("3", str(seed))) for seed in (1, 2)]
    folders.append(write(tmp_path / "fast", LINES, pipeline=PIPELINE.replace("pole", "fast")))
    page = page_of(*folders)
    assert [text for _, text in page.all("h1")] == ["pole, fast"]
    assert sections(page)[0] == "Runs"
    assert {"pole, 2 seeds", "fast"} <= {text for _, text in page.all("li")}
    assert [text for _, text in page.all("summary")].count("pole-2") == 2


def test_status_is_as_told_or_as_recorded(tmp_path):
    """A run at its end tells how it ends; one that is running or was killed is found out."""
    folder = write(tmp_path / "run", LINES, events=())
    assert "without a word" in page_of(folder).text
    assert "It was interrupted" in page_of(folder, status="interrupted").text
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "It goes on" in page_of(folder).text


def test_a_run_that_has_just_begun(tmp_path):
    """Has a page without curves."""
    page = page_of(write(tmp_path / "run", events=()), status="running")
    assert sections(page) == ["Pipeline", "Versions and machine"]
    assert "It has recorded no update yet." in page.text


def test_a_long_run_has_a_small_page(tmp_path):
    """20,000 updates and 20,000 evaluations make it no larger than some hundreds do."""
    lines = [line for n in range(1, 20_001) for line in (update(n), evaluation(n))]
    page_of(write(tmp_path / "run", lines))
    assert (tmp_path / "page.html").stat().st_size < 250_000


@pytest.mark.parametrize("name", HOSTILE)
def test_run_directories_are_text(tmp_path, name):
    """Whatever stands in them, in names of metrics and folders too, does not become markup."""
    text = name.replace("\\", "\\\\").replace('"', '\\"').replace("\x00", "").replace("\x1b", "").replace("\ud800", "")
    pipeline = PIPELINE.replace('name = "pole"', f'name = "{text}"')
    lines = [
        update(1, **{name: 1.0, f"evaluation/{name}": 2.0, f"time/machine/{name}/lag": 1}),
        evaluation(1, **{name: 1}),
    ]
    events = [{"event": "sampler_joined", "sampler": name}, {"event": "failed", "reason": name}]
    events.append({"event": "finished", "status": "failed"})
    folder = text.replace("/", "_") or "x"
    folders = [write(tmp_path / f"{folder}{number}", lines, events, pipeline) for number in (1, 2)]
    page_of(folders[0], output=tmp_path / "page.html")
    page_of(*folders, output=tmp_path / "page.html")


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    """One that cannot be written leaves the page before as it was, and nothing beside it."""
    folder = write(tmp_path / "run", LINES)
    output = folder / "report.html"
    output.symlink_to(tmp_path / "elsewhere.html")
    write_report([folder], output)
    assert not output.is_symlink()
    assert not (tmp_path / "elsewhere.html").exists()
    before = output.read_bytes()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(RunError, match="not a line of a run's record"):
        write_report([folder], output)
    with pytest.raises(OSError, match="Is a directory"):
        write_report([write(tmp_path / "other", LINES, events=[FINISHED])], tmp_path / "other")
    assert output.read_bytes() == before
    assert list(tmp_path.rglob(".*")) == []


def test_nothing_heavy_is_imported():
    """What runs import at their end is light, as is the command: no torch, no plotting, no browser."""
    program = (
        "import sys, framework.report.run_report\n"
        "print(*(name for name in ('torch', 'gymnasium', 'matplotlib', 'jinja2', 'rich') if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
