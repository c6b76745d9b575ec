"""The policy of PPO: acting, completing, and learning see the same thing."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_ppo import VECTOR, collect, make_context, observations, ppo

from framework.errors import FrameworkError
from framework.toolkit.vjp import vjp
from framework_ppo import policy as module

ACTIONS = {
    "discrete": Discrete(3),
    "discrete_from_minus_two": Discrete(4, start=-2),
    "multi_discrete": MultiDiscrete([2, 3], start=[1, 0]),
    "grid_of_choices": MultiDiscrete([[2, 3], [2, 2]]),
    "multi_binary": MultiBinary(3),
    "grid_of_bits": MultiBinary((2, 2)),
    "box": Box(-9, 9, (2,), np.float32),
    "grid_of_numbers": Box(-9, 9, (2, 2), np.float32),
}
every_action = pytest.mark.parametrize("space", ACTIONS.values(), ids=ACTIONS)
shared = pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])


def flat_rows(batch):
    return {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}


def legal_actions(steps, count, actions, seed=0):
    mask = torch.rand(steps, count, actions, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[..., 1] |= ~mask.any(-1)
    return mask


def test_first_values_are_as_large_as_their_gain_says():
    """In proportion; the policy does not know of it."""
    rows = observations(make_context().observation_space, 64)
    (unit, small) = (ppo(make_context(), value_gain=gain).policy for gain in (1.0, 0.01))
    torch.testing.assert_close(small.values(rows), 0.01 * unit.values(rows))
    with torch.no_grad():
        torch.testing.assert_close(small.evaluate(rows, None).parameters, unit.evaluate(rows, None).parameters)
    assert unit.values(rows).std() > 0.1


@every_action
@shared
def test_what_was_recorded_is_what_the_learner_finds(space, share_encoder):
    """Actions are the environment's own; their log-probabilities and all values are those of the learner's forward."""
    context = make_context(action=space)
    algorithm = ppo(context, share_encoder=share_encoder)
    batch = collect(algorithm, context)
    for action in batch.actions.flatten(0, 1).numpy():
        assert space.contains(int(action) if isinstance(space, Discrete) else action), action
    policy = algorithm.policy
    with torch.enable_grad():
        parameters, values, _ = policy.evaluate(flat_rows(batch), None)
    log_prob = policy.distribution.log_prob(parameters, policy.from_environment(batch.actions.flatten(0, 1)))
    tight = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(batch.extras["log_probability"].flatten(), log_prob.detach(), **tight)
    torch.testing.assert_close(batch.extras["value"][:-1].flatten(), values.detach(), **tight)
    last = {name: x[-1] for name, x in batch.observations.items()}
    for extra, observation in (("value", last), ("final_value", batch.final_observations)):
        expected = policy.evaluate(observation, None)[1].detach()
        torch.testing.assert_close(
            batch.extras[extra][-1] if extra == "value" else batch.extras[extra], expected, **tight
        )
    assert {name: x.dtype for name, x in batch.extras.items()} == dict.fromkeys(batch.extras, torch.float32)


@pytest.mark.parametrize(
    ("space", "masked"),
    [
        *((space, False) for space in ACTIONS.values()),
        *((space, True) for space in ACTIONS.values() if isinstance(space, Discrete | MultiDiscrete)),
    ],
    ids=lambda value: {True: "masked", False: "all"}.get(value) if isinstance(value, bool) else type(value).__name__,
)
@shared
def test_closed_form_gradient_is_autograds(space, share_encoder, masked):
    """`vjp` gives what `evaluate` gives, and the gradient that autograd finds for every parameter."""
    context = make_context(action=space)
    policy = ppo(context, share_encoder=share_encoder).policy
    assert policy.closed_form
    rows = observations(context.observation_space, 30)
    mask = legal_actions(1, 30, policy.distribution.size)[0] if masked else None
    if masked:
        mask[0] = False  # no action is legal: nothing to learn from
    parameters, values, _ = policy.evaluate(rows, mask)
    d_parameters, d_values = torch.randn(parameters.shape), torch.randn(30)
    torch.autograd.backward([parameters, values], [d_parameters, d_values])
    expected = {name: p.grad.clone() for name, p in policy.named_parameters()}
    with torch.no_grad():
        found_parameters, found_values, pullback = vjp(policy, rows, mask)
        pullback(d_parameters, d_values)
    tight = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(found_parameters, parameters.detach(), **tight)
    torch.testing.assert_close(found_values, values.detach(), **tight)
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], **tight)


@pytest.mark.parametrize("space", [Discrete(4, start=3), MultiDiscrete([2, 3])], ids=str)
def test_masks_hold_when_acting_and_when_learning(space):
    """No illegal action is taken, greedily or not, and the learner gives the recorded probability to each taken one."""
    size = 4 if isinstance(space, Discrete) else 5
    context = make_context(action=space, steps=40)
    mask = legal_actions(41, 4, size)
    if isinstance(space, MultiDiscrete):
        mask[..., 0] = True
        mask[..., 2] |= ~mask[..., 2:].any(-1)
    algorithm = ppo(context)
    batch = collect(algorithm, context, action_mask=mask)
    policy = algorithm.policy
    indices = policy.from_environment(batch.actions)
    offsets = torch.tensor([0] if isinstance(space, Discrete) else [0, 2])
    columns = indices.view(40, 4, -1) + offsets
    assert mask[:-1].gather(-1, columns).all()
    parameters, *_ = policy.evaluate(flat_rows(batch), mask[:-1].flatten(0, 1))
    log_prob = policy.distribution.log_prob(parameters, indices.flatten(0, 1)).detach()
    torch.testing.assert_close(batch.extras["log_probability"].flatten(), log_prob, rtol=1e-5, atol=1e-5)
    greedy, _, _ = policy.act(
        {name: x[0] for name, x in batch.observations.items()},
        {},
        batch.first[0],
        torch.Generator(),
        action_mask=mask[0],
        deterministic=True,
    )
    assert mask[0].gather(-1, policy.from_environment(greedy).view(4, -1) + offsets).all()


def test_acting_depends_on_weights_and_generator_alone():
    """Equal weights and generators give equal actions; another generator others; torch's own is never used."""
    context = make_context(action=Discrete(9))
    before = torch.get_rng_state()
    first, second = (collect(ppo(context), context, seed=4) for _ in range(2))
    assert torch.equal(first.actions, second.actions)
    assert not torch.equal(first.actions, collect(ppo(context), context, seed=5).actions)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_depend_on_the_seed_alone():
    """Whatever state torch's generator is in, equal seeds give equal networks; encoders of a pair differ."""
    with torch.random.fork_rng():
        torch.manual_seed(123)
        policy = ppo(make_context(seed=1)).policy
        torch.manual_seed(456)
        equal, different = ppo(make_context(seed=1)).policy, ppo(make_context(seed=2)).policy
    for name, value in policy.state_dict().items():
        assert torch.equal(value, equal.state_dict()[name]), name
    weight = policy.encoder.layers.layers[0].weight
    assert not torch.equal(weight, different.encoder.layers.layers[0].weight)
    assert not torch.equal(weight, policy.value_encoder.layers.layers[0].weight)


