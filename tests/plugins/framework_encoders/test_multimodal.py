"""Modalities through encoders of their own, fused by attention."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import evolve
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_ppo import VECTOR, collect, make_context, observations, ppo

from framework.errors import FrameworkError
from framework.interfaces import Encoding
from framework.schema import OptionError
from framework.testing.probes import OBSERVATIONS
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.spaces import flat_space
from framework_encoders.cnn import CNN
from framework_encoders.composite_config import MultimodalConfig, TransformerConfig
from framework_encoders.config import CNNConfig, MLPConfig
from framework_encoders.mlp import MLP
from framework_encoders.multimodal import Multimodal
from framework_encoders.transformer import Transformer

LEAVES = {
    "eye": Box(0, 255, (8, 8, 3), np.uint8),
    "eye_on": Discrete(2),
    "text": MultiDiscrete([9] * 4),
    "speed": VECTOR,
    "gear": Discrete(3, start=2),
}
ABSENT = {"eye": "eye_on"}


class Remembering(MLP):
    """An encoder with memory."""

    def initial_memory(self, count):
        return {"state": torch.zeros(count, 1)}


class Losing(MLP):
    """An encoder with an auxiliary loss."""

    def forward(self, observation, memory, first):
        encoding, memory = super().forward(observation, memory, first)
        return Encoding(encoding.features, losses={"size": encoding.features.square().mean()}), memory


def part(value, context):
    """As pipelines make parts, with small options."""
    table = {"use": value} if isinstance(value, str) else dict(value)
    cls, config = {
        "mlp": (MLP, MLPConfig),
        "remembering": (Remembering, MLPConfig),
        "losing": (Losing, MLPConfig),
        "cnn": (CNN, lambda **o: CNNConfig(channels=(4,), kernels=(2,), strides=(1,), features=8, **o)),
        "transformer": (Transformer, lambda **o: TransformerConfig(**{"width": 8, "depth": 1, "heads": 2} | o)),
    }[table.pop("use")]
    return cls(config(**table), context)


def make(leaves, **options):
    context = evolve(make_context(leaves), make_part=part)
    return Multimodal(MultimodalConfig(**{"width": 16, "heads": 2, "features": 12} | options), context)


def encode(encoder, observation):
    leaf = next(iter(observation.values()))
    return encoder(observation, {}, torch.zeros(leaf.shape[:2], dtype=torch.bool))[0]


def changed(leaves, name, observation):
    """The observation with other values of one leaf."""
    values = observations({name: leaves[name]}, *observation[name].shape[:2], seed=5)[name]
    assert not torch.equal(values, observation[name])
    return observation | {name: values}


def modalities(encoder):
    return {modality.name: type(modality.encoder).__name__ for modality in encoder.modalities}


@pytest.mark.parametrize("options", [{}, {"present": ABSENT}, {"depth": 1, "heads": 4}], ids=str)
@torch.random.fork_rng()
def test_shapes(options):
    """Features [T, N, F] at any T and N; stateless."""
    encoder, memory = make(LEAVES, **options), {"kept": torch.zeros(1)}
    for steps, count in ((2, 3), (1, 1)):
        first = torch.zeros(steps, count, dtype=torch.bool)
        encoding, after = encoder(observations(LEAVES, steps, count), memory, first)
        assert after is memory
        assert encoding.features.shape == (steps, count, encoder.feature_dim) == (steps, count, 12)
        assert encoding.losses == {}
    assert encoder.initial_memory(2) == {}


@torch.random.fork_rng()
def test_encoders_by_kind_of_observation():
    """Images and ids are tokens of a transformer each, with the image's positions; all else goes through one mlp."""
    encoder = make(LEAVES, present=ABSENT)
    assert modalities(encoder) == {"eye": "Transformer", "text": "Transformer", "vectors": "MLP"}
    eye, text, vectors = encoder.modalities
    assert eye.encoder.sources[0].places.weight.shape == (64, 16)
    assert (len(eye.encoder.blocks), len(text.encoder.blocks)) == (0, 1)
    assert sorted(vectors.leaves) == ["gear", "speed"]


