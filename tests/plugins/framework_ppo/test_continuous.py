"""Continuous actions: squashed, with state-dependent deviations, and with generalized state-dependent exploration."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from remembering import Remembering
from small_ppo import BACKWARD, collect, make_context, observations, ppo, same, use
from torch import Tensor

from framework.errors import FrameworkError
from framework.schema import OptionError
from framework_ppo import closed_form
from framework_ppo.closed_form import ClosedForm
from framework_ppo.config import PPOConfig
from framework_ppo.exploration import AGE, NOISE
from framework_ppo.imitation import imitation_loss
from framework_ppo.objective import ppo_loss
from framework_replay.config import UniformConfig
from framework_replay.uniform import Uniform

SPACE = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 0.5], np.float32))
OPTIONS: dict[str, dict[str, Any]] = {
    "squashed": {"action_distribution": "squashed"},
    "state_dependent_std": {"state_dependent_std": True},
    "gsde": {"gsde": True, "gsde_interval": 4},
    "all": {"action_distribution": "squashed", "gsde": True, "gsde_interval": 4, "actor_hidden": (8,)},
    "squashed_std": {"action_distribution": "squashed", "state_dependent_std": True, "log_std_init": 1.0},
}
every = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def box(**fields: Any) -> Any:
    return make_context(action=SPACE, **fields)


def flat_rows(batch: Any) -> dict[str, Tensor]:
    return {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}


@every
@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
def test_the_learner_finds_the_log_probability_that_was_recorded(options: dict[str, Any], share_encoder: bool) -> None:
    """Before it has moved the ratio is 1 to the rounding of a matrix product, however close to a bound an action is."""
    context = box(steps=64)
    algorithm = ppo(context, share_encoder=share_encoder, **{"log_std_init": 1.5, **options})
    batch = collect(algorithm, context)
    policy = algorithm.policy
    with torch.no_grad():
        evaluation = policy.evaluate(flat_rows(batch), None)
    actions = policy.taken(batch.actions, batch.extras).flatten(0, 1)
    log_prob = policy.distribution.log_prob(evaluation.parameters, actions)
    torch.testing.assert_close(log_prob, batch.extras["log_probability"].flatten(), rtol=1e-5, atol=1e-5)
    if "action_distribution" in options:
        edges = (batch.actions - torch.from_numpy(SPACE.high)).abs() < 1e-6
        assert edges.any() or "log_std_init" not in options
        assert all(SPACE.contains(action) for action in batch.actions.flatten(0, 1).numpy())


@every
def test_an_update_learns_from_it(options: dict[str, Any]) -> None:
    """Rewarded for large actions it takes larger ones; metrics are numbers, and the first ratios are 1."""
    context = box(steps=32, num_envs=8)
    algorithm = ppo(context, learning_rate=1e-2, learning_rate_schedule="constant", **options)
    first = algorithm.update(collect(algorithm, context, rewards=lambda actions: actions.sum(-1)))
    assert all(np.isfinite(value) for value in first.values())
    means = []
    for seed in range(8):
        batch = collect(algorithm, context, seed=seed, rewards=lambda actions: actions.sum(-1))
        means.append(batch.actions[..., 0].clamp(-2, 2).mean().item())
        algorithm.update(batch)
    assert means[-1] > means[0] + 0.2


@every
def test_a_state_restored_goes_on_the_same(options: dict[str, Any]) -> None:
    """All that the next update depends on is saved, bit for bit."""
    context = box()
    algorithm, restored = ppo(context, **options), ppo(context, **options)
    algorithm.update(collect(algorithm, context))
    restored.load_state_dict(algorithm.state_dict())
    metrics = [one.update(collect(one, context, seed=3)) for one in (algorithm, restored)]
    assert metrics[0] == metrics[1]
    assert same(algorithm.state_dict(), restored.state_dict())


@every
def test_it_goes_with_the_rest(options: dict[str, Any]) -> None:
    """With encoders that remember, lower precision, self-imitation, slices, and data of an older policy."""
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "memory": ({"encoder": lambda context: Remembering(None, context)}, {}),
        "precision": ({"precision": "bfloat16"}, {}),
        "slices": ({}, {"slices": 2}),
        "free": ({"policy_lag": "free"}, {}),
        "replay": ({"make_replay": lambda: Uniform(UniformConfig(capacity=200), box())}, {"sil_coefficient": 0.5}),
    }
    for fields, more in kinds.values():
        context = box(**fields)
        algorithm = ppo(context, **options, **more)
        batch = collect(algorithm, context, lag=2 if fields.get("policy_lag") else 0)
        assert all(np.isfinite(value) for value in algorithm.update(batch).values())
        assert all(np.isfinite(value) for value in algorithm.update(batch).values())


def test_past_squashed_actions_are_imitated_as_they_were_drawn() -> None:
    """The replay buffer has what was drawn before tanh: of an action at its bound it cannot be found again."""
    replay = Uniform(UniformConfig(capacity=200), box())
    context = box(make_replay=lambda: replay)
    algorithm = ppo(context, action_distribution="squashed", log_std_init=3.0)
    batch = collect(algorithm, context)
    algorithm.update(batch)
    transitions, _, _ = replay.sample(50, np.random.default_rng(0))
    drawn = algorithm.policy.taken(transitions.actions, transitions.extras)
    assert torch.isin(drawn, batch.extras["pre_squash"]).all()
    assert drawn.abs().max() > 15


def test_the_closed_form_covers_what_it_has_rules_for() -> None:
    """All but the head of gSDE, whose network goes through autograd."""
    options = {"action_distribution": "squashed", "actor_hidden": (8, 4), "critic_hidden": (8,)}
    deep = ppo(box(), state_dependent_std=True, **options).policy
    assert deep.closed_form
    assert closed_form.covers(deep, ppo_loss, imitation_loss)
    assert not ppo(box(), gsde=True).policy.closed_form
    assert isinstance(ppo(box(), gsde=True)._backward, ClosedForm)


def test_squashed_actions_learn_in_closed_form_as_by_autograd() -> None:
    """After an update, entropy bonus included, the weights are equal but for rounding."""
    weights = []
    for backward in BACKWARD:
        algorithm = ppo(box(), action_distribution="squashed", entropy_coefficient=0.3)
        use(backward, algorithm)
        algorithm.update(collect(algorithm, box()))
        weights.append(algorithm.policy.state_dict())
    for name, expected in weights[-1].items():
        torch.testing.assert_close(weights[0][name], expected, rtol=1e-3, atol=3e-5)


def test_the_first_deviations_are_those_that_were_asked_for() -> None:
    """In every state nearly so, as the head's first weights are small; then each state may have its own."""
    context = box()
    policy = ppo(context, state_dependent_std=True, log_std_init=-1.5, actor_hidden=(8,)).policy
    rows = observations(context.observation_space, 50)
    with torch.no_grad():
        log_std = policy.evaluate(rows, None).parameters[:, 2:]
        torch.testing.assert_close(log_std, torch.full_like(log_std, -1.5), atol=0.05, rtol=0)
        policy.action_head.output.layers[0].weight.mul_(100)
        assert policy.evaluate(rows, None).parameters[:, 2:].std(0).min() > 0.1
    assert policy.log_std is None