def test_deterministic_actions_are_the_mode():
    """No generator is used, and the actions are the most probable ones."""
    context = make_context(action=Discrete(5, start=7))
    policy = ppo(context).policy
    generator, rows = torch.Generator().manual_seed(0), observations(context.observation_space, 6)
    state = generator.get_state()
    actions, extras, _ = policy.act(rows, {}, torch.ones(6, dtype=torch.bool), generator, deterministic=True)
    assert torch.equal(actions, extras["parameters"].argmax(-1) + 7)
    assert torch.equal(generator.get_state(), state)


def test_acting_computes_no_value_with_encoders_apart():
    """With an encoder of its own, the value network has no part in choosing actions."""
    context = make_context()
    policy = ppo(context).policy
    called = []
    policy.value_encoder.register_forward_hook(lambda *_: called.append(1))
    _, extras, _ = policy.act(
        observations(context.observation_space, 4), {}, torch.ones(4, dtype=torch.bool), torch.Generator()
    )
    assert list(extras) == ["parameters"]
    assert called == []


def test_values_in_parts_are_the_values(monkeypatch):
    """Observations that are evaluated in parts get the values that they get all at once, down to none of them."""
    context = make_context()
    policy, rows = ppo(context).policy, observations(context.observation_space, 200)
    with torch.no_grad():
        whole = policy.values(rows)
        monkeypatch.setattr(module, "_PART_BYTES", 0)
        torch.testing.assert_close(policy.values(rows), whole)
        assert len(list(module.in_parts(rows))) == 4
        assert policy.values({name: x[:0] for name, x in rows.items()}).shape == (0,)


