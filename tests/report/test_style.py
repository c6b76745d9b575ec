"""The colours of pages: contrast by WCAG 2.2, and curves that those with other eyes tell apart."""

from itertools import combinations

import numpy as np
import pytest

from framework.report.style import DARK, DARK_CURVES, LIGHT, LIGHT_CURVES, stylesheet

#: Severe protanopia, deuteranopia and tritanopia on linear RGB (Machado, Oliveira, Fernandes 2009, table 1).
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
THEMES = {"light": (LIGHT, LIGHT_CURVES), "dark": (DARK, DARK_CURVES)}
TEXTS = ("text", "muted", "link", "good", "fair", "bad")


def linear(colour: str) -> np.ndarray:
    """Linear RGB of ``#rrggbb``."""
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""
    dark, light = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = matrix @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    fx, fy, fz = (np.cbrt(part) if part > 0.008856 else 7.787 * part + 16 / 116 for part in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def test_contrast_is_that_of_the_standard():
    """Black on white has 21, and #767676 the 4.54 that is known of it."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("theme", THEMES)
def test_texts_are_readable(theme):
    """4.5 or more on both grounds, and for words with a meaning on their own."""
    colours, _ = THEMES[theme]
    for ground in ("ground", "surface"):
        for name in TEXTS:
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in ("good", "fair", "bad"):
        assert contrast(colours[name], colours[f"{name}-ground"]) >= 4.5
    assert contrast(colours["text"], colours["line"]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_curves_are_visible(theme):
    """3 or more on the surface that they are drawn on."""
    colours, curves = THEMES[theme]
    assert min(contrast(colour, colours["surface"]) for colour in curves) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("eyes", EYES)
def test_curves_are_told_apart(theme, eyes):
    """Two colours differ by 20 or more (CIE 1976), also where a kind of cones is missing."""
    seen = [lab(np.array(EYES[eyes]) @ linear(colour)) for colour in THEMES[theme][1]]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) >= 20


def test_the_stylesheet_loads_nothing():
    """No address, no import; each theme has every variable that the rules use."""
    text = stylesheet()
    assert "url(" not in text
    assert "@import" not in text
    assert LIGHT.keys() == DARK.keys()
    assert len(LIGHT_CURVES) == len(DARK_CURVES)
    names = {part.partition(")")[0] for part in text.split("var(--")[1:]}
    assert names <= LIGHT.keys() | {f"c{index}" for index in range(len(LIGHT_CURVES))}