@torch.random.fork_rng()
def test_encoders_that_the_pipeline_names():
    """By an observation's name or by what stands before the slash; the others keep their defaults."""
    leaves = {"camera/left": LEAVES["eye"], "camera/right": LEAVES["eye"], "camera2": LEAVES["eye"], "speed": VECTOR}
    encoder = make(leaves, parts={"camera": "cnn", "camera2": {"use": "transformer", "patch": 4}})
    assert modalities(encoder) == {"camera": "CNN", "camera2": "Transformer", "vectors": "MLP"}
    assert sorted(encoder.modalities[0].leaves) == ["camera/left", "camera/right"]
    assert encoder.modalities[1].encoder.sources[0].count == 4
    assert encode(encoder, observations(leaves, 2, 3)).features.shape == (2, 3, 12)


@pytest.mark.parametrize("kind", OBSERVATIONS)
@torch.random.fork_rng()
def test_every_observation_of_the_probes(kind):
    """Any space, and each leaf reaches the features."""
    leaves = flat_space(OBSERVATIONS[kind][0])
    encoder, observation = make(leaves), observations(leaves, 1, 8)
    features = encode(encoder, observation).features
    for name in leaves:
        assert not torch.equal(encode(encoder, changed(leaves, name, observation)).features, features)


@pytest.mark.parametrize("parts", [{}, {"eye": "cnn"}], ids=["grid", "cnn"])
@torch.random.fork_rng()
def test_rows_do_not_depend_on_one_another(parts):
    """A row alone gives what it gives among others: the batch is not taken for the sequence."""
    encoder, observation = make(LEAVES, present=ABSENT, parts=parts), observations(LEAVES, 3, 4)
    together = encode(encoder, observation).features
    for t, n in ((0, 0), (2, 1), (1, 3)):
        alone = encode(encoder, {name: x[t : t + 1, n : n + 1] for name, x in observation.items()}).features
        torch.testing.assert_close(alone[0, 0], together[t, n], rtol=0, atol=1e-5)
    altered = {
        name: torch.cat((changed(LEAVES, name, observation)[name][:1], x[1:])) for name, x in observation.items()
    }
    assert torch.equal(encode(encoder, altered).features[1:], together[1:])


@pytest.mark.parametrize("name", ["eye", "text", "speed", "gear"])
@torch.random.fork_rng()
def test_each_modality_alone_changes_the_features(name):
    """Also text with an image beside it: softmax over one key would have hidden it."""
    encoder, observation = make(LEAVES), observations(LEAVES, 1, 6)
    change = encode(encoder, changed(LEAVES, name, observation)).features - encode(encoder, observation).features
    assert (change.abs().amax(-1) > 1e-3).sum() >= 4  # single values may be equal by chance


@torch.random.fork_rng()
def test_modalities_interact():
    """What the text changes depends on the image: the fusion is no sum of both."""
    encoder, observation = make(LEAVES), observations(LEAVES, 1, 6)
    text, eye = changed(LEAVES, "text", observation), changed(LEAVES, "eye", observation)
    before, after = (
        encode(encoder, with_text).features - encode(encoder, without).features
        for with_text, without in ((text, observation), (eye | {"text": text["text"]}, eye))
    )
    assert (before - after).abs().amax() > 1e-3


@torch.random.fork_rng()
def test_where_in_the_image_matters():
    """A bright spot in two places gives two features: the image is a grid with positions, not one token."""
    encoder = make({"eye": LEAVES["eye"], "speed": VECTOR})
    observation = {"eye": torch.zeros(1, 2, 8, 8, 3, dtype=torch.uint8), "speed": torch.zeros(1, 2, 3)}
    observation["eye"][0, 0, 2, 2] = observation["eye"][0, 1, 5, 5] = 255
    features = encode(encoder, observation).features
    assert not torch.allclose(features[0, 0], features[0, 1], atol=1e-3)


