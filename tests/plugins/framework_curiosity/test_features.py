"""What the networks of a bonus see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from environments import SPACES
from gymnasium.spaces import Box, MultiDiscrete
from small_ppo import make_context, observations
from torch import nn

from framework.errors import FrameworkError
from framework.interfaces import Encoding
from framework.toolkit.spaces import array_spec, flat_space
from framework_curiosity.features import Features, Whitening, seeded


@pytest.mark.parametrize("name", SPACES)
def test_what_is_seen_is_in_the_space_that_encoders_are_built_for(name):
    """Whitened leaves are float32 within ±5, all others as they were; in shape and dtype as `Whitening.space` says."""
    space = flat_space(SPACES[name])
    whitening = Whitening(space)
    rows = observations(space, 50)
    whitening.take_in(rows)
    whitened = whitening(rows)
    assert whitened.keys() == space.keys() == whitening.space.keys()
    for key, leaf in space.items():
        dtype, shape = array_spec(whitening.space[key])
        assert (whitened[key].numpy().dtype, whitened[key].shape[1:]) == (dtype, shape)
        if isinstance(leaf, Box):
            assert dtype == np.float32
            assert whitened[key].abs().max() <= 5
            assert not torch.equal(whitened[key].flatten(), rows[key].flatten().to(torch.float32))
        else:
            assert whitened[key] is rows[key]


def test_statistics_are_those_of_all_rows():
    """Rows are whitened by mean and deviation of all that was taken in, whatever parts it came in, and clipped."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(90, 2, 3, generator=generator) * 40 + torch.tensor([0.0, 1e3, -5.0])
    whitening = Whitening({"observation": Box(-np.inf, np.inf, (2, 3), np.float32)})
    for part in rows.split(40):
        whitening.take_in({"observation": part})
    expected = (rows - rows.mean(0)) / rows.std(0, correction=0)
    torch.testing.assert_close(whitening({"observation": rows})["observation"], expected, rtol=1e-4, atol=1e-4)
    far = whitening({"observation": torch.tensor([1e9, -1e9]).view(2, 1, 1).expand(2, 2, 3)})["observation"]
    assert far[0].eq(5).all()
    assert far[1].eq(-5).all()


def test_images_of_two_axes_stay_images():
    """Bytes of two axes get a channel, as floats of two axes would be no image; symbols keep their integers."""
    space = {"screen": Box(0, 255, (6, 7), np.uint8), "words": Box(0, 9, (4,), np.int64), "more": MultiDiscrete([3, 3])}
    whitening = Whitening(space)
    whitened = whitening(observations(space, 5))
    assert whitened["screen"].shape == (5, 1, 6, 7)
    assert whitening.space["screen"].shape == (1, 6, 7)
    assert whitened["words"].dtype == whitened["more"].dtype == torch.int64
    assert whitening.space["words"] is space["words"]


class Remembering(nn.Module):
    feature_dim = 1

    def __init__(self, context):
        super().__init__()

    def initial_memory(self, count):
        return {"h": torch.zeros(count, 1)}


class Seeing(nn.Module):
    """Gives back the first number of what it sees, and keeps what it was built for."""

    feature_dim = 1

    def __init__(self, context):
        super().__init__()
        self.context = context

    def initial_memory(self, count):
        return {}

    def forward(self, observation, memory, first):
        assert first.all()
        return Encoding(observation["observation"][..., :1]), memory


def test_an_encoder_with_memory_is_refused():
    """Single observations have no past; the message says how to name another encoder."""
    with pytest.raises(FrameworkError, match=r"memory.*encoder = "):
        Features(None, make_context(encoder=Remembering))


def test_without_an_encoder_there_is_a_reason():
    """A context that makes no encoder is refused."""
    with pytest.raises(FrameworkError, match="needs an encoder"):
        Features("mlp", make_context())


def test_the_encoder_is_the_pipelines_or_the_one_that_is_named():
    """Both are built for the context given, and called with one step for each row."""
    parts = []
    context = make_context(encoder=Seeing, make_part=lambda part, context: parts.append(part) or Seeing(context))
    for part in (None, "mlp", {"use": "cnn"}):
        features = Features(part, context)
        assert features.encoder.context is context
        rows = torch.arange(12.0).view(4, 3)
        assert torch.equal(features({"observation": rows}), rows[:, :1])
    assert parts == ["mlp", {"use": "cnn"}]


def test_a_seed_and_a_name_make_the_same_networks():
    """Networks and later draws follow from both, and torch's global generator does not notice."""
    before = torch.random.get_rng_state()

    def drawn(seed, name):
        with seeded(seed, name) as later:
            layer = nn.Linear(2, 2)
        return torch.cat((layer.weight.detach().flatten(), torch.rand(2, generator=later)))

    assert torch.equal(drawn(1, "a"), drawn(1, "a"))
    assert not torch.equal(drawn(1, "a"), drawn(1, "b"))
    assert not torch.equal(drawn(1, "a"), drawn(2, "a"))
    assert torch.equal(before, torch.random.get_rng_state())
