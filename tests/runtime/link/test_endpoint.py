import fcntl
import shutil
import tempfile
from pathlib import Path

import pytest

from framework.errors import RunError
from framework.runtime.link.endpoint import SocketFolder


def test_folder_is_private_and_short() -> None:
    """Nobody else may enter it, and the path of its socket is short; closed, it is gone."""
    folder = SocketFolder()
    assert folder.endpoint == f"ipc://{folder.path}/link"
    assert len(folder.endpoint) < 100
    assert Path(folder.path).stat().st_mode & 0o777 == 0o700
    folder.close()
    assert not Path(folder.path).exists()


def test_long_temporary_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is possible, and how to mend it; nothing is left there."""
    place = tmp_path / ("x" * 90)
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with pytest.raises(RunError, match=r"has a path of \d+ bytes, and 107 are possible; set TMPDIR to a short"):
        SocketFolder()
    assert not list(place.iterdir())


def test_folders_of_the_dead_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose lock nobody holds is removed by the next; one in use, or without a lock, is left."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.mkdtemp(dir="/tmp"))
    place = Path(tempfile.gettempdir())
    stale, foreign, used = (place / f"framework-link-{name}" for name in ("stale", "foreign", "used"))
    for folder in (stale, foreign, used):
        folder.mkdir()
    (stale / "lock").touch()
    with (used / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = SocketFolder()
    assert set(place.iterdir()) == {foreign, used, Path(folder.path)}
    folder.close()
    shutil.rmtree(place)
