"""The encoders of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from small_ppo import VECTOR, collect, make_context, observations, ppo
from torch.nn import functional

from framework.errors import FrameworkError
from framework.schema import OptionError
from framework.toolkit.vjp import covers, vjp
from framework_encoders.cnn import CNN
from framework_encoders.config import CNNConfig, ImpalaCNNConfig
from framework_encoders.images import ImageLayout
from framework_encoders.impala_cnn import ImpalaCNN

SMALL = {"channels": (4, 6), "kernels": (2, 2), "strides": (1, 1), "features": 8}
ENCODERS = {
    "cnn": lambda context: CNN(CNNConfig(**SMALL), context),
    "impala_cnn": lambda context: ImpalaCNN(ImpalaCNNConfig(channels=(4, 6), features=8), context),
}
every = pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)


def image(*shape, dtype=np.uint8):
    return Box(0, 255, shape, dtype)


def encode(encoder, observation):
    leaf = next(iter(observation.values()))
    return encoder(observation, {}, torch.zeros(leaf.shape[:2], dtype=torch.bool))[0].features


@every
@pytest.mark.parametrize(
    "space", [image(7, 7, 3), image(4, 12, 10), image(9, 8), image(7, 7, 3, dtype=np.float32)], ids=str
)
@torch.random.fork_rng()
def test_images_of_every_layout(make, space):
    """Bytes or floats, channels first, last or none: features [T, N, F], where each row depends on its image alone."""
    torch.manual_seed(0)
    encoder, observation = make(make_context(space)), observations({"observation": space}, 2, 3)
    features = encode(encoder, observation)
    assert features.shape == (2, 3, encoder.feature_dim) == (2, 3, 8)
    altered = {"observation": observation["observation"].clone()}
    altered["observation"][1, 2] = 255 - altered["observation"][1, 2]
    changed = (encode(encoder, altered) - features).abs().amax(-1) > 1e-6
    assert changed.tolist() == [[False] * 3, [False, False, True]]


@every
@torch.random.fork_rng()
def test_one_image_in_either_layout_is_the_same_image(make):
    """The same pixels, channels first or last, give the same features."""
    first, last = (make(make_context(space)) for space in (image(3, 8, 8), image(8, 8, 3)))
    last.load_state_dict(first.state_dict())
    pixels = observations({"observation": image(3, 8, 8)}, 2, 3)["observation"]
    moved = {"observation": pixels.permute(0, 1, 3, 4, 2).contiguous()}
    torch.testing.assert_close(encode(first, {"observation": pixels}), encode(last, moved))


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((84, 84, 3), "auto", 3),
        ((4, 84, 84), "auto", 4),
        ((3, 3, 3), "auto", 3),
        ((2, 9, 5), "last", 5),
        ((9, 8, 3), "first", 9),
        ((84, 84), "auto", 1),
    ],
)
def test_which_axis_counts_the_channels(shape, layout, channels):
    """The shorter of first and last axis, unless the option says which."""
    resolved = ImageLayout(image(*shape), layout)
    assert resolved.channels == channels
    assert sorted((resolved.channels, resolved.height, resolved.width)) == sorted(
        shape if len(shape) == 3 else (1, *shape)
    )


@torch.random.fork_rng()
def test_the_nature_network():
    """With its defaults the features are those of the paper's network on pixels divided by 255."""
    encoder = CNN(CNNConfig(), make_context(image(4, 84, 84)))
    observation = observations({"observation": image(4, 84, 84)}, 1, 2)
    x = observation["observation"][0].float() / 255
    tower = encoder.towers[0]
    for layer, stride in zip(tower.convolutions, (4, 2, 1), strict=True):
        x = functional.conv2d(x, layer.weight, layer.bias, stride).relu()
    assert x.shape == (2, 64, 7, 7)
    x = tower.head(x.movedim(1, 3).flatten(1))
    torch.testing.assert_close(encode(encoder, observation)[0], x, rtol=1e-4, atol=1e-5)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 1_684_128


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
@torch.random.fork_rng()
def test_closed_form_gradient_is_autograds(frozen, layer_norm):
    """`vjp` of the convolutions gives the features of `forward` and autograd's gradients, but none where frozen."""
    leaves = {"front": image(3, 9, 9), "side": image(8, 7, 1, dtype=np.float32), "speed": Box(-1, 1, (2,))}
    encoder = CNN(
        CNNConfig(features=5, channels=(4, 6), kernels=(3, 2), strides=(2, 1), hidden=(4,), layer_norm=layer_norm),
        make_context(leaves),
    )
    assert covers(encoder)
    for layer in encoder.towers[0].convolutions if frozen else ():
        layer.requires_grad_(False)
    observation = observations(leaves, 1, 20)
    features = encoder(observation, {}, torch.zeros(1, 20, dtype=torch.bool))[0].features[0]
    weights = torch.randn_like(features)
    (features * weights).sum().backward()
    expected = [None if p.grad is None else p.grad.clone() for p in encoder.parameters()]
    assert (expected[0] is None) == frozen
    with torch.no_grad():
        features_by_rule, pullback = vjp(encoder, observation)
        pullback(weights.clone())
    torch.testing.assert_close(features_by_rule, features.detach(), rtol=1e-5, atol=1e-5)
    for parameter, gradient in zip(encoder.parameters(), expected, strict=True):
        if gradient is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-4)


