"""Leaves of an observation as tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from torch.nn import functional

from framework.errors import FrameworkError
from framework.toolkit.optimizer import FlatOptimizer
from framework_encoders.tokens import Grid, Ids, Placed, check_integers, kind_of


@pytest.mark.parametrize(
    ("space", "kind"),
    [
        (Box(0, 255, (9, 9, 3), np.uint8), "image"),
        (Box(0, 255, (9, 9), np.uint8), "image"),
        (Box(-1, 1, (5, 3)), "numbers"),
        (Box(-9, 9, (5, 3), np.int64), "numbers"),
        (Box(0, 49, (6,), np.int64), "ids"),
        (MultiDiscrete([9] * 6), "ids"),
        (MultiDiscrete([9, 8]), "vector"),
        (MultiDiscrete([9]), "vector"),
        (MultiDiscrete([[9, 9], [9, 9]]), "vector"),
        (Box(-(2**63), 2**63 - 1, (3,), np.int64), "vector"),
        (Box(-1, 1, (6,)), "vector"),
        (Box(-1, 1, ()), "vector"),
        (Box(-1, 1, (2, 2, 2, 2)), "vector"),
        (MultiBinary(6), "vector"),
        (Discrete(6), "vector"),
    ],
    ids=str,
)
def test_what_leaves_are_made_of(space, kind):
    """Two axes are tokens of numbers, one axis of integers is ids, three axes are an image, the rest is one token."""
    assert kind_of(space) == kind


@torch.random.fork_rng()
def test_ids_start_where_their_space_does():
    """The smallest id has the first row of the table, and the largest the last one."""
    box = Ids("text", Box(-3, 4, (2,), np.int64), 5)
    assert torch.equal(box(torch.tensor([[-3, 4]])), box.table.weight[[0, 7]].unsqueeze(0))
    shifted = Ids("text", MultiDiscrete([3, 3], start=[1, 7]), 5)
    assert torch.equal(shifted(torch.tensor([[1, 9]])), shifted.table.weight[[0, 2]].unsqueeze(0))
    bits = Ids("bits", MultiBinary(2), 5)
    assert torch.equal(bits(torch.tensor([[1, 0]], dtype=torch.int8)), bits.table.weight[[1, 0]].unsqueeze(0))


def test_a_vocabulary_without_bounds_is_refused():
    """Ids that could be anything would need a table of any size."""
    with pytest.raises(FrameworkError, match=r"'text' range over .* narrow the bounds"):
        Ids("text", Box(0, 2**40, (3,), np.int64), 4)


def test_normalised_integers_are_refused():
    """Ids and masks that were made floats on the way mean nothing any more; the message tells what did it."""
    assert check_integers("text", torch.tensor([1])).tolist() == [1]
    with pytest.raises(FrameworkError, match=r"'text' must be integers .* torch.float32: .*normalize_observations"):
        check_integers("text", torch.tensor([1.0]))


@torch.random.fork_rng()
def test_patches_are_those_of_a_loop():
    """A 5 x 6 image in patches of 2 is filled up to 6 x 6 with zeros, and its patches come row by row."""
    grid = Grid(Box(0, 255, (5, 6, 3), np.uint8), 4, 2, "auto", 255.0)
    torch.nn.init.zeros_(grid.neighbours.weight)
    image = torch.randint(256, (1, 5, 6, 3), dtype=torch.uint8)
    padded = functional.pad(image[0].float() / 255, (0, 0, 0, 0, 0, 1))
    weight = grid.patches.weight.permute(0, 2, 3, 1).flatten(1)
    expected = [
        (weight @ padded[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten() + grid.patches.bias).relu()
        for y in range(3)
        for x in range(3)
    ]
    assert grid.count == 9
    torch.testing.assert_close(grid(image)[0], torch.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "tokens"), [(7, 49), (8, 64), (36, 64), (64, 64), (84, 64), (210, 64), (1, 1)])
def test_a_grid_has_at_most_eight_by_eight_patches(side, tokens):
    """By default patches are as small as that allows, whatever the image's size."""
    assert Grid(Box(0, 255, (side, side), np.uint8), 4, None, "auto", 255.0).count == tokens


@torch.random.fork_rng()
def test_blank_images_are_looked_at_once_and_seen_as_any():
    """Tokens and gradients are those of images that go through one by one, blank or not."""
    grid = Grid(Box(0, 255, (6, 6, 3), np.uint8), 4, 2, "auto", 255.0)
    torch.nn.init.normal_(grid.patches.bias)
    images = torch.randint(1, 255, (5, 6, 6, 3), dtype=torch.uint8)
    images[[0, 2, 3]] = 0
    embedded = grid(images)
    expected = torch.cat([grid._tokens(image[None]) for image in images])
    torch.testing.assert_close(embedded, expected)
    weights = torch.randn_like(embedded)
    parameters = list(grid.parameters())
    gradients, expected_gradients = (
        torch.autograd.grad((tokens * weights).sum(), parameters) for tokens in (embedded, expected)
    )
    torch.testing.assert_close(gradients, expected_gradients)


def test_a_patch_knows_its_place():
    """The same patch in two places is two different tokens, and one token where places are not told."""
    space = Box(0, 1, (4, 4, 1), np.float32)
    grid = Grid(space, 4, 2, "auto", 255.0)
    image = torch.ones(1, 4, 4, 1)
    assert torch.allclose(grid.patches.bias, torch.zeros(4))
    torch.nn.init.zeros_(grid.neighbours.weight)
    assert torch.allclose(grid(image)[0, 0], grid(image)[0, 3])
    assert not torch.allclose(Placed(grid, 4)(image)[0, 0], Placed(grid, 4)(image)[0, 3], atol=1e-3)


@torch.random.fork_rng()
def test_embeddings_are_spared_from_weight_decay():
    """A step without gradient leaves vectors of ids and places as they are, and shrinks the matrices."""
    module = Placed(Ids("text", MultiDiscrete([5] * 3), 4), 4)
    module.linear = torch.nn.Linear(4, 4)
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    FlatOptimizer(module, weight_decay=0.1).step(0.1)
    changed = [name for name, parameter in module.named_parameters() if not torch.equal(parameter, before[name])]
    assert changed == ["linear.weight"]
