"""Minari datasets: found, compared with an environment's spaces, and read as batches."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete

from framework.errors import FrameworkError, PluginError
from framework.interfaces import Batch, Context
from framework.toolkit.spaces import action_spec, flat_space, flatten_batch, mask_size

#: What Minari needs beside itself is imported when a dataset is opened: by it, and h5py by the format of its files.
PACKAGES = ("minari", "h5py", "PIL")


def import_minari() -> Any:
    """The package. Raises `PluginError` where it, or what it needs, is missing."""
    from importlib import import_module

    for package in PACKAGES:
        try:
            import_module(package)
        except ImportError as error:
            raise PluginError(f'Minari datasets need {error.name}: pip install "framework-rl[minari]"') from error
    return import_module("minari")


class Dataset:
    """A Minari dataset, whose spaces are those of ``context``.

    ``name`` is a folder, relative to the pipeline file, or the id of a dataset in the local store of Minari. Raises
    `FrameworkError` where there is none, or its spaces are others, naming the leaf that differs.
    """

    def __init__(self, name: str, context: Context):
        minari = import_minari()
        self.name, self._context = name, context
        path = _data(context.directory / name) or _data(_store() / name)
        if path is None:
            raise FrameworkError(
                f"there is no dataset {name!r}: neither a folder {context.directory / name} nor one of that id in "
                f"{_store()}, where Minari keeps its own; framework record makes one, and minari download fetches one"
            )
        try:
            # Else Minari would make the environment that the dataset names: code that comes with data is not run.
            missing = {"observation_space", "action_space"} - json.loads((path / "metadata.json").read_text()).keys()
            if missing:
                raise FrameworkError(f"the dataset {name!r} does not say its {' and '.join(sorted(missing))}")
            self._dataset = minari.MinariDataset(path)
        except ImportError as error:  # of what another format than HDF5 needs
            raise PluginError(f"the dataset {name!r} cannot be read: {error}") from error
        except (ValueError, NotImplementedError) as error:
            raise FrameworkError(f"the dataset {name!r} cannot be read: {error}") from error
        self._space = self._dataset.observation_space
        _check_spaces(name, flat_space(self._space), context.observation_space)
        _check_spaces(name, {"action": self._dataset.action_space}, {"action": context.action_space})
        self.steps = int(self._dataset.total_steps)
        if not self.steps:
            raise FrameworkError(f"the dataset {name!r} has no steps")

    def episodes(self) -> Iterator[Batch]:
        """Each episode as a batch of one environment, in their order. Raises `FrameworkError` where one is damaged.

        An episode that has neither terminated nor been truncated counts as truncated. What was legal is read from
        ``infos["action_mask"]``, where it was recorded.
        """
        for episode in self._dataset.iterate_episodes():
            where = f"episode {episode.id} of the dataset {self.name!r}"
            try:
                batch = self._batch(episode)
            except FrameworkError as error:
                raise FrameworkError(f"{where}: {error}") from error
            bad = next((name for name, x in _floats(batch).items() if not x.isfinite().all()), None)
            if bad is not None:
                raise FrameworkError(f"{where} has numbers that are not finite in {bad}")
            yield batch

    def _batch(self, episode: Any) -> Batch:
        observations = flatten_batch(self._space, episode.observations)
        dtype, shape = action_spec(self._context.action_space)
        steps = len(episode.rewards)
        actions = np.asarray(episode.actions)
        if actions.shape != (steps, *shape) or {len(x) for x in observations.values()} != {steps + 1}:
            raise FrameworkError(f"it has {steps} rewards, actions {list(actions.shape)}, and other observations")
        terminated, truncated = np.array(episode.terminations, bool), np.array(episode.truncations, bool)
        truncated[-1] |= not terminated[-1]
        ends = np.flatnonzero(terminated | truncated)
        first = np.zeros(steps + 1, bool)
        first[0], first[ends + 1] = True, True
        legal = (episode.infos or {}).get("action_mask") if mask_size(self._context.action_space) else None
        column = {name: torch.from_numpy(np.ascontiguousarray(x)).unsqueeze(1) for name, x in observations.items()}
        return Batch(
            observations=column,
            actions=_column(actions.astype(dtype)),
            rewards=_column(np.asarray(episode.rewards, np.float32)),
            terminated=_column(terminated),
            truncated=_column(truncated),
            first=_column(first),
            valid=torch.ones(steps, 1, dtype=torch.bool),
            final_index=torch.from_numpy(ends),
            final_observations={name: x[ends + 1, 0] for name, x in column.items()},
            action_mask=None if legal is None else _column(np.asarray(legal, bool)),
        )


def _column(values: np.ndarray) -> torch.Tensor:
    """[T, ...] -> [T, 1, ...], of one environment."""
    return torch.from_numpy(np.ascontiguousarray(values)).unsqueeze(1)


def _floats(batch: Batch) -> dict[str, torch.Tensor]:
    tensors = {"rewards": batch.rewards, "actions": batch.actions, **batch.observations}
    return {name: x for name, x in tensors.items() if x.is_floating_point()}


def _store() -> Path:
    """Where Minari keeps its datasets."""
    from minari.storage import get_dataset_path

    return Path(get_dataset_path(""))


def _data(folder: Path) -> Path | None:
    """Where the data of the dataset in a folder lies; None where there is none."""
    return next((path for path in (folder / "data", folder) if (path / "metadata.json").is_file()), None)


def _check_spaces(name: str, stored: Mapping[str, Space[Any]], wanted: Mapping[str, Space[Any]]) -> None:
    """Raise `FrameworkError` at the first leaf that the dataset has not, has alone, or has of another space."""
    for leaf in [*wanted, *stored]:
        subject = "the action" if leaf == "action" and len(wanted) == 1 else f"the observation {leaf!r}"
        if leaf not in stored:
            raise FrameworkError(f"the dataset {name!r} lacks {subject} of the environment, {wanted[leaf]}")
        if leaf not in wanted:
            raise FrameworkError(f"the dataset {name!r} has {subject}, {stored[leaf]}, which the environment has not")
        if not _equal(stored[leaf], wanted[leaf]):
            raise FrameworkError(
                f"{subject} is {stored[leaf]} in the dataset {name!r} and {wanted[leaf]} in the environment: use the "
                "environment, with the wrappers, that the dataset was collected in"
            )


def _equal(one: Space[Any], another: Space[Any]) -> bool:
    """Whether values mean the same in both; what a subclass of Discrete says beside is not stored."""
    if isinstance(one, Discrete) and isinstance(another, Discrete):
        return (one.n, one.start) == (another.n, another.start)
    return bool(one == another)
