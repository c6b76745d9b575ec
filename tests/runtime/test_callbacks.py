"""Runs whose pipelines name callbacks."""

import json
from pathlib import Path

import pytest
import tiny

from framework.errors import PipelineError, PluginError
from framework.runtime.learn.update import Update
from framework.runtime.session import Session
from framework.studies.recorded_run import RecordedRun

CALLBACK = """
import json

class Stop:
    def __init__(self, config, context):
        assert context.source.name == "pipeline"

    def run_started(self, pipeline):
        self.actions = []

    def evaluation_finished(self, directory, evaluation, agent, control):
        agent.reset(seed=1)
        self.actions.append(int(agent.act([0.0, 0.0, 0.0, 0.0])))
        control.stop(f"that will do: {evaluation['evaluation/episodes']}")

    def run_finished(self, directory, status):
        (directory / "heard.json").write_text(json.dumps([status, self.actions]))
"""
TABLE = '[[callback]]\nuse = "stop:Stop"\n'


def start(folder: Path, text: str = TABLE, resume: Path | None = None, **overrides: object) -> Session:
    folder.mkdir(exist_ok=True)
    (folder / "stop.py").write_text(CALLBACK)
    settings = {"evaluation__episodes": 2, "evaluation__every_steps": 32} | overrides
    return Session(tiny.load(folder, text, **settings), root=folder / "runs", resume=resume)


def play(session: Session) -> list[Update]:
    return list(session.updates())


def test_a_callback_stops_the_run(tmp_path: Path) -> None:
    """After the update in which it asks, with its reason; it has seen the policy, and the run can be resumed."""
    session = start(tmp_path / "pipeline")
    assert [update.steps for update in play(session)] == [16, 32]
    run = RecordedRun(session.directory)
    assert run.status == "stopped"
    assert {"event": "stopped", "reason": "that will do: 2"}.items() <= run.events[-2].items()
    assert json.loads((session.directory / "heard.json").read_text()) == ["stopped", [0]]
    assert "callback/stop:Stop" in run.manifest["components"]
    again = start(tmp_path / "pipeline", resume=session.directory)
    assert [update.steps for update in play(again)] == [48, 64]


def test_a_run_that_is_stopped_is_evaluated_first(tmp_path: Path) -> None:
    """Also where the reason came with an update that no evaluation would have followed."""
    (folder := tmp_path / "pipeline").mkdir()
    (folder / "now.py").write_text(
        "class Now:\n"
        "    def __init__(self, config, context): pass\n"
        "    def update_finished(self, control): control.stop('now')\n"
    )
    session = start(folder, '[[callback]]\nuse = "now:Now"\n', evaluation__every_steps=0)
    [update] = play(session)
    assert update.evaluation is not None
    assert (session.directory / "checkpoints" / "update-00000001").is_dir()


def test_callbacks_change_nothing_of_what_is_learned(tmp_path: Path) -> None:
    """The metrics with one are those without, as far as the run goes."""
    sessions = [start(tmp_path / "pipeline"), start(tmp_path / "pipeline", "")]
    stopped, whole = ([update.metrics for update in play(session)] for session in sessions)
    for one, two in zip(stopped, whole, strict=False):
        assert {name: one[name] for name in one if not name.startswith("time/")} == {
            name: two[name] for name in two if not name.startswith("time/")
        }


def test_a_callback_that_cannot_be_built_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    """With its own error; one that is not there is an error of the pipeline."""
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "broken.py").write_text("class Broken:\n    def __init__(self, config, context): 1 / 0\n")
    with pytest.raises(PluginError, match=r"callback 'broken:Broken' .* failed while it was built: ZeroDivision"):
        play(start(folder, '[[callback]]\nuse = "broken:Broken"\n'))
    with pytest.raises(PipelineError, match=r"no callback named 'earli_stopping'"):
        start(folder, '[[callback]]\nuse = "earli_stopping"\n')


def test_samplers_need_no_callbacks(tmp_path: Path) -> None:
    """What they are sent of the pipeline has none."""
    session = start(tmp_path / "pipeline")
    assert session.pipeline.callbacks
    assert "callback" not in session.pipeline.for_other_processes().to_plain()
    play(session)
