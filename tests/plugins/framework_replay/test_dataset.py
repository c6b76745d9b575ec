"""Datasets of Minari are found, refused where their spaces differ, and read as they were written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from played import context

from framework.errors import FrameworkError, PluginError
from framework.toolkit.spaces import TokenDiscrete, flat_space
from framework_replay.dataset import Dataset

NESTED = Dict({"eye": Box(0, 255, (4, 4, 3), np.uint8), "body": Tuple((Discrete(3, start=-1), MultiBinary(2)))})


def opened(
    observations: Any = datasets.PLAIN, actions: Any = datasets.CHOICE, name: str = "test/small-v0", **fields: Any
):
    """The dataset, for an environment of these spaces."""
    return Dataset(name, context(1, observation_space=flat_space(observations), action_space=actions, **fields))


@pytest.mark.parametrize(
    ("observations", "actions"),
    [
        (datasets.PLAIN, datasets.CHOICE),
        (datasets.PLAIN, Discrete(4, start=2)),
        (datasets.PLAIN, MultiDiscrete([2, 3])),
        (NESTED, Box(-2, 2, (2,), np.float32)),
    ],
)
def test_episodes_are_read_as_they_were_written(minari_store: Path, observations: Any, actions: Any) -> None:
    """Every column, by the names of the leaves; the last observation of each stands apart, too."""
    written = datasets.write([4, 1, 3], observations, actions)
    dataset = opened(observations, actions)
    assert dataset.steps == 8
    for batch, columns in zip(dataset.episodes(), written, strict=True):
        length = len(columns["rewards"])
        np.testing.assert_array_equal(batch.actions[:, 0].numpy(), columns["actions"])
        np.testing.assert_array_equal(batch.rewards[:, 0].numpy(), columns["rewards"].astype(np.float32))
        np.testing.assert_array_equal(batch.terminated[:, 0].numpy(), columns["terminations"])
        np.testing.assert_array_equal(batch.truncated[:, 0].numpy(), columns["truncations"])
        assert batch.final_index.tolist() == [length - 1]
        assert batch.first[:, 0].tolist() == [True] + [False] * (length - 1) + [True]
        for name, path in (("eye", ["eye"]), ("body/0", ["body", 0])) if observations is NESTED else ():
            column: Any = columns["observations"]
            for key in path:
                column = column[key]
            np.testing.assert_array_equal(batch.observations[name][:, 0].numpy(), column)
            np.testing.assert_array_equal(batch.final_observations[name][0].numpy(), column[-1])


def test_an_episode_without_an_end_counts_as_truncated(minari_store: Path) -> None:
    """So that what follows is bootstrapped from its last observation."""
    datasets.write([3], terminated=False, changes={"truncations": np.zeros(3, bool)})
    [batch] = opened().episodes()
    assert batch.truncated[:, 0].tolist() == [False, False, True]


def test_masks_are_read_where_they_were_recorded(minari_store: Path) -> None:
    """From the infos, [T + 1, 1, actions]."""
    mask = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]], np.int8)
    datasets.write([2], changes={"infos": {"action_mask": mask}})
    [batch] = opened().episodes()
    assert batch.action_mask is not None
    np.testing.assert_array_equal(batch.action_mask[:, 0].numpy(), mask.astype(bool))


def test_a_folder_names_a_dataset_too(minari_store: Path) -> None:
    """Relative to the pipeline file: its folder, or that of its data."""
    datasets.write([2])
    for name in ("small-v0", "small-v0/data"):
        assert opened(name=name, directory=minari_store / "test").steps == 2


@pytest.mark.parametrize(
    ("observations", "actions", "reason"),
    [
        (Box(-1, 2, (3,), np.float32), datasets.CHOICE, r"observation 'observation' is Box.* in the dataset"),
        (datasets.PLAIN, Discrete(4), r"the action is Discrete\(3\) in the dataset .* and Discrete\(4\)"),
        (Dict({"eye": datasets.PLAIN}), datasets.CHOICE, "lacks the observation 'eye' of the environment"),
    ],
)
def test_other_spaces_are_refused(minari_store: Path, observations: Any, actions: Any, reason: str) -> None:
    """With the name of the leaf that differs."""
    datasets.write([2])
    with pytest.raises(FrameworkError, match=reason):
        opened(observations, actions)


def test_a_leaf_too_many_is_refused(minari_store: Path) -> None:
    """Of the dataset's, with its name."""
    datasets.write([2], Dict({"a": datasets.PLAIN, "b": datasets.PLAIN}))
    with pytest.raises(FrameworkError, match="has the observation 'b'"):
        opened(Dict({"a": datasets.PLAIN}))


def test_a_subclass_of_discrete_means_the_same_numbers(minari_store: Path) -> None:
    """What it says about tokens is not stored."""
    datasets.write([2])
    assert opened(actions=TokenDiscrete([0, 1, 2], [0, 0, 0])).steps == 2


def test_what_is_missing_is_named(minari_store: Path) -> None:
    """With both places that were looked at."""
    with pytest.raises(FrameworkError, match=r"no dataset 'test/small-v0': neither a folder .* nor one of that id in"):
        opened()


def test_a_dataset_without_spaces_is_refused(minari_store: Path) -> None:
    """Its environment, which is code that it names, is not made to ask it."""
    datasets.write([2])
    file = minari_store / "test/small-v0/data/metadata.json"
    metadata = json.loads(file.read_text())
    del metadata["action_space"]
    file.write_text(json.dumps(metadata))
    with pytest.raises(FrameworkError, match="does not say its action_space"):
        opened()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rewards": np.array([0.0, np.nan])}, "episode 0 of .* has numbers that are not finite in rewards"),
        ({"actions": np.zeros((2, 1), np.int64)}, "episode 0 of .*: it has 2 rewards"),
        ({"observations": np.zeros((3, 2), np.float32)}, "episode 0 of .*: observation 'observation' is"),
    ],
)
def test_damaged_episodes_are_refused(minari_store: Path, changes: dict[str, Any], reason: str) -> None:
    """With their number."""
    datasets.write([2], changes=changes)
    with pytest.raises(FrameworkError, match=reason):
        list(opened().episodes())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that installs it."""
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(PluginError, match=r'Minari datasets need h5py.*: pip install "framework-rl\[minari\]"'):
        opened()
