"""The page as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from researching import Played

import framework
from framework_research.browser import actions
from framework_research.observe import tiles, view
from framework_research.observe.figure import SIDE
from framework_research.observe.spaces import observer

PIPELINE = """
[run]
total_steps = 100

[environment]
use = "research"
observation_mode = "image"

[encoder]
use = "cnn"
channels = [8, 8, 8]
features = 16

[algorithm]
use = "ppo"

[sampling]
environments = 8
rollout_length = 8

[evaluation]
episodes = 0

[runtime]
samplers = 0
"""


def observed(played: Played, mode: str) -> np.ndarray | dict[str, np.ndarray]:
    """What any mode would show."""
    episodes = played.environment.episodes
    batch = observer(mode)(episodes.worlds, episodes.browsers, 1000)
    return {name: array[0] for name, array in batch.items()} if isinstance(batch, dict) else batch[0]


@pytest.mark.parametrize("seed", range(10))
def test_pictures_hold_what_numbers_and_figures_do(seed: int) -> None:
    """Each tile is one grey, which tells its number to 1/127; the figure stands below, and all else is black."""
    played, rng = Played(0.7, seed, observation_mode="image"), np.random.default_rng(seed)
    figures = 0
    for _ in range(80):
        image, multimodal = observed(played, "image"), observed(played, "multimodal")
        assert image.shape == (3, tiles.HEIGHT, tiles.WIDTH)
        height, width = view.TOKENS * tiles.TILE, view.FEATURES * tiles.TILE
        grey = image[:, :height, :width]
        decoded = (grey[0, :: tiles.TILE, :: tiles.TILE].astype(float) - tiles.MIDDLE) / tiles.MIDDLE
        np.testing.assert_array_equal(grey, np.broadcast_to(grey[0, ::2, ::2].repeat(2, 0).repeat(2, 1), grey.shape))
        assert np.abs(decoded - multimodal["page"]).max() <= 1 / 127
        np.testing.assert_array_equal(image[:, tiles.TOP :, :SIDE], multimodal["figure"])
        assert not image[:, height : tiles.TOP].any()
        assert not image[:, : tiles.TOP, width:].any()
        assert not image[:, tiles.TOP :, SIDE:].any()
        figures += multimodal["figure"].any()
        legal = np.flatnonzero(played.mask[: actions.ANSWER])
        played.act(actions.VIEW_FIGURE if actions.VIEW_FIGURE in legal else int(rng.choice(legal)))
    assert figures


def test_pictures_are_images_of_a_cnn(tmp_path: Path) -> None:
    """PPO goes through two updates with them."""
    file = tmp_path / "image.toml"
    file.write_text(PIPELINE)
    first, second = framework.train(framework.load(file), root=tmp_path)
    assert second.steps == second.metrics["steps"] == 2 * first.steps == 128
