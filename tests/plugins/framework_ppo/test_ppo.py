"""PPO's update, against a slow one and by what it learns."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_ppo import BACKWARD, collect, make_context, ppo, same, scale_loss, tensors, use

from framework.toolkit.returns import gae

#: One minibatch holds everything, so that the order of the rows does not matter.
WHOLE = {"minibatch_size": 10_000, "learning_rate_schedule": "constant"}


def terms(batch, parameters, values, distribution, actions, options):
    """The loss of a whole batch, term by term from its definition."""
    valid = batch.valid.flatten()
    episode = (batch.rewards, batch.extras["value"], batch.terminated, batch.truncated, batch.final_index)
    advantages = gae(*episode, batch.extras["final_value"], gamma=options["gamma"], lam=options["gae_lambda"])
    returns = (advantages + batch.extras["value"][:-1]).flatten()[valid]
    advantages = advantages.flatten()[valid]
    advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
    ratio = (distribution.log_prob(parameters, actions) - batch.extras["log_probability"].flatten())[valid].exp()
    policy = -torch.min(
        ratio * advantages, ratio.clamp(1 - options["clip_range"], 1 + options["clip_range"]) * advantages
    )
    value = 0.5 * (values[valid] - returns).square()
    return policy.mean(), value.mean(), distribution.entropy(parameters)[valid].mean()


def slow_update(algorithm, batch, options):
    """Epochs of one minibatch on a copy of the policy, by autograd and torch's own optimizer; returns the copy."""
    policy = copy.deepcopy(algorithm.policy)
    optimizer = torch.optim.AdamW(policy.parameters(), options["learning_rate"], eps=1e-5, weight_decay=0.0)
    rows = {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}
    mask = None if batch.action_mask is None else batch.action_mask[:-1].flatten(0, 1)
    actions = policy.from_environment(batch.actions.flatten(0, 1))
    for _ in range(options["epochs"]):
        parameters, values, _ = policy.evaluate(rows, mask)
        policy_loss, value_loss, entropy = terms(batch, parameters, values, policy.distribution, actions, options)
        optimizer.zero_grad()
        (policy_loss + 0.5 * value_loss - options["entropy_coefficient"] * entropy).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        optimizer.step()
    return policy


def assert_weights_close(actual, expected, **tolerance):
    for name, value in actual.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], **(tolerance or {"rtol": 1e-3, "atol": 3e-5}))


@pytest.mark.parametrize(
    "space",
    [Discrete(3, start=1), MultiDiscrete([2, 3]), MultiBinary(2), Box(-1, 1, (2,), np.float32)],
    ids=["discrete", "multi_discrete", "multi_binary", "box"],
)
@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("backward", BACKWARD)
def test_an_update_is_what_the_definition_says(space, share_encoder, backward):
    """Three epochs end at the weights of a plain implementation, for every action space, by closed form or autograd."""
    options = {
        "epochs": 3,
        "learning_rate": 3e-3,
        "clip_range": 0.01,
        "gamma": 0.9,
        "gae_lambda": 0.8,
        "entropy_coefficient": 0.1,
    }
    context = make_context(action=space)
    algorithm = ppo(context, share_encoder=share_encoder, **options, **WHOLE)
    use(backward, algorithm)
    batch = collect(algorithm, context)
    expected = slow_update(algorithm, batch, options)
    metrics = algorithm.update(batch)
    assert metrics["minibatches"] == 3
    assert metrics["clip_fraction"] > 0
    assert_weights_close(algorithm.policy, expected)


def test_an_update_with_masks_is_what_the_definition_says():
    """With illegal actions too, and in the closed form of several masked minibatches nothing becomes NaN."""
    options = {"epochs": 3, "learning_rate": 3e-3, "clip_range": 0.05, "gamma": 0.9, "gae_lambda": 0.8}
    context = make_context(action=Discrete(5))
    mask = torch.rand(17, 4, 5, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 2] = True
    algorithm = ppo(context, **options, **WHOLE)
    batch = collect(algorithm, context, action_mask=mask)
    expected = slow_update(algorithm, batch, {**options, "entropy_coefficient": 0.01})
    algorithm.update(batch)
    assert_weights_close(algorithm.policy, expected)


