"""Curves as a picture, by matplotlib (extra ``plots``)."""

from __future__ import annotations

from pathlib import Path

from framework.errors import FrameworkError, PluginError, writing
from framework.studies.curves import Drawing

SUFFIXES = (".png", ".svg")
_PANEL = (7.0, 3.6)  #: inches
_LABEL = 36  #: letters of a label that has another beside it, at most


def check_suffix(path: Path) -> None:
    """Raise `FrameworkError` for a name that says no format of pictures."""
    if path.suffix not in SUFFIXES:
        raise FrameworkError(f"{path}: a picture's name must end in {' or '.join(SUFFIXES)}")


def write_picture(drawing: Drawing, path: Path) -> None:
    """Write a PNG or SVG: a panel below the other, lines with their ranges, evaluations as points.

    Equal drawings give equal files. Raises `PluginError` where matplotlib is missing, and `FrameworkError` where the
    file cannot be written.
    """
    check_suffix(path)
    panels = drawing.panels
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PluginError(f'drawing a picture needs {error.name}: pip install "framework-rl[plots]"') from error
    with mpl.rc_context({"svg.hashsalt": "framework"}):
        figure = Figure(figsize=(_PANEL[0], _PANEL[1] * len(panels)), dpi=120, layout="constrained")
        for panel, axes in zip(panels, figure.subplots(len(panels), squeeze=False)[:, 0], strict=True):
            for curve in panel.curves:
                band = curve.band
                look = {"color": f"C{curve.group}", "label": curve.label}
                if curve.points:
                    reach = (band.mean - band.low, band.high - band.mean)
                    axes.errorbar(band.x, band.mean, reach, fmt="o", markersize=5, linewidth=1, **look)
                else:
                    axes.plot(band.x, band.mean, **look)
                    axes.fill_between(band.x, band.low, band.high, color=look["color"], alpha=0.2, linewidth=0)
            axes.set(xlabel=drawing.x_label, ylabel=panel.title)
            axes.xaxis.set_major_formatter("{x:,.10g}")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
            columns = 1 if max(len(curve.label) for curve in panel.curves) > _LABEL else 2
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False)  # over no curve
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, metadata={"Software": None} if path.suffix == ".png" else {"Date": None})
