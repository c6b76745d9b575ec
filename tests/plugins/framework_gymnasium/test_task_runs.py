"""Whole runs on tasks: what is resumed is what was interrupted."""

from contextlib import closing
from pathlib import Path

import pytest
import runs

import framework
from framework.runtime.session import Session

CARTPOLE = 'use = "gymnasium"\nid = "CartPole-v1"'
ENVIRONMENTS = {
    "gymnasium": (CARTPOLE + '\ntask_attribute = "gravity"', "tasks = [1.0, 9.8, 40.0]"),
    "minigrid": (
        'use = "minigrid"\nid = "MiniGrid-Empty-5x5-v0"\nobservation = "flat"\nmax_episode_steps = 12',
        'tasks = ["MiniGrid-DoorKey-5x5-v0", { size = 6 }, 7]',
    ),
}


@pytest.mark.parametrize("use", sorted(ENVIRONMENTS))
def test_episodes_in_progress_are_replayed_on_their_tasks(use: str, tmp_path: Path) -> None:
    """A run that is stopped after each of three updates equals one that is not, and no episode was lost."""
    if use == "minigrid":
        pytest.importorskip("minigrid")
    environment, tasks = ENVIRONMENTS[use]
    text = runs.CARTPOLE.replace(CARTPOLE, environment).replace("total_steps = 2048", "total_steps = 640")
    path = runs.write(tmp_path, text.replace("[sampling]", f'[curriculum]\nuse = "fixed"\n{tasks}\n\n[sampling]'))
    straight = runs.run(path, tmp_path / "straight", runtime__samplers=0)
    pipeline = framework.load(path, {"runtime.samplers": 0})
    stopped = Session(pipeline, root=tmp_path / "stopped")
    directory = stopped.directory
    for _ in range(3):
        with closing(stopped.updates()) as updates:
            next(updates)
        stopped = Session(pipeline, resume=directory)
    for _ in stopped.updates():
        pass
    runs.assert_equal_runs(straight, directory)
    assert not runs.events(directory, "not_replayable")
    assert len({str(episode["task"]) for episode in runs.lines(straight, "episodes.jsonl")}) == 3
