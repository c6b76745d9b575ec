import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from framework.errors import FrameworkError, PluginError
from framework.runtime.evaluate.video import VideoWriter, tile


def pictures(count: int, brightness: int = 200) -> list[np.ndarray]:
    return [np.full((30, 45, 3), brightness - 10 * index, np.uint8) for index in range(count)]


def read(path: Path) -> np.ndarray:
    """[frames, 30, 90, 3]; through ffmpeg itself, because imageio leaves its pipes open."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    command = [ffmpeg, "-loglevel", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(pixels, np.uint8).reshape(-1, 30, 90, 3)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_video_can_be_read_back(tmp_path: Path, suffix: str) -> None:
    """As many frames as were added, in the grid's size, about as bright; folders are made."""
    pytest.importorskip("imageio")
    path = tmp_path / "new" / f"episodes{suffix}"
    with VideoWriter(path) as writer:
        for brightness in (200, 120, 60):
            writer.add(pictures(2, brightness))
    frames = read(path)
    assert len(frames) == 3
    for frame, brightness in zip(frames, (200, 120, 60), strict=True):
        assert abs(frame[5:25, 5:40, 0].mean() - brightness) < 12


def test_large_pictures_are_written_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Ffmpeg does not tell that it cannot guess the rate from few of them: it was told."""
    pytest.importorskip("imageio_ffmpeg")
    with VideoWriter(tmp_path / "episodes.mp4", 2.0) as writer:
        for _ in range(3):
            writer.add([np.zeros((1000, 1900, 3), np.uint8)])
    assert capfd.readouterr().err == ""


def test_other_formats_and_missing_packages_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before an episode is played for nothing."""
    with pytest.raises(FrameworkError, match=r"must end in \.mp4 or \.gif"):
        VideoWriter(tmp_path / "episodes.avi")
    monkeypatch.delitem(sys.modules, "imageio.v2", raising=False)
    monkeypatch.setitem(sys.modules, "imageio", None)
    with pytest.raises(PluginError, match=r'needs imageio.*: pip install "framework-rl\[video\]"'):
        VideoWriter(tmp_path / "episodes.gif")


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_files_that_cannot_be_written_are_refused_at_once(tmp_path: Path, suffix: str) -> None:
    """A file in a file, and a folder, are named."""
    pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "file").touch()
    (tmp_path / f"folder{suffix}").mkdir()
    for path in (tmp_path / "file" / f"x{suffix}", tmp_path / f"folder{suffix}"):
        with pytest.raises(FrameworkError, match=r"(file|folder\.\w+): cannot be written: "):
            VideoWriter(path)


FULL = """
import sys
from pathlib import Path

import numpy as np

from framework.errors import FrameworkError
from framework.runtime.evaluate.video import VideoWriter

try:
    with VideoWriter(Path(sys.argv[1])) as writer:
        for _ in range(50):
            writer.add([np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)])
except FrameworkError as error:
    print(error)
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_disk_that_gets_full_is_told_in_one_line(tmp_path: Path) -> None:
    """Whenever it is noticed. In a process of its own, as imageio leaves its pipes open."""
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "full.mp4"
    path.symlink_to("/dev/full")
    process = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True)
    assert len(process.stdout.splitlines()) == 1
    assert process.stdout.startswith(f"{path}: cannot be written: ")


def test_pictures_stand_in_a_grid() -> None:
    """About as wide as high, row by row; what is left over is black, and sizes are even."""
    grid = tile(pictures(8))
    assert grid.shape == (90, 136, 3)
    samples = grid[10::30, 10:130:45, 0]
    assert samples.tolist() == [[200, 190, 180], [170, 160, 150], [140, 130, 0]]


def test_wide_grids_are_thinned_out() -> None:
    """A video is never wider than a screen."""
    assert tile([np.zeros((400, 800, 3), np.uint8)] * 20).shape == (1000, 1600, 3)
