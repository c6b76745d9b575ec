import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from tracked import LOGGED, expected, killed_and_resumed, left_running, logged_run, read_back, without_times

from framework.callbacks import CallbackContext
from framework.errors import RunError
from framework.schema import OptionError
from framework.testing import conformance
from framework.toolkit.tracking import Line, TrackedRun
from framework_trackio.config import TrackioConfig
from framework_trackio.run import TrackioRun
from framework_trackio.tracker import TrackioTracker

pytest.importorskip("trackio")

#: Everything of the only run of a project, by trackio's own API.
READ = """
import json, sys
import trackio
from trackio.sqlite_storage import SQLiteStorage
project = sys.argv[1]
[run] = trackio.Api().runs(project)
rows = SQLiteStorage.get_logs(project, run.name, run_id=run.id)
values = sorted([row["step"], name, value] for row in rows for name, value in row.items()
                if name not in ("step", "timestamp") and not isinstance(value, dict))
videos = [[row["step"], value["file_path"]] for row in rows for value in row.values() if isinstance(value, dict)]
print(json.dumps({
    "name": run.name, "config": run.config, "values": values, "videos": videos,
    "alerts": sorted(alert["title"] for alert in trackio.Api().alerts(project)),
    "artifacts": [artifact["name"] for artifact in SQLiteStorage.get_artifacts(project)],
}))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, in which nothing is to be."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "store"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


test_conformance = pytest.mark.slow(conformance("callback", "trackio", {"checkpoints": True}))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_is_logged(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics, evaluations and videos by steps, the pipeline as its config; resumed, it is the same run of trackio."""
    folder = tmp_path / "elsewhere"
    with logged_run("trackio", {"directory": str(folder), "checkpoints": True, "project": "pole"}) as run:
        monkeypatch.setenv("TRACKIO_DIR", str(folder))
        read = read_back(READ, "pole")
        assert read["name"] == "checked"
        assert read["values"] == LOGGED
        assert [step for step, _ in read["videos"]] == [100, 200, 300]
        for (_, path), video in zip(read["videos"], sorted((run.directory / "videos").iterdir()), strict=True):
            assert (folder / "media" / path).read_bytes() == video.read_bytes()
        assert read["config"]["environment.use"] == "gymnasium"
        assert read["alerts"] == ["interrupted", "interrupted"]
        assert set(read["artifacts"]) == {"checkpoint-checked"}
    assert list(home.iterdir()) == []
    assert not (tmp_path / "store").exists()


def test_what_trackio_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new run the first time and the same afterwards, where it has one of that name and no other."""
    monkeypatch.setitem(sys.modules, "trackio", trackio := MagicMock())
    trackio.init.return_value.id = "abc"
    tracked = TrackedRun(tmp_path, tmp_path, "checked", {"run": {"name": "pole"}}, None, False)
    config = TrackioConfig(space="me/space", group="seeds")
    assert TrackioRun(config, tracked).id == "abc"
    asked = trackio.init.call_args.kwargs
    assert (asked["project"], asked["name"], asked["resume"]) == ("pole", "checked", "never")
    assert (asked["space_id"], asked["group"], asked["config"]) == ("me/space", "seeds", {"run.name": "pole"})
    run = TrackioRun(config, tracked._replace(id="abc", has_metrics=True))
    assert trackio.init.call_args.kwargs["resume"] == "allow"
    run.log([Line(400, {"return": 1.0})])
    trackio.init.return_value.log.assert_called_once_with({"return": 1.0}, step=400)
    with pytest.raises(RuntimeError, match="another run named 'checked'"):
        TrackioRun(config, tracked._replace(id="another", has_metrics=True))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_run_is_logged_once(tmp_path: Path, home: Path) -> None:
    """Resumed from before what was logged, it has each value once, and the ends of both parts."""
    run = killed_and_resumed(tmp_path, "trackio")
    read = read_back(READ, run.name)
    values = [tuple(value) for value in read["values"]]
    assert without_times(values) == without_times(expected(run))
    assert len(values) == len(expected(run))
    assert read["alerts"] == ["done", "killed"]
    assert left_running(home) == []
    assert list(home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_of_another_is_not_written_into(tmp_path: Path) -> None:
    """Trackio finds runs by name: where that is another's by now, the callback says so."""
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "trackio-run.json").write_text(json.dumps({"id": "mine", "update": 3, "evaluation": -1, "video": -1}))
    tracker = TrackioTracker(TrackioConfig(), CallbackContext(tmp_path))
    tracker.run_started(tmp_path, {"run": {"name": "pole"}})
    with pytest.raises(RunError, match="has another run named"):
        tracker.run_finished("done")


def test_it_has_one_place_and_no_secret() -> None:
    """A space or a server, and its token is no part of a pipeline."""
    with pytest.raises(OptionError, match="one of them"):
        TrackioConfig(space="a/b", server="http://localhost")
    with pytest.raises(OptionError, match="set TRACKIO_WRITE_TOKEN"):
        TrackioConfig(server="http://localhost?write_token=abc")