def test_first_metrics_are_those_of_an_unmoved_policy():
    """In the first epoch the ratio is 1: no KL divergence, nothing clipped, and the losses of the definition."""
    context = make_context()
    algorithm = ppo(context, epochs=1, **WHOLE)
    batch = collect(algorithm, context)
    policy = algorithm.policy
    parameters, values, _ = policy.evaluate(
        {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}, None
    )
    options = {"gamma": 0.99, "gae_lambda": 0.95, "clip_range": 0.2}
    expected = terms(batch, parameters, values, policy.distribution, batch.actions.flatten(), options)
    metrics = algorithm.update(batch)
    assert metrics["approximate_kl"] == pytest.approx(0, abs=1e-6)
    assert metrics["clip_fraction"] == 0
    losses = [metrics["policy_loss"], metrics["value_loss"], metrics["entropy"]]
    assert losses == pytest.approx([value.item() for value in expected], abs=1e-5)
    assert metrics["gradient_norm"] > 0
    assert all(np.isfinite(value) and isinstance(value, float) for value in metrics.values())


def test_the_order_of_environments_does_not_matter():
    """A batch whose columns are permuted makes the same step."""
    context = make_context(num_envs=6)
    results = []
    for order in (torch.arange(6), torch.tensor([3, 1, 5, 0, 2, 4])):
        algorithm = ppo(context, epochs=2, **WHOLE)
        batch = collect(algorithm, context)
        for name in ("observations", "extras"):
            moved = getattr(batch, name).items()
            setattr(batch, name, {key: x if key == "final_value" else x[:, order] for key, x in moved})
        for name in ("actions", "rewards", "terminated", "truncated", "first", "valid"):
            setattr(batch, name, getattr(batch, name)[:, order])
        step, column = batch.final_index // 6, batch.final_index % 6
        batch.final_index = step * 6 + torch.argsort(order)[column]
        algorithm.update(batch)
        results.append(algorithm.policy)
    assert_weights_close(*results)


@pytest.mark.parametrize("space", [Discrete(3, start=-1), MultiBinary(2), MultiDiscrete([2, 3])], ids=str)
def test_rewarded_actions_become_more_probable(space):
    """In a bandit that pays for one value of the first action, that value's share rises above 90 %."""
    context = make_context(action=space, steps=32)
    algorithm = ppo(context, learning_rate=1e-2, epochs=4, minibatch_size=32, learning_rate_schedule="constant")
    good = 0

    def rewards(actions):
        return (actions.view(32, 4, -1)[..., 0] == good).float()

    shares = []
    for seed in range(12):
        batch = collect(algorithm, context, seed=seed, ends=1.0, rewards=rewards)
        algorithm.update(batch)
        shares.append(batch.rewards.mean().item())
    assert shares[-1] > 0.9 > shares[0]


def test_real_actions_move_to_where_the_reward_is():
    """With reward -(a - 0.7)^2 the mean action approaches 0.7 and its deviation shrinks."""
    context = make_context(action=Box(-2, 2, (1,), np.float32), steps=64)
    algorithm = ppo(context, learning_rate=1e-2, entropy_coefficient=0.0, learning_rate_schedule="constant")
    for seed in range(40):
        batch = collect(
            algorithm, context, seed=seed, ends=1.0, rewards=lambda actions: -(actions[..., 0] - 0.7).square()
        )
        algorithm.update(batch)
    assert batch.actions.mean().item() == pytest.approx(0.7, abs=0.15)
    assert algorithm.policy.log_std.item() < -0.5


@pytest.mark.parametrize(("end", "value"), [("terminated", 1.0), ("truncated", 10.0)])
def test_truncated_episodes_go_on_in_the_value(end, value):
    """Reward 1 at every step of one-step episodes: V is 1 where they terminate, 1 / (1 - gamma) where they are cut."""
    context = make_context(observation=Box(1, 1, (1,), np.float32), steps=16)
    algorithm = ppo(context, gamma=0.9, learning_rate=2e-2, epochs=10, max_gradient_norm=0.0)
    everywhere = torch.ones(16, 4, dtype=torch.bool)
    flags = {"terminated": ~everywhere, "truncated": ~everywhere} | {end: everywhere}
    for seed in range(40):
        batch = collect(algorithm, context, seed=seed, ends=1.0, rewards=lambda actions: torch.ones(16, 4), **flags)
        batch.progress = seed / 40
        algorithm.update(batch)
    assert batch.extras["value"].mean().item() == pytest.approx(value, rel=0.05)


def test_invalid_steps_are_left_out():
    """Whatever stands in a step in which no action was taken changes nothing, bit for bit."""
    context = make_context(steps=10)
    results = []
    for garbage in (0.0, 1e6):
        algorithm = ppo(context, normalize_observations=True, normalize_rewards=True, minibatch_size=16)
        batch = collect(algorithm, context, ends=0.0)
        # Environment 1 finishes in step 3 and spends step 4 on its reset.
        batch.truncated[3, 1], batch.valid[4, 1] = True, False
        batch.final_index, batch.final_observations = torch.tensor([13]), {"observation": torch.ones(1, 3)}
        batch.extras["final_value"] = torch.tensor([0.3])
        batch.rewards[4, 1] = 0.0
        batch.observations["observation"][4, 1] += garbage
        batch.actions[4, 1] = int(garbage > 0)
        for name in ("log_probability", "value"):
            batch.extras[name][4, 1] += garbage
        metrics = algorithm.update(batch)
        results.append({**tensors(algorithm.state_dict()), **tensors(metrics)})
    assert metrics["minibatches"] == 4 * 3
    assert same(*results)


