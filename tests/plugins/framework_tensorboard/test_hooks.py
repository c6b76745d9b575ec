import importlib.util

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import framework_tensorboard
from framework import plugins
from framework.lifecycle import Lifecycle


def lifecycle() -> Lifecycle:
    """The hooks of the installed plugin, called as a run calls them; a hook that raises fails the test."""
    offered = [entry for entry in plugins.installed() if entry.name == "tensorboard"]

    def fail(failure):
        raise AssertionError(failure.traceback)

    return Lifecycle(plugins.load(offered).manager, fail)


def run(directory, steps, value=1.0):
    hooks = lifecycle()
    hooks.call("run_started", directory=directory, pipeline={}, control=None)
    for number, step in enumerate(steps):
        metrics = {"update": number, "steps": step, "return": value * step, "time/seconds": 0.5}
        hooks.call("update_finished", directory=directory, metrics=metrics, control=None)
    return hooks


def scalars(directory):
    reader = EventAccumulator(str(directory / "tensorboard"), size_guidance={"scalars": 0})
    reader.Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_tensorboard_reads_what_a_run_writes(tmp_path):
    """TensorBoard shows metrics and evaluations under their names, over environment steps, and not the axes."""
    hooks = run(tmp_path, [100, 200])
    evaluation = {"update": 1, "steps": 200, "evaluation/return": 499.5}
    hooks.call("evaluation_finished", directory=tmp_path, evaluation=evaluation, agent=None, control=None)
    hooks.call("run_finished", directory=tmp_path, status="done")
    assert scalars(tmp_path) == {
        "return": [(100, 100.0), (200, 200.0)],
        "time/seconds": [(100, 0.5), (200, 0.5)],
        "evaluation/return": [(200, 499.5)],
    }


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    """What was written after the checkpoint that a run is resumed from gives way to the new values."""
    run(tmp_path, [100, 200, 300], value=1.0).call("run_finished", directory=tmp_path, status="failed")
    run(tmp_path, [200, 300], value=2.0).call("run_finished", directory=tmp_path, status="done")
    assert scalars(tmp_path)["return"] == [(100, 100.0), (200, 400.0), (300, 600.0)]


def test_every_record_is_whole_without_closing(tmp_path):
    """A run that is killed leaves all of its updates behind: nothing waits in a buffer."""
    run(tmp_path, range(100, 5100, 100))
    assert len(scalars(tmp_path)["return"]) == 50
    lifecycle().call("run_finished", directory=tmp_path, status="failed")


def test_two_runs_in_one_process_write_apart(tmp_path):
    """Each run has its own file."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    run(tmp_path / "one", [1])
    run(tmp_path / "two", [2])
    for name, step in (("one", 1), ("two", 2)):
        assert [logged_step for logged_step, _ in scalars(tmp_path / name)["return"]] == [step]
        lifecycle().call("run_finished", directory=tmp_path / name, status="done")


def test_it_does_nothing_without_tensorboard(tmp_path, monkeypatch):
    """Where tensorboard is not installed, a run has no folder of it and no plugin fails."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run(tmp_path, [100]).call("run_finished", directory=tmp_path, status="done")
    assert list(tmp_path.iterdir()) == []


def test_it_listens_and_offers_nothing():
    """The plugin has lifecycle hooks alone."""
    row = plugins.load([entry for entry in plugins.installed() if entry.name == "tensorboard"]).rows[0]
    assert row.status == "loaded"
    assert set(row.listens) == {"run_started", "update_finished", "evaluation_finished", "run_finished"}
    assert row.registrations == ()
    assert framework_tensorboard.__doc__
