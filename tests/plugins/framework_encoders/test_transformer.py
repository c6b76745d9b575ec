"""The transformer over tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from small_ppo import VECTOR, collect, make_context, observations, ppo

from framework.errors import FrameworkError
from framework.schema import OptionError
from framework.testing.probes import OBSERVATIONS
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.spaces import flat_space
from framework_encoders.composite_config import TransformerConfig
from framework_encoders.transformer import Transformer

NUMBERS = Box(-1, 1, (5, 3), np.float32)
TEXT = MultiDiscrete([9] * 5)
IMAGE = Box(0, 255, (9, 9, 3), np.uint8)
PADDED = {"entities": NUMBERS, "gone": MultiBinary(5), "kind": MultiDiscrete([4] * 5), "speed": VECTOR}
ROLES = {"tokens": "entities", "padding": "gone", "types": "kind"}

readouts = pytest.mark.parametrize("readout", ["mean", "first", "flatten"])


def make(space, **options):
    return Transformer(TransformerConfig(**{"width": 16, "depth": 2, "heads": 2} | options), make_context(space))


def encode(encoder, observation):
    leaf = next(iter(observation.values()))
    return encoder(observation, {}, torch.zeros(leaf.shape[:2], dtype=torch.bool))[0]


def seen_of(space, *shape, seed=0):
    return observations(space if isinstance(space, dict) else {"observation": space}, *shape, seed=seed)


@readouts
@pytest.mark.parametrize("space", [NUMBERS, TEXT, IMAGE, VECTOR, Discrete(4, start=2), MultiBinary(3), PADDED], ids=str)
@torch.random.fork_rng()
def test_every_space(space, readout):
    """Features [T, N, F] and tokens [T, N, K, F] for any observation, at T = N = 1 too; memory comes back as it was."""
    encoder = make(space, readout=readout, **(ROLES if space is PADDED else {}))
    memory = {"kept": torch.zeros(1)}
    for steps, count in ((2, 3), (1, 1)):
        observation, first = seen_of(space, steps, count), torch.zeros(steps, count, dtype=torch.bool)
        encoding, after = encoder(observation, memory, first)
        assert after is memory
        assert encoding.features.shape == (steps, count, encoder.feature_dim) == (steps, count, 16)
        assert encoding.tokens.shape[:2] == (steps, count)
        assert encoding.tokens.shape[3] == 16
        assert encoding.features.isfinite().all()
        assert (encoding.token_mask is None) == (space is not PADDED)
    assert encoder.initial_memory(3) == {}


@pytest.mark.parametrize("kind", OBSERVATIONS)
@torch.random.fork_rng()
def test_every_observation_of_the_probes(kind):
    """Dicts and nested dicts too: each leaf reaches the features."""
    leaves = flat_space(OBSERVATIONS[kind][0])
    encoder, observation = make(leaves), seen_of(leaves, 1, 4)
    features = encode(encoder, observation).features
    for name, space in leaves.items():
        space.seed(7)
        values = torch.as_tensor(np.stack([np.asarray(space.sample()) for _ in range(4)])).view_as(observation[name])
        assert torch.equal(values, observation[name]) == torch.equal(
            encode(encoder, observation | {name: values}).features, features
        )


@readouts
@torch.random.fork_rng()
def test_rows_do_not_depend_on_one_another(readout):
    """A row alone, whichever step and environment it stands at, gives what it gives among others: no batch is a set."""
    encoder, observation = make(PADDED, readout=readout, **ROLES), seen_of(PADDED, 3, 4)
    together = encode(encoder, observation)
    for t, n in ((0, 0), (2, 1), (1, 3)):
        alone = encode(encoder, {name: x[t : t + 1, n : n + 1] for name, x in observation.items()})
        torch.testing.assert_close(alone.features[0, 0], together.features[t, n], rtol=0, atol=1e-5)
        torch.testing.assert_close(alone.tokens[0, 0], together.tokens[t, n], rtol=0, atol=1e-5)


@torch.random.fork_rng()
def test_tokens_of_numbers_are_a_set():
    """Without positions, another order of the tokens gives the same features, and the tokens in that order."""
    encoder, observation = make(NUMBERS), seen_of(NUMBERS, 2, 3)
    order = torch.tensor([3, 1, 4, 0, 2])
    moved = encode(encoder, {"observation": observation["observation"][:, :, order]})
    unmoved = encode(encoder, observation)
    torch.testing.assert_close(moved.features, unmoved.features, rtol=0, atol=1e-5)
    torch.testing.assert_close(moved.tokens, unmoved.tokens[:, :, order], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("space", "positions"), [(TEXT, None), (NUMBERS, True)], ids=["ids", "numbers"])
@torch.random.fork_rng()
def test_positions_tell_the_order(space, positions):
    """Ids by default, and numbers where it is asked for: another order is another text."""
    encoder, observation = make(space, positions=positions), seen_of(space, 1, 3)
    moved = {"observation": observation["observation"].flip(2)}
    assert not torch.allclose(encode(encoder, moved).features, encode(encoder, observation).features, atol=1e-2)


@torch.random.fork_rng()
def test_ids_without_positions_are_a_set():
    """`positions = false` makes a bag of words."""
    encoder, observation = make(TEXT, positions=False), seen_of(TEXT, 1, 3)
    moved = {"observation": observation["observation"].flip(2)}
    torch.testing.assert_close(
        encode(encoder, moved).features, encode(encoder, observation).features, rtol=0, atol=1e-5
    )


@readouts
@pytest.mark.parametrize("garbage", [1e9, float("nan"), float("inf")])
@torch.random.fork_rng()
def test_padding_has_no_influence(readout, garbage):
    """Whatever stands in padding changes no feature, no other token and no gradient, and its own token is zero."""
    encoder, observation = make(PADDED, readout=readout, **ROLES), seen_of(PADDED, 2, 4)
    observation["gone"] = torch.tensor([0, 1, 0, 1, 1], dtype=torch.int8).expand(2, 4, 5).clone()
    observation["gone"][0, 0] = 1  # no token at all
    gone = observation["gone"].bool()
    garbled = dict(observation)
    garbled["entities"] = torch.where(gone.unsqueeze(-1), garbage, observation["entities"])
    garbled["kind"] = torch.where(gone, 3 - observation["kind"], observation["kind"])
    results = []
    for variant in (observation, garbled):
        encoder.zero_grad()
        encoding = encode(encoder, variant)
        encoding.features.square().sum().backward()
        gradients = torch.cat([parameter.grad.flatten() for parameter in encoder.parameters()])
        assert torch.equal(encoding.token_mask, ~gone)
        assert (encoding.tokens[gone] == 0).all()
        results.append((encoding.features, encoding.tokens, gradients))
    for expected, actual in zip(*results, strict=True):
        assert torch.equal(expected, actual)


@torch.random.fork_rng()
def test_padding_is_as_good_as_not_being_there():
    """The mean of padded tokens is that of an observation which has only the others."""
    leaves = {"x": NUMBERS, "gone": MultiBinary(5)}
    padded, short = make(leaves, padding="gone"), make({"x": Box(-1, 1, (3, 3))})
    short.load_state_dict(padded.state_dict())
    observation = seen_of(leaves, 2, 3)
    observation["gone"] = torch.tensor([0, 0, 0, 1, 1], dtype=torch.int8).expand(2, 3, 5)
    present = {"x": observation["x"][:, :, :3]}
    torch.testing.assert_close(encode(padded, observation).features, encode(short, present).features, rtol=0, atol=1e-5)


@torch.random.fork_rng()
def test_types_tell_tokens_apart():
    """Another type of a token that is there changes the features."""
    encoder, observation = make(PADDED, **ROLES), seen_of(PADDED, 1, 2)
    observation["gone"] = torch.zeros_like(observation["gone"])
    retyped = observation | {"kind": (observation["kind"] + 1) % 4}
    assert not torch.allclose(encode(encoder, retyped).features, encode(encoder, observation).features, atol=1e-3)


@torch.random.fork_rng()
def test_tokens_stand_in_the_order_of_their_leaf():
    """A change of one entity changes its own token most: tokens are where the environment put them, others left out."""
    encoder, observation = make(PADDED | {"a": VECTOR}, **ROLES), seen_of(PADDED | {"a": VECTOR}, 1, 1)
    observation["gone"] = torch.zeros_like(observation["gone"])
    before = encode(encoder, observation).tokens
    assert before.shape == (1, 1, 5, 16)
    for token in range(5):
        negated = observation["entities"].clone()
        negated[:, :, token] *= -1
        change = (encode(encoder, observation | {"entities": negated}).tokens - before).norm(dim=-1)[0, 0]
        assert change.argmax() == token


@pytest.mark.parametrize("readout", ["mean", "first"])
def test_an_untouched_read_out(readout):
    """Without blocks, the read-outs are the mean of the normalised tokens, and the first of them."""
    with torch.random.fork_rng():
        encoder, observation = make(NUMBERS, depth=0, readout=readout), seen_of(NUMBERS, 2, 3)
        tokens = encoder.norm(encoder.sources[0](observation["observation"].flatten(0, 1))).unflatten(0, (2, 3))
        expected = tokens.mean(2) if readout == "mean" else tokens[:, :, 0]
        torch.testing.assert_close(encode(encoder, observation).features, expected)


@torch.random.fork_rng()
def test_training_and_evaluation_are_the_same():
    """Nothing in it is random or depends on the mode."""
    encoder, observation = make(PADDED, **ROLES), seen_of(PADDED, 2, 3)
    trained = encode(encoder.train(), observation).features
    assert torch.equal(encode(encoder.eval(), observation).features, trained)


@torch.random.fork_rng()
def test_bfloat16_is_close():
    """Under autocast the features are those of float32 but for rounding."""
    encoder, observation = make(PADDED, **ROLES), seen_of(PADDED, 2, 3)
    exact = encode(encoder, observation).features
    with torch.autocast("cpu", torch.bfloat16):
        rounded = encode(encoder, observation).features
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0.1)


@pytest.mark.parametrize("readout", ["mean", "flatten"])
def test_everything_is_learned_from(readout):
    """PPO's update moves every parameter of the encoder."""
    context = make_context(
        Dict(PADDED | {"eye": Box(0, 255, (4, 4, 1), np.uint8)}).spaces,
        encoder=lambda context: Transformer(TransformerConfig(width=8, heads=2, readout=readout, **ROLES), context),
    )
    algorithm = ppo(context, share_encoder=True, learning_rate=1e-2)
    batch = collect(algorithm, context)
    before = {name: value.clone() for name, value in algorithm.policy.encoder.named_parameters()}
    algorithm.update(batch)
    moved = algorithm.policy.encoder.named_parameters()
    assert [name for name, value in moved if torch.equal(value, before[name])] == []


