"""Final observations in their places, against a list of rows for each environment."""

from __future__ import annotations

import torch

from framework.toolkit.sequences import column_parts, interleave


def test_final_observations_stand_before_the_next_episode() -> None:
    """Each column reads its observations in order, with the final one of an episode before the next begins."""
    generator = torch.Generator().manual_seed(0)
    observations = {"x": torch.rand(8, 5, 2, generator=generator), "y": torch.arange(40).view(8, 5)}
    done = torch.rand(7, 5, generator=generator) < 0.4
    first = torch.cat((torch.tensor([[True, False, True, False, False]]), done))
    index = done.flatten().nonzero().squeeze(1)
    index = index[torch.randperm(len(index), generator=generator)]
    finals = {"x": torch.rand(len(index), 2, generator=generator), "y": torch.arange(100, 100 + len(index))}
    result = interleave(observations, first, index, finals)
    numbers = {int(place): k for k, place in enumerate(index)}
    assert len(result.first) == 8 + int(done.sum(0).max())
    for n in range(5):
        rows, starts = [], []
        for t in range(8):
            assert result.places[t, n] == len(rows)
            rows.append(int(observations["y"][t, n]))
            starts.append(bool(first[t, n]))
            if t < 7 and done[t, n]:
                k = numbers[t * 5 + n]
                assert result.final_places[k] == len(rows)
                rows.append(100 + k)
                starts.append(False)
                assert torch.equal(result.observations["x"][result.final_places[k], n], finals["x"][k])
        assert result.observations["y"][: len(rows), n].tolist() == rows
        assert result.first[: len(rows), n].tolist() == starts


def test_without_an_end_nothing_changes() -> None:
    """Observations and starts are what they were."""
    observations, first = {"x": torch.rand(4, 3)}, torch.rand(4, 3) < 0.5
    result = interleave(observations, first, torch.zeros(0, dtype=torch.int64), {"x": torch.zeros(0)})
    assert torch.equal(result.observations["x"], observations["x"])
    assert torch.equal(result.first, first)


def test_parts_hold_every_column_once() -> None:
    """In order, of at most so many bytes, and at least one column each."""
    observations = {"x": torch.zeros(4, 7, 2)}  # 32 bytes a column
    for most, sizes in ((0, [1] * 7), (64, [2, 2, 2, 1]), (10_000, [7])):
        parts = [torch.arange(7)[part] for part in column_parts(observations, most)]
        assert [len(part) for part in parts] == sizes
        assert torch.cat(parts).tolist() == list(range(7))