def test_a_copy_is_independent():
    """Changing a deep copy's weights changes what the copy does, and nothing else."""
    context = make_context()
    policy, rows = ppo(context).policy, observations(context.observation_space, 4)
    copied = copy.deepcopy(policy)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1.0)

    def act(p):
        return p.act(rows, {}, torch.ones(4, dtype=torch.bool), torch.Generator())[1]["parameters"]

    before = act(policy)
    assert not torch.allclose(act(copied), before)
    assert torch.equal(act(policy), before)


@pytest.mark.parametrize("options", [{}, {"share_encoder": True}])
def test_bfloat16_is_close_and_kept_inside(options):
    """In bfloat16 the same weights give nearly the same results, and everything recorded is float32."""
    full, half = make_context(), make_context(precision="bfloat16")
    exact, rounded = ppo(full, **options), ppo(half, **options)
    assert not rounded.policy.closed_form
    rows = observations(full.observation_space, 50)
    for actual, expected in zip(
        rounded.policy.evaluate(rows, None)[:2], exact.policy.evaluate(rows, None)[:2], strict=True
    ):
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual.detach(), expected.detach(), rtol=0.05, atol=0.03)
        assert not torch.equal(actual, expected)
    batch = collect(rounded, half)
    assert {x.dtype for x in batch.extras.values()} == {torch.float32}
    rounded.update(batch)
    assert {parameter.dtype for parameter in rounded.policy.parameters()} == {torch.float32}


def test_float16_needs_a_gpu():
    """On a CPU, float16 is refused with a message that tells what to use."""
    with pytest.raises(FrameworkError, match="bfloat16"):
        ppo(make_context(precision="float16"))


def test_normalization_travels_with_the_weights():
    """Statistics are part of the state; acting never changes them; images and choices are not normalized."""
    spaces = {
        "far": Box(90, 110, (2,), np.float64),
        "eye": Box(0, 255, (3, 3, 3), np.uint8),
        "gear": Discrete(3),
        "bytes": Box(0, 255, (2,), np.uint8),
    }
    context = make_context(spaces)
    algorithm = ppo(context, normalize_observations=True)
    untouched = {name: x.clone() for name, x in algorithm.policy.state_dict().items()}
    batch = collect(algorithm, context)
    assert all(torch.equal(x, untouched[name]) for name, x in algorithm.policy.state_dict().items())
    algorithm.update(batch)
    receiver = ppo(make_context(spaces, seed=9), normalize_observations=True).policy
    receiver.load_state_dict(algorithm.policy.state_dict())
    rows = {name: x[0] for name, x in batch.observations.items()}
    normalized = receiver.normalized_rows(rows)
    for name in ("far", "bytes"):
        observed = batch.observations[name][:-1].double().flatten(0, 1)
        expected = (rows[name] - observed.mean(0)) / observed.std(0, correction=0)
        torch.testing.assert_close(normalized[name][0], expected.float(), rtol=1e-4, atol=1e-4)
    for name in ("eye", "gear"):
        assert torch.equal(normalized[name][0], rows[name])


def test_what_is_no_observation_is_not_invented():
    """The policy works on exactly the leaves of its context."""
    context = make_context({"a": VECTOR, "b": VECTOR})
    policy = ppo(context).policy
    with pytest.raises(KeyError):
        policy.evaluate({"a": torch.zeros(2, 3)}, None)