@torch.random.fork_rng()
def test_attention_finds_a_token_by_another():
    """It learns what needs interaction: the number beside the key that another token asks for."""
    torch.manual_seed(1)
    count, keys = 4, 4
    encoder = make(Box(-1, 1, (count + 1, 2 * keys + 1)))
    head = torch.nn.Linear(16, 1)
    optimizer = FlatOptimizer(torch.nn.ModuleList((encoder, head)))
    losses = []
    for _ in range(100):
        order = torch.rand(64, count).argsort(1)
        values, queried = torch.rand(64, count).round() * 2 - 1, torch.randint(keys, (64,))
        x = torch.zeros(64, count + 1, 2 * keys + 1)
        x[:, :count, :keys] = torch.eye(keys)[order]
        x[:, :count, -1] = values
        x[:, count, keys : 2 * keys] = torch.eye(keys)[queried]
        targets = (values * (order == queried.unsqueeze(1))).sum(1)
        loss = (
            (head(encode(encoder, {"observation": x.unsqueeze(0)}).features[0]).squeeze(-1) - targets).square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(1e-2)
        losses.append(loss.item())
    assert np.mean(losses[:5]) > 0.5
    assert np.mean(losses[-20:]) < 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "entity"}, r'tokens = "entity" is no observation; there are entities, gone, kind, speed'),
        ({"padding": "absent"}, r'padding = "absent" is no observation'),
        ({"padding": "speed"}, r'padding = "speed" must be integers, one for each token'),
        ({"tokens": "speed"}, r'tokens = "speed" must be numbers'),
        ({"padding": "gone"}, r"set tokens .* one of entities, kind"),
    ],
)
def test_options_that_do_not_fit_the_observation(options, message):
    """The message tells which option, and what there is."""
    with pytest.raises(FrameworkError, match=message):
        make(PADDED, **options)


def test_a_mask_of_another_length_is_refused():
    """Padding and types belong to one token each."""
    with pytest.raises(FrameworkError, match=r"'x' has 5 tokens, so 'gone' cannot be MultiBinary\(4\)"):
        make({"x": NUMBERS, "gone": MultiBinary(4)}, padding="gone")


def test_ids_that_were_normalised_are_refused():
    """Token ids that arrive as floats are an error with a way out, not a wrong embedding."""
    encoder = make(Box(0, 8, (5,), np.int64))
    with pytest.raises(FrameworkError, match="normalize_observations"):
        encode(encoder, {"observation": torch.zeros(1, 1, 5)})


def test_heads_must_divide_the_width():
    """Each head has its share of the width."""
    with pytest.raises(OptionError, match="must divide width, which is 30"):
        TransformerConfig(width=30, heads=4)
