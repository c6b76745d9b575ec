from pathlib import Path

import pytest
from tracked import LOGGED, expected, killed_and_resumed, left_running, logged_run, read_back, without_times

from framework.callbacks import CallbackContext
from framework.errors import PluginError
from framework.schema import OptionError
from framework.testing import conformance
from framework_mlflow import tracker
from framework_mlflow.config import MlflowConfig
from framework_mlflow.run import _batches, _text

pytest.importorskip("mlflow")

#: Everything of the only run of a store, by MLflow's own client.
READ = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
[run] = client.search_runs([client.get_experiment_by_name(sys.argv[2]).experiment_id])
id = run.info.run_id
print(json.dumps({
    "info": [run.info.run_name, run.info.status],
    "metrics": sorted([point.step, name, point.value]
                      for name in run.data.metrics for point in client.get_metric_history(id, name)),
    "params": run.data.params,
    "tags": run.data.tags,
    "pipeline": open(client.download_artifacts(id, "pipeline.toml")).read(),
    "files": sorted([file.path, file.file_size] for folder in ("videos", "checkpoints/checkpoints")
                    for file in client.list_artifacts(id, folder)),
}))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, in which nothing is to be."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path}/store")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


test_conformance = pytest.mark.slow(conformance("callback", "mlflow", {"checkpoints": True}))


def test_a_database_needs_more_than_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SQLAlchemy, which the whole of MLflow brings, it is refused when it is built; a server is not."""
    monkeypatch.setattr(tracker, "find_spec", lambda name: None)
    context = CallbackContext(tmp_path)
    tracker.MlflowTracker(MlflowConfig(), context)
    tracker.MlflowTracker(MlflowConfig(tracking_uri="http://localhost:5000"), context)
    with pytest.raises(PluginError, match="pip install mlflow, or name a server with tracking_uri"):
        tracker.MlflowTracker(MlflowConfig(tracking_uri="sqlite:////tmp/mlflow.db"), context)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(PluginError, match=r"cannot write a database \(sqlite:\)"):
        tracker.MlflowTracker(MlflowConfig(), context)


def test_it_has_no_secret() -> None:
    """A password of a database or a server is no part of a pipeline."""
    with pytest.raises(OptionError, match="set MLFLOW_TRACKING_URI"):
        MlflowConfig(tracking_uri="postgresql://user:secret@host/mlflow")
    MlflowConfig(tracking_uri="https://user@host:5000")


def test_what_a_server_takes_at_once() -> None:
    """Requests have a bounded number of values, and parameters a bounded length."""
    assert list(_batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert [_text(value) for value in ("plain", [1, 2], None, 0.5)] == ["plain", "[1, 2]", "null", "0.5"]
    assert len(_text("x" * 7000)) == 6000


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["file:{}/files", "sqlite:///{}/mlflow.db"])
def test_a_run_is_logged(tmp_path: Path, home: Path, store: str) -> None:
    """Metrics and evaluations by steps, the pipeline as parameters, files; resumed, it is the same run of MLflow."""
    options = {
        "tracking_uri": store.format(tmp_path),
        "artifacts": str(tmp_path / "artifacts"),
        "checkpoints": True,
        "tags": {"team": "one"},
        "experiment": "pole",
    }
    with logged_run("mlflow", options):
        read = read_back(READ, options["tracking_uri"], "pole")
        assert read["metrics"] == LOGGED
        assert read["params"]["environment.use"] == "gymnasium"
        assert read["params"]["run.total_steps"] == "300"
        assert 'use = "gymnasium"' in read["pipeline"]
        assert read["info"] == ["checked", "KILLED"]
        assert (read["tags"]["team"], read["tags"]["status"]) == ("one", "interrupted")
        videos = [[f"videos/update-0000000{number}.mp4", 20] for number in (1, 2, 3)]
        assert read["files"] == [["checkpoints/checkpoints/policy", 7], *videos]
    assert list(home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_run_is_logged_once(tmp_path: Path, home: Path) -> None:
    """Resumed from before what was logged, it has each value once, and is finished."""
    run = killed_and_resumed(tmp_path, "mlflow")
    read = read_back(READ, f"file:{tmp_path}/store", run.name)
    metrics = [tuple(point) for point in read["metrics"]]
    assert without_times(metrics) == without_times(expected(run))
    assert len(metrics) == len(expected(run))
    assert read["info"] == [run.directory.name, "FINISHED"]
    assert left_running(home) == []
    assert list(home.iterdir()) == []