@pytest.mark.parametrize("name", ["eye", "text", "speed"])
@torch.random.fork_rng()
def test_what_is_absent_has_no_influence(name):
    """Its content changes no feature and no gradient, and it is not the same as zeros that are there."""
    leaves = LEAVES | {"on": MultiBinary(2)}
    encoder, observation = make(leaves, present={name: "on"}), observations(leaves, 2, 3)
    observation["on"] = torch.zeros_like(observation["on"])
    altered = changed(leaves, name, observation)
    if name == "speed":
        altered[name] = torch.full_like(observation[name], float("nan"))
    results = []
    for variant in (observation, altered):
        encoder.zero_grad()
        features = encode(encoder, variant).features
        features.square().sum().backward()
        results.append((features, torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    zeros = observation | {name: torch.zeros_like(observation[name]), "on": torch.ones_like(observation["on"])}
    assert not torch.allclose(encode(encoder, zeros).features, results[0][0], atol=1e-3)


@torch.random.fork_rng()
def test_absence_is_told_row_by_row():
    """One row's flag leaves the others alone; with everything absent the features are finite and all the same."""
    leaves = {"text": LEAVES["text"], "on": Discrete(2)}
    encoder, observation = make(leaves, present={"text": "on"}), observations(leaves, 1, 4)
    present, absent = (encode(encoder, observation | {"on": torch.full((1, 4), on)}).features[0] for on in (1, 0))
    mixed = encode(encoder, observation | {"on": torch.tensor([[1, 0, 0, 1]])}).features[0]
    torch.testing.assert_close(mixed[[0, 3]], present[[0, 3]], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed[[1, 2]], absent[[1, 2]], rtol=0, atol=1e-5)
    assert absent.isfinite().all()
    torch.testing.assert_close(absent, absent[:1].expand(4, -1))


@torch.random.fork_rng()
def test_padding_of_a_part_stays_masked():
    """Padding tokens of a modality's own encoder have no influence on the fusion either."""
    leaves = {"text/ids": LEAVES["text"], "text/padding": MultiBinary(4), "speed": VECTOR}
    text = {"use": "transformer", "tokens": "text/ids", "padding": "text/padding"}
    encoder, observation = make(leaves, parts={"text": text}), observations(leaves, 1, 5)
    observation["text/padding"] = torch.tensor([0, 0, 1, 1], dtype=torch.int8).expand(1, 5, 4)
    altered = {**observation, "text/ids": observation["text/ids"].clone()}
    altered["text/ids"][..., 2:] = 8 - altered["text/ids"][..., 2:]
    features = encode(encoder, observation).features
    assert torch.equal(encode(encoder, altered).features, features)
    fewer = observation | {"text/padding": observation["text/padding"].flip(-1)}
    assert not torch.allclose(encode(encoder, fewer).features, features, atol=1e-3)


@torch.random.fork_rng()
def test_alignment_is_a_loss_in_training_alone():
    """Weighted; no loss in evaluation, or where no gradient is recorded. Losses of parts are passed on."""
    encoder = make(LEAVES, align=("eye", "text"), align_weight=0.5, parts={"speed": "losing"})
    observation = observations(LEAVES, 2, 8)
    losses = encode(encoder, observation).losses
    assert sorted(losses) == ["alignment", "speed/size"]
    double = make(LEAVES, align=("eye", "text"), align_weight=1.0, parts={"speed": "losing"})
    double.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(encode(double, observation).losses["alignment"], 2 * losses["alignment"])
    with torch.no_grad():
        assert "alignment" not in encode(encoder, observation).losses
    assert "alignment" not in encode(encoder.eval(), observation).losses


@torch.random.fork_rng()
def test_alignment_knows_captions_and_absence():
    """Rows with the same text are positives, and rows where one modality is absent take no part."""
    encoder = make(LEAVES, align=("eye", "text"), align_weight=1.0, present=ABSENT)
    observation = observations(LEAVES, 1, 6)
    observation["eye_on"] = torch.tensor([[1, 1, 1, 1, 0, 0]])
    observation["text"][0, 1] = observation["text"][0, 0]
    whole = encode(encoder, observation).losses["alignment"]
    present = encode(encoder, {name: x[:, :4] for name, x in observation.items()}).losses["alignment"]
    torch.testing.assert_close(whole, present, rtol=1e-4, atol=1e-5)
    one_text = observation | {"text": observation["text"][:, :1].expand(-1, 6, -1)}
    assert encode(encoder, one_text).losses["alignment"] >= math.log(4) - 1e-5
    absent = encode(encoder, observation | {"eye_on": torch.zeros(1, 6, dtype=torch.int64)})
    assert absent.losses["alignment"] == 0.0


@torch.random.fork_rng()
def test_alignment_is_learned():
    """Pairs of a text and a number that go together: the loss falls well below ln N, on pairs it never saw too."""
    torch.manual_seed(0)
    leaves = {"text": MultiDiscrete([8] * 2), "speed": Box(-1, 1, (8,), np.float32)}
    encoder = make(leaves, align=("text", "speed"), align_weight=1.0)
    optimizer = FlatOptimizer(encoder)

    def sampled_pairs():
        text = torch.randint(8, (1, 32, 2))
        return {"text": text, "speed": torch.nn.functional.one_hot(text, 8).sum(2).float()}

    losses = []
    for _ in range(70):
        loss = encode(encoder, sampled_pairs()).losses["alignment"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(3e-3)
        losses.append(loss.item())
    assert losses[0] > 3.0
    assert np.mean(losses[-10:]) < 1.2


def test_everything_is_learned_from():
    """PPO's update moves every parameter of the encoder but those of the alignment, which has a loss of its own."""
    context = make_context(
        LEAVES, encoder=lambda context: Multimodal(MultimodalConfig(width=8, heads=2, present=ABSENT), context)
    )
    algorithm = ppo(context, share_encoder=True, learning_rate=1e-2)
    batch = collect(algorithm, context)
    before = {name: value.clone() for name, value in algorithm.policy.encoder.named_parameters()}
    algorithm.update(batch)
    moved = algorithm.policy.encoder.named_parameters()
    assert [name for name, value in moved if torch.equal(value, before[name])] == []


@torch.random.fork_rng()
def test_training_and_evaluation_are_the_same():
    """The features do not depend on the mode, with the alignment on too."""
    encoder, observation = make(LEAVES, align=("eye", "text")), observations(LEAVES, 2, 3)
    trained = encode(encoder.train(), observation).features
    assert torch.equal(encode(encoder.eval(), observation).features, trained)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": {"nose": "mlp"}}, r"no modality 'nose', but eye, text, vectors, of eye, eye_on, gear"),
        ({"align": ("eye", "ear")}, r"no modality 'ear'"),
        ({"present": {"ear": "eye_on"}}, r"no modality 'ear'"),
        ({"present": {"eye": "speed"}}, r'present.eye = "speed" must be a Discrete or MultiBinary .* not Box'),
        ({"present": {"eye": "on"}}, r'present.eye = "on" must be .* and one of eye, eye_on'),
        ({"parts": {"speed": "remembering"}}, r"encoder of 'speed' has memory.* core = "),
    ],
)
@torch.random.fork_rng()
def test_options_that_do_not_fit(options, message):
    """The message tells which option, and what there is."""
    with pytest.raises(FrameworkError, match=message):
        make(LEAVES, **options)


@pytest.mark.parametrize(("options", "about"), [({"width": 30}, "heads"), ({"align": ("eye", "eye")}, "align")])
def test_options_that_are_wrong_anywhere(options, about):
    """Found out without building anything."""
    with pytest.raises(OptionError) as caught:
        MultimodalConfig(**options)
    assert caught.value.options[0] == about
