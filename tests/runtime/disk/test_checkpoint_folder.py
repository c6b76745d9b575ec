"""Which checkpoint of a folder is gone on from, and which are removed."""

from pathlib import Path
from typing import Any

import pytest

from framework.runtime.disk.checkpoint import CheckpointError, checkpoints, load, load_newest, prune, save

STATE = {"update": 3, "name": "x"}


def test_newest_whole_checkpoint_is_taken(tmp_path: Path) -> None:
    """Damaged ones are passed over, newest first, and named; ``best-`` and hidden folders are no candidates."""
    restored: list[Any] = []
    for update in (1, 2, 3, 4):
        save(tmp_path, f"update-{update:08d}", {"update": update})
    save(tmp_path, "best-00000009", {"update": 9})
    (tmp_path / ".update-00000009.1").mkdir()
    (tmp_path / "update-00000008").write_bytes(b"")
    assert load_newest(tmp_path, restored.append)[1] == []
    assert restored.pop() == {"update": 4}
    (tmp_path / "update-00000004" / "state.json").write_bytes(b"{}")
    (tmp_path / "update-00000003" / "manifest.json").unlink()
    path, problems = load_newest(tmp_path, restored.append)
    assert (path.name, restored) == ("update-00000002", [{"update": 2}])
    assert [name in problem for name, problem in zip(("04: state.json", "03"), problems, strict=True)] == [True, True]


def test_no_whole_checkpoint_is_an_error(tmp_path: Path) -> None:
    """With every problem in its message."""
    save(tmp_path, "update-1", STATE)
    (tmp_path / "update-1" / "state.json").unlink()
    with pytest.raises(CheckpointError, match=r"(?s)no whole checkpoint.*update-1"):
        load_newest(tmp_path, dict)
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        load_newest(tmp_path / "nothing", dict)


def test_a_state_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    """A checkpoint that is whole and lacks what the run needs is named with the reason, and an older one is taken."""
    save(tmp_path, "update-00000001", {"update": 1})
    save(tmp_path, "update-00000002", {"updates": 2})
    path, problems = load_newest(tmp_path, lambda state: state["update"])
    assert path.name == "update-00000001"
    assert problems == [f"{tmp_path}/update-00000002: does not fit this run: KeyError: 'update'"]


def test_of_a_link_only_the_link_goes(tmp_path: Path) -> None:
    """A checkpoint that is a symbolic link is pruned and replaced like any other; what it names is left alone."""
    elsewhere = save(tmp_path, "elsewhere", STATE)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for update in (1, 2):
        (folder / f"update-{update}").symlink_to(elsewhere)
    assert set(load(folder / "update-1")) == set(STATE)
    prune(folder, 1)
    save(folder, "update-2", {"update": 2})
    assert [path.name for path in checkpoints(folder)] == ["update-2"]
    assert load(folder / "update-2") == {"update": 2}
    assert set(load(elsewhere)) == set(STATE)


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    """A run directory that was deleted stays so: its last checkpoint alone would be no run."""
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "deleted" / "checkpoints", "update-1", STATE)


def test_prune_keeps_the_newest(tmp_path: Path) -> None:
    """Of one prefix, by number, and nothing else is touched."""
    for update in (9, 10, 11, 100):
        save(tmp_path, f"update-{update:08d}", {})
    save(tmp_path, "best-00000001", {})
    prune(tmp_path, 2)
    assert [path.name for path in checkpoints(tmp_path)] == ["update-00000011", "update-00000100"]
    assert [path.name for path in checkpoints(tmp_path, "best-")] == ["best-00000001"]
    prune(tmp_path, 5)
    assert len(checkpoints(tmp_path)) == 2


# Failures while writing.


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    """A run that is resumed would start anew, over what it has recorded."""
    (tmp_path / "checkpoints").touch()
    with pytest.raises(CheckpointError, match="checkpoints: cannot be read: Not a directory"):
        checkpoints(tmp_path / "checkpoints")
    assert checkpoints(tmp_path / "none") == []
