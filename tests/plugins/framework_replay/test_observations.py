"""Observations come back as they were, and stacks of frames take little room."""

from __future__ import annotations

import numpy as np
import pytest

from framework_replay import observations
from framework_replay.observations import Frames, Whole, make, overlap, put


def episodes(lengths, depth=4, columns=1, dtype=np.uint8):
    """Stacks [T + 1, N, depth, 3] of successive frames, and which of them start an episode."""
    rng, stacks, first = np.random.default_rng(0), [], []
    for length in lengths:
        frames = rng.integers(1, 200, (length, columns, 3)).astype(dtype)
        for step in range(length):
            stacks.append(np.stack([frames[max(step - back, 0)] for back in range(depth - 1, -1, -1)], axis=1))
            first.append([step == 0] * columns)
    return np.array(stacks), np.array(first)


def test_frames_of_stacks_are_shared():
    """A leaf whose observations move on by a frame takes a frame a step, and the stacks are rebuilt."""
    stacks, first = episodes([30, 20, 51], columns=2)
    leaf = make(len(stacks), stacks, first, share_frames=True)
    assert isinstance(leaf, Frames)
    leaf.write(0, stacks, np.ones(2, bool))
    np.testing.assert_array_equal(leaf.take(np.arange(202)), stacks.reshape(-1, 4, 3))
    stored = sum(x.nbytes for x in (leaf._ring, leaf._keys._arrays["key"]))
    assert stored < 0.4 * stacks.nbytes


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_what_stops_being_stacks_still_comes_back(dtype):
    """Sharing is found out from the first batch; whatever follows is stored without loss."""
    stacks, first = episodes([40], dtype=dtype)
    unstacked = np.random.default_rng(1).integers(0, 99, (41, 1, 4, 3)).astype(dtype)
    leaf = make(60, stacks, first, share_frames=True)
    leaf.write(0, stacks, np.ones(1, bool))
    unstacked[0] = stacks[-1]
    leaf.write(39, unstacked, np.zeros(1, bool))
    np.testing.assert_array_equal(leaf.take(np.arange(20, 80)), np.concatenate((stacks[20:39], unstacked))[:, 0])


def test_old_keys_are_forgotten():
    """Many short episodes need no more room than those that are still in the ring."""
    stacks, first = episodes([3] * 100)
    leaf = make(20, stacks, first, share_frames=True)
    assert isinstance(leaf, Frames)
    for step in range(0, 299):
        leaf.write(step, stacks[step : step + 2], np.array([step == 0]))
    np.testing.assert_array_equal(leaf.take(np.arange(280, 300)), stacks[280:, 0])
    assert leaf._keys.next - leaf._keys.first < 12


def test_pairs_across_a_reset_say_nothing():
    """What follows the end of an episode does not count when it is found out whether frames can be shared."""
    stacks, first = episodes([2] * 10)
    assert observations.overlap(stacks)[~first[1:]].all()
    assert isinstance(make(20, stacks, first, share_frames=True), Frames)


@pytest.mark.parametrize("case", ["option", "floats", "flat", "one", "unrelated", "resets only"])
def test_other_leaves_are_stored_whole(case):
    """Without the option, floats, vectors, single frames, unrelated images, and where the first batch cannot tell."""
    stacks, first = episodes([20])
    share = case != "option"
    if case == "floats":
        stacks = stacks.astype(np.float32)
    elif case == "flat":
        stacks = stacks[..., 0]
        stacks = stacks[:, :, 0]
    elif case == "one":
        stacks = stacks[:, :, :1]
    elif case == "unrelated":
        stacks = np.random.default_rng(0).integers(0, 256, stacks.shape, np.uint8)
    elif case == "resets only":
        first = np.ones_like(first)
    leaf = make(20, stacks, first, share_frames=share)
    assert isinstance(leaf, Whole)
    leaf.write(0, stacks, np.ones(1, bool))
    np.testing.assert_array_equal(leaf.take(np.arange(20)), stacks[:, 0])


def test_observations_without_numbers_are_stored() -> None:
    """A leaf may have no numbers at all: writing and comparing it asks for no size."""
    ring = np.zeros((4, 0), np.float32)
    put(ring, 3, np.zeros((2, 1, 0), np.float32))
    assert overlap(np.zeros((3, 2, 4, 0), np.uint8)).tolist() == [[True] * 2] * 2