def test_a_restored_algorithm_goes_on_bit_for_bit():
    """A state taken in mid-run makes another algorithm's next updates equal, and is not changed by them."""
    context, second_context = make_context(seed=1), make_context(seed=2)
    options = {
        "normalize_observations": True,
        "normalize_rewards": True,
        "minibatch_size": 24,
        "weight_decay": 0.1,
        "value_clip_range": 0.2,
    }
    first, second = ppo(context, **options), ppo(second_context, **options)
    for seed in range(3):
        first.update(collect(first, context, seed=seed))
    state = first.state_dict()
    frozen = copy.deepcopy(state)
    second.load_state_dict(state)
    for seed in range(3, 5):
        batch = collect(first, context, seed=seed)
        assert same(collect(second, second_context, seed=seed).extras, batch.extras)
        assert first.update(batch) == second.update(batch)
    assert same(first.state_dict(), second.state_dict())
    assert same(state, frozen)
    assert not same(state, first.state_dict())


def test_an_update_touches_neither_batch_nor_global_generator():
    """The batch stays as it is, and so does torch's own generator."""
    context = make_context(action=Discrete(3, start=4))
    algorithm = ppo(context, normalize_observations=True, normalize_rewards=True, reward_clip=0.5)
    batch = collect(algorithm, context)
    names = ("observations", "actions", "rewards", "terminated", "truncated", "valid", "final_observations", "extras")
    before = copy.deepcopy({name: getattr(batch, name) for name in names})
    generator = torch.get_rng_state()
    algorithm.update(batch)
    assert same(before, {name: getattr(batch, name) for name in names})
    assert torch.equal(torch.get_rng_state(), generator)


def test_equal_seeds_learn_equally():
    """Two algorithms of one seed agree bit for bit; one of another seed does not."""
    states = []
    for seed in (0, 0, 1):
        context = make_context(seed=seed)
        algorithm = ppo(context, minibatch_size=16)
        algorithm.update(collect(algorithm, context))
        states.append(algorithm.state_dict())
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


@pytest.mark.parametrize(("size", "minibatches"), [(64, 1), (16, 4), (60, 2), (1000, 1), (63, 2)])
def test_minibatches_cover_each_epoch(size, minibatches):
    """64 steps make as many minibatches as they fill, the last one short."""
    context = make_context()
    algorithm = ppo(context, epochs=2, minibatch_size=size)
    assert algorithm.update(collect(algorithm, context))["minibatches"] == 2 * minibatches


def test_target_kl_ends_an_update():
    """Once the policy has moved too far, no further minibatch is learned from."""
    context = make_context()
    counts = []
    for target in (None, 1e-3):
        algorithm = ppo(context, learning_rate=1e-2, epochs=10, minibatch_size=16, target_kl=target)
        counts.append(algorithm.update(collect(algorithm, context))["minibatches"])
    assert counts[0] == 40
    assert 0 < counts[1] < 40


def test_schedules_follow_the_progress():
    """Linear schedules fall to 0 at the end of the run, where nothing moves; constant ones stay."""
    context = make_context()
    for schedule, expected in (("linear", [0.4, 0.3, 0.0]), ("constant", [0.4, 0.4, 0.4])):
        options = {"learning_rate_schedule": schedule, "clip_range_schedule": schedule}
        algorithm = ppo(context, learning_rate=0.4, clip_range=0.4, **options)
        rates = []
        for progress in (0.0, 0.25, 1.0):
            batch = collect(algorithm, context, progress=progress)
            before = algorithm.policy.state_dict()["value_head.layers.0.weight"].clone()
            metrics = algorithm.update(batch)
            rates.append(metrics["learning_rate"])
            assert metrics["clip_range"] == metrics["learning_rate"]
        assert rates == pytest.approx(expected)
        still = torch.equal(before, algorithm.policy.state_dict()["value_head.layers.0.weight"])
        assert still == (schedule == "linear")


def test_rewards_of_any_size_are_normalized():
    """Rewards a thousand times as large teach the same; clipped rewards teach what their clipped values do."""
    context = make_context()

    def learned(factor, bound=None, **options):
        algorithm = ppo(context, **WHOLE, **options)
        batch = collect(algorithm, context)
        batch.rewards = (batch.rewards * factor).clamp(*(bound or (None, torch.inf)))
        algorithm.update(batch)
        return algorithm.policy

    assert_weights_close(learned(1, normalize_rewards=True), learned(1000, normalize_rewards=True))
    assert_weights_close(learned(1, reward_clip=0.3), learned(1, bound=(-0.3, 0.3)), rtol=0, atol=0)


