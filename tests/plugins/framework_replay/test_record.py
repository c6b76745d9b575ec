"""`framework record`: the episodes of a run's policy become a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import runs

import framework
from framework.__main__ import main
from framework.toolkit.spaces import flat_space

minari = pytest.importorskip("minari")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The directory of a short run."""
    return runs.run(runs.write(tmp_path), tmp_path, run__total_steps=128, runtime__samplers=0)


def test_episodes_are_kept_as_they_were_played(
    run: Path, minari_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greedy actions are those of the agent; the same seed gives the same episodes; the mean return is printed."""
    for name in ("test/one-v0", "test/two-v0"):
        assert main(["record", str(run), name, "--episodes", "3", "--deterministic", "--seed", "5"]) == 0
    one, two = minari.load_dataset("test/one-v0"), minari.load_dataset("test/two-v0")
    agent = framework.load_agent(run)
    assert flat_space(one.observation_space) == flat_space(agent.observation_space)
    assert (one.total_episodes, one.total_steps) == (3, sum(len(episode) for episode in two))
    for episode, again in zip(one, two, strict=True):
        np.testing.assert_array_equal(episode.observations, again.observations)
        assert [agent.act(x) for x in episode.observations[:-1]] == episode.actions.tolist()
        assert (episode.terminations | episode.truncations).tolist() == [False] * (len(episode) - 1) + [True]
    mean = one.total_steps / 3
    assert f"test/one-v0: 3 episodes, {one.total_steps} steps, return {mean:.2f}" in capsys.readouterr().out


def test_sampled_actions_differ_from_greedy_ones(run: Path, minari_store: Path) -> None:
    """They are drawn unless it is told otherwise."""
    assert main(["record", str(run), "test/drawn-v0", "--episodes", "1"]) == 0
    agent = framework.load_agent(run)
    [episode] = minari.load_dataset("test/drawn-v0")
    assert [agent.act(x) for x in episode.observations[:-1]] != episode.actions.tolist()


@pytest.mark.parametrize("name", ["test/one-v0", "no id"])
def test_what_cannot_be_written_is_refused(
    name: str, run: Path, minari_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dataset that is there already is not written over; an id must be one."""
    assert main(["record", str(run), "test/one-v0", "--episodes", "1"]) == 0
    assert main(["record", str(run), name, "--episodes", "1"]) == 1
    assert f"the dataset {name!r} cannot be written" in capsys.readouterr().err