# gSDE.


def act(policy: Any, rows: dict[str, Tensor], memory: dict[str, Tensor], generator: torch.Generator) -> Any:
    count = len(next(iter(rows.values())))
    with torch.inference_mode():
        return policy.act(rows, memory, torch.zeros(count, dtype=torch.bool), generator)


def test_the_noise_is_gaussian_with_the_variance_that_features_induce() -> None:
    """Over 20,000 matrices the actions in a state have the mean and the standard deviation that the head gives."""
    count = 20_000
    context = box(num_envs=count)
    policy = ppo(context, gsde=True, log_std_init=-1.0).policy
    one = observations(context.observation_space, 1)
    rows = {name: x.expand(count, *x.shape[1:]) for name, x in one.items()}
    actions, extras, _ = act(policy, rows, policy.initial_memory(count), torch.Generator().manual_seed(0))
    mean, log_std = extras["parameters"][0].chunk(2)
    features = policy.encoder(policy.normalized_rows(one), {}, None)[0].features[0, 0].detach()
    by_hand = (features.square().unsqueeze(1) * policy.action_head.log_std.exp().square()).sum(0).sqrt()
    torch.testing.assert_close(log_std.exp(), by_hand.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(actions.std(0), log_std.exp(), rtol=0.02, atol=0)
    torch.testing.assert_close(actions.mean(0), mean, rtol=0, atol=0.05)


def test_the_noise_is_the_same_function_until_its_interval_is_over() -> None:
    """In one state the action repeats itself for so many steps; then it is another, and environments differ."""
    context = box(num_envs=3)
    policy = ppo(context, gsde=True, gsde_interval=3).policy
    rows = {name: x.expand(3, *x.shape[1:]) for name, x in observations(context.observation_space, 1).items()}
    memory, generator, actions = policy.initial_memory(3), torch.Generator().manual_seed(0), []
    for _ in range(7):
        action, _, memory = act(policy, rows, memory, generator)
        actions.append(action)
    assert all(torch.equal(actions[0], actions[t]) for t in (1, 2))
    assert all(torch.equal(actions[3], actions[t]) for t in (4, 5))
    assert not torch.equal(actions[0], actions[3])
    assert not torch.equal(actions[3], actions[6])
    assert not torch.equal(actions[0][0], actions[0][1])


def test_the_interval_is_the_rollout_by_default() -> None:
    """So each trajectory has matrices of its own."""
    context = box(steps=5)
    algorithm = ppo(context, gsde=True)
    memory = algorithm.policy.initial_memory(4)
    generator, matrices = torch.Generator(), []
    rows = observations(context.observation_space, 4)
    for _ in range(10):
        _, _, memory = act(algorithm.policy, rows, memory, generator)
        matrices.append(memory[NOISE])
    changes = [t for t in range(1, 10) if not torch.equal(matrices[t], matrices[t - 1])]
    assert changes == [5]
    assert memory[AGE].tolist() == [5] * 4


def test_only_the_environments_that_are_due_get_another_matrix() -> None:
    """Ages may differ, as where an environment was restored elsewhere."""
    policy = ppo(box(), gsde=True, gsde_interval=4).policy
    before = {NOISE: torch.ones(2, 16, 2), AGE: torch.tensor([4, 2])}
    rows = observations(box().observation_space, 2)
    _, _, memory = act(policy, rows, before, torch.Generator())
    assert memory[AGE].tolist() == [1, 3]
    assert torch.equal(memory[NOISE][1], before[NOISE][1])
    assert not torch.equal(memory[NOISE][0], before[NOISE][0])
    assert torch.equal(before[NOISE], torch.ones(2, 16, 2))


def test_deterministic_actions_leave_the_noise_alone() -> None:
    """They are the means, and the memory stays as it is."""
    context = box()
    policy = ppo(context, gsde=True).policy
    rows, memory = observations(context.observation_space, 4), policy.initial_memory(4)
    first = torch.ones(4, dtype=torch.bool)
    with torch.inference_mode():
        actions, extras, after = policy.act(rows, memory, first, torch.Generator(), deterministic=True)
    assert torch.equal(actions, extras["parameters"][:, :2])
    assert same(memory, after)


# What is refused.


@pytest.mark.parametrize("name", ["squashed", "state_dependent_std", "gsde"])
def test_options_of_continuous_actions_are_refused_for_others(name: str) -> None:
    """With the option and the space."""
    with pytest.raises(FrameworkError, match=rf"{name}.* is for continuous actions, a Box, and not for Discrete\(3\)"):
        ppo(make_context(action=Discrete(3)), **OPTIONS[name])


def test_squashed_actions_need_finite_bounds() -> None:
    """As there is nothing to squash into."""
    with pytest.raises(FrameworkError, match="finite bounds"):
        ppo(make_context(action=Box(-np.inf, np.inf, (2,), np.float32)), action_distribution="squashed")


def test_one_kind_of_state_dependence_is_enough() -> None:
    """gSDE's deviations depend on the state already."""
    with pytest.raises(OptionError, match="must be false with gsde"):
        PPOConfig(gsde=True, state_dependent_std=True)
