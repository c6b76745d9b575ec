import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import runs

import framework
from framework.errors import RunError
from framework.pipeline.sections import Pipeline
from framework.runtime.disk import run_directory as record
from framework.runtime.disk.manifest import read_manifest
from framework.runtime.disk.run_directory import Record


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return framework.load(runs.write(tmp_path / "made"))


def written(directory: Path, name: str) -> list[dict[str, Any]]:
    """The lines of one of the files of a run directory."""
    return [json.loads(line) for line in (directory / name).read_text().splitlines()]


def test_directory_tells_what_the_run_is(pipeline: Pipeline, tmp_path: Path) -> None:
    """The resolved pipeline reads back as the same one, and there is a manifest."""
    record = Record.create(pipeline, tmp_path / "runs")
    record.close()
    loaded = framework.load(record.directory / "pipeline.toml")
    assert loaded.to_plain() == pipeline.to_plain()
    assert read_manifest(record.directory)["seed"] == 3


def test_directory_tells_what_a_run_goes_on_as(pipeline: Pipeline, tmp_path: Path) -> None:
    """The pipeline reads back as the new one, and an event has the old values; the same one again changes nothing."""
    record = Record.create(pipeline, tmp_path / "runs")
    record.adopt(pipeline)
    assert written(record.directory, "events.jsonl") == []
    before = pipeline.run.total_steps
    longer = framework.load(record.directory / "pipeline.toml", [f"run.total_steps={2 * before}", "~checkpoint.keep"])
    record.adopt(longer)
    record.close()
    assert framework.load(record.directory / "pipeline.toml").to_plain() == longer.to_plain()
    (event,) = written(record.directory, "events.jsonl")
    assert event["event"] == "pipeline_changed"
    assert event["changes"]["run.total_steps"] == [before, 2 * before]


def test_directories_of_one_second_differ(pipeline: Pipeline, tmp_path: Path) -> None:
    """Runs of one name that start at the same time have a directory each."""
    records = [Record.create(pipeline, tmp_path / "runs") for _ in range(3)]
    for open_record in records:
        open_record.close()
    assert len({open_record.directory for open_record in records}) == 3


def test_lines_are_there_at_once(tmp_path: Path) -> None:
    """Every line is whole as soon as it was added: another process may read it, and this one may be killed."""
    open_record = Record(tmp_path)
    open_record.metrics({"update": 1, "loss": 0.5})
    open_record.episodes([{"update": 1, "return": 2.0}, {"update": 1, "return": 3.0}])
    open_record.episodes([])
    open_record.event("resumed", checkpoint="x")
    assert written(tmp_path, "metrics.jsonl") == [{"update": 1, "loss": 0.5}]
    assert [line["return"] for line in written(tmp_path, "episodes.jsonl")] == [2.0, 3.0]
    (event,) = written(tmp_path, "events.jsonl")
    assert (event["event"], event["checkpoint"]) == ("resumed", "x")
    open_record.close()


def test_rewind_forgets_what_comes_again(tmp_path: Path) -> None:
    """Lines after the update go, also half ones; what is written next follows the last line that stayed."""
    first = Record(tmp_path)
    for update in range(1, 6):
        first.metrics({"update": update})
        first.episodes([{"update": update, "number": number} for number in range(2)])
        first.event("anything", update=update)
    first.close()
    for name in ("metrics.jsonl", "episodes.jsonl", "events.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write('{"update": 2, "half')
    resumed = Record(tmp_path)
    resumed.rewind(3)
    resumed.metrics({"update": 4, "again": True})
    resumed.event("resumed")
    resumed.close()
    updates = [line["update"] for line in written(tmp_path, "metrics.jsonl")]
    assert updates == [1, 2, 3, 4]
    assert written(tmp_path, "metrics.jsonl")[-1] == {"update": 4, "again": True}
    assert [line["update"] for line in written(tmp_path, "episodes.jsonl")] == [1, 1, 2, 2, 3, 3]
    assert [line["event"] for line in written(tmp_path, "events.jsonl")] == ["anything"] * 5 + ["resumed"]


@pytest.mark.parametrize("update", [0, 5, 9])
def test_rewind_at_either_end(tmp_path: Path, update: int) -> None:
    """Back to the start nothing is left; to the last update or later, everything."""
    record = Record(tmp_path)
    for number in range(1, 6):
        record.metrics({"update": number})
    record.rewind(update)
    record.close()
    assert len(written(tmp_path, "metrics.jsonl")) == min(update, 5)


OTHER = """
import sys
from pathlib import Path
from framework.errors import RunError
from framework.runtime.disk.manifest import read_manifest
from framework.runtime.disk.run_directory import Record
try:
    Record(Path(sys.argv[1]))
except RunError as error:
    print(error, end="")
"""


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """While a run is written, no other process may write it; afterwards, or when that one was killed, it may."""
    record = Record(tmp_path)
    command = [sys.executable, "-c", OTHER, str(tmp_path)]
    refused = subprocess.run(command, check=True, capture_output=True, text=True)
    assert refused.stdout == f"{tmp_path}: another process is running this run"
    with pytest.raises(RunError, match="another process"):
        Record(tmp_path)
    record.close()
    Record(tmp_path).close()


def test_lock_holds_for_those_who_came_early(tmp_path: Path) -> None:
    """A process that opened the lock while another held it, and got it then, keeps a third one out."""
    record = Record(tmp_path)
    early = os.open(tmp_path / "lock", os.O_RDWR)
    try:
        record.close()
        fcntl.flock(early, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(RunError, match="another process"):
            Record(tmp_path)
    finally:
        os.close(early)


def test_columns_of_time() -> None:
    """Columns that differ between equal runs are told by their name."""
    assert [record.is_time(name) for name in ("time/seconds", "timeouts", "steps")] == [True, False, False]


@pytest.mark.parametrize("line", ["garbage", "{}", "[1]", '{"update": "1"}', "[" * 100_000, '{"update": 1'])
def test_garbage_in_the_record_is_named(pipeline: Pipeline, tmp_path: Path, line: str) -> None:
    """With file and line, before anything is taken out; without the line the record is taken up again."""
    record = Record.create(pipeline, tmp_path / "runs")
    path = record.directory / "metrics.jsonl"
    path.write_text(f'{{"update": 1}}\n{line}\n{{"update": 2}}\n')
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: not a line of a run's record: take it out"):
        record.rewind(1)
    assert path.read_bytes() == before
    path.write_text('{"update": 1}\n{"update": 2}\n')
    record.rewind(1)
    assert written(record.directory, "metrics.jsonl") == [{"update": 1}]
    record.close()


def test_directory_stays_where_it_is(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that changes the working directory does not scatter a run over two folders."""
    monkeypatch.chdir(tmp_path)
    record = Record.create(pipeline, Path("runs"))
    monkeypatch.chdir("/")
    assert record.checkpoints.parent.is_dir()
    record.check_place()
    record.close()