def test_observation_statistics_are_those_of_all_batches():
    """Each observation counts once, after it was learned from, and only then does the policy change its view."""
    context = make_context(observation=Box(50, 90, (2,), np.float32))
    algorithm = ppo(context, normalize_observations=True)
    observed = []
    for seed in range(3):
        batch = collect(algorithm, context, seed=seed)
        observed.append(batch.observations["observation"][:-1].flatten(0, 1))
        first = algorithm.update(batch)["approximate_kl"]
        assert np.isfinite(first)
        all_rows = torch.cat(observed).double()
        moments = algorithm.state_dict()["moments"]["observation"]
        torch.testing.assert_close(moments["mean"], all_rows.mean(0))
        torch.testing.assert_close(moments["m2"] / moments["count"], all_rows.var(0, correction=0))
        normalizer = algorithm.policy.normalizers[0]
        torch.testing.assert_close(normalizer.mean.double() + normalizer.rest, all_rows.mean(0))
    rows = normalizer(observed[0])
    assert rows.abs().max() < 3


def test_stale_data_is_corrected():
    """With ``policy_lag = "free"``, old data of the same policy teaches as new; actions it gave up teach nothing."""
    free = make_context(policy_lag="free")
    options = {"gae_lambda": 1.0, "epochs": 2, **WHOLE}
    policies = []
    for lag in (0, 2):
        algorithm = ppo(free, **options)
        batch = collect(algorithm, free, lag=lag)
        algorithm.update(batch)
        policies.append(algorithm.policy)
    assert_weights_close(*policies)

    algorithm = ppo(free, **{**options, "entropy_coefficient": 0.0, "normalize_advantages": False})
    batch = collect(algorithm, free, lag=2)
    batch.extras["log_probability"] += 60.0  # as if the old policy had been certain of actions that are now impossible
    before = copy.deepcopy(algorithm.policy)
    metrics = algorithm.update(batch)
    assert metrics["value_loss"] == pytest.approx(0, abs=1e-9)
    assert_weights_close(before, algorithm.policy)

    integer = make_context(policy_lag=2)
    algorithm, plain = ppo(integer, **options), ppo(integer, **options)
    algorithm.update(collect(algorithm, integer, lag=2))
    plain.update(collect(plain, integer, lag=0))
    assert same(algorithm.policy.state_dict(), plain.policy.state_dict())


def test_a_scaled_loss_teaches_the_same():
    """The scale that float16 needs, a power of two, changes nothing."""
    context = make_context(precision="bfloat16")
    policies = []
    for scaled in (False, True):
        algorithm = ppo(context)
        if scaled:
            scale_loss(algorithm, 1024.0)
        algorithm.update(collect(algorithm, context))
        policies.append(algorithm.policy)
    assert_weights_close(*policies, rtol=1e-5, atol=1e-6)
    assert algorithm.state_dict()["loss_scale"]["value"] == 1024.0


def test_overflow_is_no_failure():
    """Minibatches whose scaled gradients overflow are skipped, halve the scale, and leave all metrics finite."""
    context = make_context(precision="bfloat16")
    algorithm = ppo(context, minibatch_size=16, epochs=1)
    scale_loss(algorithm, 2.0**127)
    before = algorithm.policy.state_dict()["value_head.layers.0.weight"].clone()
    metrics = algorithm.update(collect(algorithm, context))
    assert metrics["minibatches"] == 0
    assert all(np.isfinite(value) for value in metrics.values())
    assert algorithm.state_dict()["loss_scale"]["value"] == 2.0**123
    assert torch.equal(before, algorithm.policy.state_dict()["value_head.layers.0.weight"])


def test_a_moved_policy_is_not_trained_in_vain():
    """Converting the policy's parameters after the first update is an error at the next."""
    context = make_context()
    algorithm = ppo(context)
    algorithm.update(collect(algorithm, context))
    algorithm.policy.to(torch.float64).to(torch.float32)
    with pytest.raises(RuntimeError, match="moved or replaced"):
        algorithm.update(collect(algorithm, context))


def test_nan_in_the_data_reaches_the_metrics():
    """A reward that is not a number makes metrics that are not, by which the run is stopped."""
    context = make_context()
    algorithm = ppo(context)
    batch = collect(algorithm, context)
    batch.rewards[3, 0] = torch.nan
    assert not np.isfinite(list(algorithm.update(batch).values())).all()
