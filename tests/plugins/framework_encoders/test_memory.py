"""What holds for every encoder with memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given, settings
from hypothesis import strategies as st
from memories import SMALL, make, make_part, sequences, step_by_step
from small_ppo import make_context, same
from torch import nn
from torch.nn import functional

from framework.catalog import default_catalog
from framework.errors import FrameworkError
from framework.interfaces import Encoding

#: How far apart the same sums in another order may be.
ROUNDING = {"gru": 1e-6, "lstm": 1e-6, "transformer_memory": 1e-5}

pytestmark = pytest.mark.parametrize("name", SMALL)


@torch.no_grad()
def used(encoder, count, steps=3):
    """A memory that has seen something."""
    observations, first = sequences(steps, count, seed=99)
    return encoder(observations, encoder.initial_memory(count), first)[1]


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


def close_memories(actual, expected, tolerance):
    """Equal as far as rounding goes, and of the same dtypes and shapes."""
    assert actual.keys() == expected.keys()
    for key in actual:
        close(actual[key], expected[key], tolerance)


def test_memory_is_declared(name):
    """Pipelines learn of the memory without building the encoder."""
    assert default_catalog().find("encoder", name).supports == {"memory"}


@pytest.mark.parametrize("steps", [1, 2, 4, 13])
@pytest.mark.parametrize("ends", [0.0, 0.25, 1.0])
@torch.no_grad()
def test_steps_one_by_one_equal_one_pass(name, steps, ends):
    """Acting sees what learning sees: features and memory are the same, with episodes that start anywhere."""
    encoder = make(SMALL[name])
    observations, first = sequences(steps, 5, ends)
    start = used(encoder, 5)
    whole, after = encoder(observations, start, first)
    singly, last = step_by_step(encoder, observations, start, first)
    close(whole.features, singly.features, ROUNDING[name])
    close_memories(after, last, ROUNDING[name])


@settings(derandomize=True, deadline=None, max_examples=25)
@given(cuts=st.sets(st.integers(1, 19), max_size=4), ends=st.sampled_from([0.0, 0.1, 0.5]), seed=st.integers(0, 99))
@torch.no_grad()
def test_trajectories_can_be_cut_anywhere(name, cuts, ends, seed):
    """Passes over pieces of any length, the memory handed on, equal one pass over all."""
    encoder = make(SMALL[name])
    observations, first = sequences(20, 3, ends, seed)
    memory = encoder.initial_memory(3)
    whole, after = encoder(observations, memory, first)
    pieces, edges = [], [0, *sorted(cuts), 20]
    for begin, end in itertools.pairwise(edges):
        part = {key: x[begin:end] for key, x in observations.items()}
        encoding, memory = encoder(part, memory, first[begin:end])
        pieces.append(encoding.features)
    close(whole.features, torch.cat(pieces), ROUNDING[name])
    close_memories(after, memory, ROUNDING[name])


@pytest.mark.parametrize("at", [0, 2])
@torch.no_grad()
def test_an_episodes_start_forgets_everything(name, at):
    """From where an episode starts, features and memory are those of a fresh memory, bit for bit."""
    encoder = make(SMALL[name])
    observations, _ = sequences(6, 4)
    first = torch.zeros(6, 4, dtype=torch.bool)
    first[at] = True
    encoding, after = encoder(observations, used(encoder, 4), first)
    tail = {key: x[at:] for key, x in observations.items()}
    fresh, fresh_after = encoder(tail, encoder.initial_memory(4), first[at:])
    close(encoding.features[at:], fresh.features, ROUNDING[name])
    close_memories(after, fresh_after, ROUNDING[name])


@torch.no_grad()
def test_the_past_matters(name):
    """The same observations after another past give other features: where no episode starts, and only there."""
    encoder = make(SMALL[name])
    observations, _ = sequences(3, 2)
    first = torch.tensor([[True, False], [False, False], [False, False]])
    after_two = encoder(observations, used(encoder, 2, steps=2), first)[0].features
    after_three = encoder(observations, used(encoder, 2, steps=3), first)[0].features
    assert torch.equal(after_two[:, 0], after_three[:, 0])
    assert ((after_two[:, 1] - after_three[:, 1]).abs().amax(-1) > 1e-4).all()


@torch.no_grad()
def test_environments_are_independent(name):
    """Environment i's features and memory depend on its own past alone; a batch of one gives the same."""
    encoder = make(SMALL[name])
    observations, first = sequences(9, 4)
    start = used(encoder, 4)
    whole, after = encoder(observations, start, first)
    for n in range(4):
        column = slice(n, n + 1)
        alone, last = encoder(
            {key: x[:, column] for key, x in observations.items()},
            {key: x[column] for key, x in start.items()},
            first[:, column],
        )
        close(alone.features, whole.features[:, column], ROUNDING[name])
        close_memories(last, {key: x[column] for key, x in after.items()}, ROUNDING[name])


def test_gradients_reach_every_parameter_and_no_memory(name):
    """Everything learns, the core too; memory, given or got, carries no gradient."""
    encoder = make(SMALL[name])
    observations, first = sequences(9, 4)
    start = {key: x.requires_grad_() if x.is_floating_point() else x for key, x in used(encoder, 4).items()}
    encoding, after = encoder(observations, start, first)
    encoding.features.square().sum().backward()
    for key, parameter in encoder.named_parameters():
        assert parameter.grad.abs().max() > 1e-5, key
    assert all(x.grad is None for x in start.values())
    assert not any(x.requires_grad for x in after.values())