@torch.random.fork_rng()
def test_layer_norm_makes_inputs_of_activations_standard():
    """Of the channels at each place, and of the fully connected layer: mean 0 and variance 1 before each ReLU."""
    config = CNNConfig(features=64, channels=(32,), kernels=(3,), strides=(2,), layer_norm=True)
    encoder = CNN(config, make_context(image(9, 9, 3)))
    normalized = []
    for module in encoder.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_hook(lambda module, inputs, output: normalized.append(output.clone()))
    features = encode(encoder, observations({"observation": image(9, 9, 3)}, 1, 5))
    assert [x.shape for x in normalized] == [(5, 4, 4, 32), (5, 64)]
    for x in normalized:
        torch.testing.assert_close(x.mean(-1), torch.zeros(x.shape[:-1]), rtol=0, atol=1e-5)
        torch.testing.assert_close(x.var(-1, correction=0), torch.ones(x.shape[:-1]), rtol=0, atol=1e-2)
    torch.testing.assert_close(features[0], normalized[-1].relu())


@every
@torch.random.fork_rng()
def test_floats_are_taken_as_they_are(make):
    """Bytes divided by 255, given as floats, are the same as the bytes."""
    bytes_, floats = (make(make_context(image(7, 7, 3, dtype=dtype))) for dtype in (np.uint8, np.float32))
    floats.load_state_dict(bytes_.state_dict())
    observation = observations({"observation": image(7, 7, 3)}, 1, 4)
    divided = {"observation": observation["observation"].float() / 255}
    torch.testing.assert_close(encode(bytes_, observation), encode(floats, divided), rtol=1e-4, atol=1e-5)


@every
@torch.random.fork_rng()
def test_other_observations_stand_beside_the_images(make):
    """Every leaf reaches the features: two images, a vector and a choice."""
    context = make_context({"left": image(7, 7, 3), "right": image(6, 6), "speed": VECTOR, "gear": Discrete(3)})
    encoder, observation = make(context), observations(context.observation_space, 1, 2)
    features = encode(encoder, observation)
    assert features.shape == (1, 2, encoder.feature_dim) == (1, 2, 8 + 8 + 64)
    for name, x in observation.items():
        changed = x.roll(1, 1) if name != "gear" else (x + 1) % 3
        assert not torch.allclose(encode(encoder, {**observation, name: changed}), features), name


@every
def test_images_are_learned_from(make):
    """PPO's update moves every parameter of the encoder."""
    context = make_context(Dict({"eye": image(7, 7, 3), "speed": VECTOR}).spaces, encoder=make)
    algorithm = ppo(context, share_encoder=True, learning_rate=1e-2)
    batch = collect(algorithm, context)
    before = {name: value.clone() for name, value in algorithm.policy.encoder.named_parameters()}
    algorithm.update(batch)
    assert [
        name for name, value in algorithm.policy.encoder.named_parameters() if torch.equal(value, before[name])
    ] == []


def test_an_image_that_is_too_small_is_refused():
    """The message tells the image's size, the smallest possible one, and what to set."""
    with pytest.raises(FrameworkError, match=r"'observation' has 7 x 7 .* at least 36 x 36; .* kernels = \[2, 2, 2\]"):
        CNN(CNNConfig(), make_context(image(7, 7, 3)))
    CNN(CNNConfig(features=4), make_context(image(1, 36, 36)))
    CNN(CNNConfig(kernels=(2, 2, 2), strides=(1, 1, 1)), make_context(image(7, 7, 3)))


@every
def test_no_image_is_refused(make):
    """An observation without an image is an error that lists what there is."""
    with pytest.raises(FrameworkError, match=r"no image .*'speed' is Box"):
        make(make_context({"speed": VECTOR}))


@pytest.mark.parametrize("options", [{"kernels": (8, 4)}, {"strides": (1,)}, {"channels": ()}])
def test_lists_of_different_length_are_refused(options):
    """Each convolution needs its channels, kernel and stride."""
    with pytest.raises(OptionError):
        CNNConfig(**options)
