import sys

import matplotlib.image
import numpy as np
import pytest

from framework.errors import FrameworkError, PluginError
from framework.report.picture import write_picture
from framework.studies.band import band
from framework.studies.curves import Curve, Drawing, Panel
from framework.studies.recorded_run import Series


def drawing():
    x = np.array([0.0, 1.0, 2.0])
    seeds = band([Series(x, x), Series(x, 2 * x)])
    curves = (Curve("pole (2 seeds)", seeds, False), Curve("pole (2 seeds), evaluated", seeds, True))
    return Drawing("environment steps", (Panel("return", curves), Panel("lag", curves[:1])))


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_equal_drawings_are_equal_files(tmp_path, suffix):
    """In a folder that is made for them."""
    files = [tmp_path / "plots" / f"{number}{suffix}" for number in range(2)]
    for file in files:
        write_picture(drawing(), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_picture_has_a_panel_for_each_metric(tmp_path):
    """With the names of curves and axes, lines, ranges and points."""
    write_picture(drawing(), tmp_path / "curve.svg")
    text = (tmp_path / "curve.svg").read_text()
    for name in ("return", "lag", "environment steps", "pole (2 seeds), evaluated"):
        assert f"<!-- {name} -->" in text
    assert text.count('id="FillBetweenPolyCollection_') == 2
    write_picture(drawing(), tmp_path / "curve.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "curve.png").shape
    assert (width, height) == (840, 864)


def test_what_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    """Another suffix, a folder that is a file, matplotlib that is missing."""
    with pytest.raises(FrameworkError, match=r"curve.jpg: a picture's name must end in .png or .svg"):
        write_picture(drawing(), tmp_path / "curve.jpg")
    (tmp_path / "file").touch()
    with pytest.raises(FrameworkError, match="cannot be written: "):
        write_picture(drawing(), tmp_path / "file" / "curve.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PluginError, match=r'pip install "framework-rl\[plots\]"'):
        write_picture(drawing(), tmp_path / "curve.png")
