"""Attention over the last steps against a reference that takes one query after another."""

from __future__ import annotations

import math

import pytest
import torch
from memories import SMALL, make, sequences
from torch import nn

from framework.schema import OptionError
from framework_encoders.composite_config import TransformerMemoryConfig

WINDOW, DEPTH, HEADS, WIDTH = (SMALL["transformer_memory"][key] for key in ("window", "depth", "heads", "width"))


def attended(layer, inputs):
    """What a layer makes of the last of its inputs, a list of [width], by loops over heads and steps."""
    normed = [layer.norm(x) for x in inputs]
    mixed = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        query = layer.queries(normed[-1])[part]
        scores, values = [], []
        for distance, x in enumerate(reversed(normed)):
            key, value = layer.keys_and_values(x).chunk(2)
            position = layer.positions.weight[WINDOW - 1 - distance]
            scores.append(query @ (key[part] + position[part]) / math.sqrt(WIDTH / HEADS))
            values.append(value[part])
        shares = torch.stack(scores).softmax(0)
        mixed.append(sum(share * value for share, value in zip(shares, values, strict=True)))
    return layer.feed_forward(inputs[-1] + layer.output(torch.cat(mixed)))


def reference(encoder, x, first):
    """Features [T, N, width] from the core's features ``x`` [T, N, F], each step and each row by itself."""
    features = torch.empty(*x.shape[:2], WIDTH)
    for n in range(x.shape[1]):
        history = [[] for _ in encoder.layers]
        for t in range(x.shape[0]):
            if first[t, n]:
                history = [[] for _ in encoder.layers]
            value = encoder.project(x[t, n])
            for layer, inputs in zip(encoder.layers, history, strict=True):
                inputs.append(value)
                value = attended(layer, inputs[-WINDOW:])
            features[t, n] = encoder.norm(value)
    return features


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 11])
@torch.no_grad()
def test_every_query_by_itself(steps):
    """Blocks, masks and shifted positions come to the same as loops over rows, steps, heads and keys."""
    encoder = make(SMALL["transformer_memory"])
    observations, first = sequences(steps, 3, 0.15)
    core, _ = encoder.core(observations, {}, first)
    encoding, _ = encoder(observations, encoder.initial_memory(3), first)
    expected = reference(encoder, core.features, first)
    torch.testing.assert_close(encoding.features, expected, rtol=0, atol=1e-5)


def test_sees_as_far_as_its_window():
    """Features depend on the ``depth * (window - 1)`` steps before, and on none that are longer ago."""
    encoder = make(SMALL["transformer_memory"])
    observations, _ = sequences(12, 1)
    observation = observations["observation"].requires_grad_()
    encoding, _ = encoder(observations, encoder.initial_memory(1), torch.zeros(12, 1, dtype=torch.bool))
    encoding.features[-1].square().sum().backward()
    reached = observation.grad.abs().amax((1, 2)) > 0
    farthest = DEPTH * (WINDOW - 1)
    assert reached.tolist() == [t >= 11 - farthest for t in range(12)]


@torch.no_grad()
def test_memory_tells_what_is_there():
    """The last ``window - 1`` steps of the episode are marked as seen; the rest is zero."""
    encoder = make(SMALL["transformer_memory"])
    observations, _ = sequences(6, 3)
    first = torch.zeros(6, 3, dtype=torch.bool)
    first[4, 1] = first[5, 2] = True
    _, memory = encoder(observations, encoder.initial_memory(3), first)
    assert memory["seen"].tolist() == [[True, True, True], [False, True, True], [False, False, True]]
    present = memory["inputs"].abs().amax((1, 3)) > 0
    assert torch.equal(present, memory["seen"])


@torch.no_grad()
def test_what_was_not_seen_has_no_influence():
    """Whatever stands in the memory where nothing was seen, features stay bit for bit."""
    encoder = make(SMALL["transformer_memory"])
    observations, first = sequences(5, 2, 0.0)
    memory = encoder.initial_memory(2)
    expected, _ = encoder(observations, memory, first)
    encoding, _ = encoder(observations, {**memory, "inputs": torch.full_like(memory["inputs"], 1e3)}, first)
    assert torch.equal(encoding.features, expected.features)


def test_heads_that_do_not_divide_the_width_are_refused():
    """Each head gets its share of the width."""
    with pytest.raises(OptionError, match="must divide width, which is 64; is 3"):
        TransformerMemoryConfig(heads=3)


def test_positions_are_spared_from_weight_decay():
    """They are embeddings, which weight decay exempts."""
    encoder = make(SMALL["transformer_memory"])
    assert all(isinstance(layer.positions, nn.Embedding) for layer in encoder.layers)