def test_a_later_loss_teaches_earlier_steps(name):
    """Gradient flows back through the steps of a pass, but not across the start of an episode."""
    encoder = make(SMALL[name])
    observations, _ = sequences(4, 2)
    observation = observations["observation"].requires_grad_()
    first = torch.zeros(4, 2, dtype=torch.bool)
    first[2, 1] = True
    encoding, _ = encoder(observations, encoder.initial_memory(2), first)
    encoding.features[3].square().sum().backward()
    reached = observation.grad.abs().amax(-1) > 0
    assert reached.T.tolist() == [[True, True, True, True], [False, False, True, True]]


def test_initial_memory(name):
    """It is zero, float32 or bool, one row for each environment, and the same for any number of them."""
    encoder = make(SMALL[name])
    memory = encoder.initial_memory(5)
    for key, x in memory.items():
        assert x.dtype in (torch.float32, torch.bool)
        assert x.shape[0] == 5
        assert not x.any()
        assert torch.equal(x[:2], encoder.initial_memory(2)[key])


@torch.no_grad()
def test_memory_does_not_grow(name):
    """Dtypes and shapes stay as they are at the start, however long an episode is."""
    encoder = make(SMALL[name])
    memory = encoder.initial_memory(2)
    observations, _ = sequences(50, 2)
    _, after = encoder(observations, memory, torch.zeros(50, 2, dtype=torch.bool))
    for key, x in memory.items():
        assert (after[key].shape, after[key].dtype) == (x.shape, x.dtype)


@torch.no_grad()
def test_memory_keeps_its_precision(name):
    """Under bfloat16 the memory is float32 all the same, and features are close to those of float32."""
    encoder = make(SMALL[name])
    observations, first = sequences(6, 3)
    exact, _ = encoder(observations, encoder.initial_memory(3), first)
    with torch.autocast("cpu", torch.bfloat16):
        rough, after = encoder(observations, encoder.initial_memory(3), first)
    assert all(x.dtype in (torch.float32, torch.bool) for x in after.values())
    torch.testing.assert_close(rough.features.to(torch.float32), exact.features, rtol=0.1, atol=0.1)


@torch.no_grad()
def test_images(name):
    """Any encoder without memory can be the core, with options of its own."""
    core = {"use": "impala_cnn", "channels": [2], "features": 5}
    encoder = make({**SMALL[name], "core": core}, Box(0, 255, (8, 8, 1), np.uint8))
    observations = {"observation": torch.randint(256, (2, 3, 8, 8, 1), dtype=torch.uint8)}
    encoding, _ = encoder(observations, encoder.initial_memory(3), torch.zeros(2, 3, dtype=torch.bool))
    assert encoding.features.shape == (2, 3, encoder.feature_dim)


def test_what_else_the_core_gives_is_kept(name):
    """Tokens, their mask and auxiliary losses of the core pass through."""

    class Core(nn.Module):
        feature_dim = 3

        def initial_memory(self, count):
            return {}

        def forward(self, observation, memory, first):
            x = observation["observation"]
            return Encoding(x, x.unsqueeze(2), token_mask=x[..., :1] > 0, losses={"extra": x.sum()}), memory

    context = make_context(make_part=lambda part, context: Core() if part == "mlp" else make_part(part, context))
    encoder = make_part(SMALL[name], context)
    observations, first = sequences(2, 3)
    encoding, _ = encoder(observations, encoder.initial_memory(3), first)
    assert torch.equal(encoding.tokens, observations["observation"].unsqueeze(2))
    assert torch.equal(encoding.token_mask, observations["observation"][..., :1] > 0)
    assert encoding.losses == {"extra": observations["observation"].sum()}


@pytest.mark.parametrize("core", ["gru", {"use": "transformer_memory", "window": 3}])
def test_a_core_with_memory_is_refused(name, core):
    """Memory upon memory is told what to use instead."""
    with pytest.raises(FrameworkError, match="has a memory itself; use one without"):
        make({**SMALL[name], "core": core})


def test_same_seed_same_weights(name):
    """All randomness is torch's generator at the time it is built."""
    assert same(make(SMALL[name], seed=3).state_dict(), make(SMALL[name], seed=3).state_dict())


@torch.random.fork_rng()
def test_learns_to_recall_the_first_observation(name):
    """After ten more steps of noise, the sign of what came first is known: of unseen episodes, in 95 of 100."""
    torch.manual_seed(0)
    sizes = {"window": 12, "width": 16, "heads": 2} if name == "transformer_memory" else {"features": 16}
    encoder = make({**SMALL[name], **sizes, "core": {"use": "mlp", "hidden": [16]}})
    head = nn.Linear(encoder.feature_dim, 1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 5e-3)

    def play(count):
        observation = torch.rand(11, count, 3) * 2 - 1
        first = torch.zeros(11, count, dtype=torch.bool)
        encoding, _ = encoder({"observation": observation}, encoder.initial_memory(count), first)
        return head(encoding.features[-1]).squeeze(-1), observation[0, :, 0] > 0

    for iteration in range(1, 601):
        logits, truth = play(32)
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(logits, truth.to(torch.float32)).backward()
        optimizer.step()
        if iteration % 50 == 0:
            with torch.no_grad():
                logits, truth = play(400)
            accuracy = ((logits > 0) == truth).to(torch.float32).mean().item()
            if accuracy >= 0.95:
                return
    pytest.fail(f"only {accuracy:.0%} after {iteration} iterations")
