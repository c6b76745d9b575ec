"""What all bonuses of the package keep to."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from attrs import evolve
from environments import SPACES
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_ppo import collect, make_context, ppo, same, tensors
from walks import batch_of, ring_walk

from framework.toolkit.spaces import flat_space
from framework_curiosity.config import ICMConfig, RandomFeaturesConfig, RNDConfig
from framework_curiosity.icm import ICM
from framework_curiosity.random_features import RandomFeatures
from framework_curiosity.rnd import RND

KINDS = {"rnd": (RND, RNDConfig), "icm": (ICM, ICMConfig), "random_features": (RandomFeatures, RandomFeaturesConfig)}
ACTIONS = {
    "discrete": Discrete(3, start=1),
    "multi_discrete": MultiDiscrete([2, 3]),
    "multi_binary": MultiBinary(2),
    "box": Box(-1, 1, (2,), np.float32),
}
RING = 6

every_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind, context, **options):
    cls, config = KINDS[kind]
    return cls(config(**options), context)


def ring(**fields):
    """A context for walks on a ring."""
    return make_context(Box(0, 1, (RING,), np.float32), Discrete(3), steps=12, num_envs=4, **fields)


def walk(seed=0, **fields):
    batch = ring_walk(np.random.default_rng(seed), RING, steps=12, environments=4)
    for name, value in fields.items():
        setattr(batch, name, value)
    return batch


@every_kind
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_space(kind, action):
    """A finite reward for each step, and finite metrics, with the actions of a policy in which episodes end."""
    context = make_context(action=ACTIONS[action])
    batch = collect(ppo(context), context)
    bonus = make(kind, context)
    for _ in range(2):
        reward = bonus.reward(batch)
        assert reward.shape == batch.rewards.shape
        assert reward.dtype == torch.float32
        assert reward.isfinite().all()
        assert reward.min() >= 0
        assert reward.max() > 0
        assert not reward.requires_grad
        assert all(np.isfinite(value) for value in bonus.update(batch).values())


@every_kind
@pytest.mark.parametrize("observation", [name for name in SPACES if name != "image"])
def test_every_observation_space(kind, observation):
    """Numbers, choices and nested spaces all give finite rewards, in an encoder made for what is seen."""
    context = make_context(flat_space(SPACES[observation]))
    batch = collect(ppo(context), context)
    reward = make(kind, context).reward(batch)
    assert reward.isfinite().all()
    assert reward.max() > 0


@every_kind
def test_steps_that_are_none_are_left_out(kind):
    """Where no action was taken the reward is 0, and what stands there changes nothing; nor does an empty batch."""
    valid = torch.rand(12, 4, generator=torch.Generator().manual_seed(0)) < 0.7
    done = ~torch.cat((valid[1:], torch.ones(1, 4, dtype=torch.bool)))  # an episode ends before a reset step
    batch = walk(valid=valid, truncated=done & valid, final_index=(done & valid).flatten().nonzero().squeeze(1))
    batch.final_observations = {"observation": torch.rand(len(batch.final_index), RING)}
    garbled = copy.deepcopy(batch)
    garbled.actions[~valid] = 2 - garbled.actions[~valid]
    results = []
    for variant in (batch, garbled):
        bonus = make(kind, ring())
        reward = bonus.reward(variant)
        results.append((reward, bonus.update(variant), bonus.state_dict()))
    assert same(*results)
    assert torch.equal(results[0][0] > 0, valid)
    empty = walk(valid=torch.zeros_like(valid))
    weights = bonus.state_dict()["network"]
    assert torch.equal(bonus.reward(empty), torch.zeros(12, 4))
    assert bonus.update(empty)["loss"] == 0.0
    assert same(weights, bonus.state_dict()["network"])


@every_kind
def test_only_update_trains_and_only_reward_takes_statistics(kind):
    """`reward` changes no weight; `update` changes weights and no statistics; neither changes the batch."""
    bonus, batch = make(kind, ring(), normalize_rewards=True), walk()
    untouched = copy.deepcopy(batch)
    start = bonus.state_dict()
    bonus.reward(batch)
    after_reward = bonus.state_dict()
    for part in ("whitening", "scale"):
        assert not same(start.pop(part), after_reward[part])
    assert same(start, {name: after_reward[name] for name in start})
    bonus.update(batch)
    learned = bonus.state_dict()
    assert same([after_reward["whitening"], after_reward["scale"]], [learned["whitening"], learned["scale"]])
    assert not same(after_reward["network"], learned["network"])
    for name in ("observations", "actions", "rewards", "final_observations"):
        assert same(getattr(batch, name), getattr(untouched, name))


@every_kind
def test_a_bonus_resumes_bit_for_bit(kind):
    """What is loaded in the middle of a run goes on as the original does."""
    bonus, restored = make(kind, ring()), make(kind, ring(seed=9))
    for seed in range(3):
        bonus.reward(walk(seed))
        bonus.update(walk(seed))
    saved = copy.deepcopy(bonus.state_dict())
    restored.load_state_dict(saved)
    results = []
    for instance in (bonus, restored):
        results.append([(instance.reward(walk(seed)), instance.update(walk(seed))) for seed in (5, 6)])
    assert same(*results)
    assert same(bonus.state_dict(), restored.state_dict())
    assert not same(saved, bonus.state_dict())


@every_kind
def test_the_same_seed_is_the_same_bonus(kind):
    """Building and learning follow from the run's seed and leave torch's global generator alone."""
    before = torch.random.get_rng_state()

    def state(seed):
        bonus = make(kind, ring(seed=seed))
        bonus.reward(walk())
        bonus.update(walk())
        return bonus.state_dict()

    assert same(state(1), state(1))
    assert not same(state(1)["network"], state(2)["network"])
    assert torch.equal(before, torch.random.get_rng_state())


@every_kind
def test_what_is_repeated_loses_its_reward(kind):
    """The same walks again and again are soon worth less than half of what they were."""
    bonus = make(kind, ring(), normalize_rewards=False, learning_rate=1e-3)
    first = bonus.reward(walk()).mean()
    for _ in range(200):
        bonus.update(walk())
    assert bonus.reward(walk()).mean() < 0.5 * first


@every_kind
def test_the_policy_gets_no_gradient(kind):
    """All parameters that a bonus trains are its own, even where the same encoder is asked for."""
    shared = []
    context = ring(encoder=lambda context: shared.append(small(context)) or shared[-1])
    policy = context.make_encoder()
    before = copy.deepcopy(policy.state_dict())
    bonus = make(kind, context)
    bonus.reward(walk())
    bonus.update(walk())
    assert len(shared) > 1
    assert same(before, policy.state_dict())
    assert all(parameter.grad is None for parameter in policy.parameters())


def small(context):
    return make_context().make_encoder(context)


def slow_scale(batches, gamma, episodic):
    """Each batch's rewards by the deviation of all running sums so far, one step after another."""
    sums, running, scaled = [], np.zeros(4), []
    for rewards, done in batches:
        for row, ended in zip(rewards.double().numpy(), done.numpy(), strict=True):
            running = running * gamma + row
            sums += running.tolist()
            running = running * ~(ended & episodic)
        scaled.append(rewards / np.std(sums))
    return scaled


@every_kind
@pytest.mark.parametrize("episodic", [False, True])
def test_rewards_are_normalized_by_their_running_sum(kind, episodic):
    """They are divided by its deviation over all batches, and it goes on beyond episodes unless it is episodic."""
    raw, normal = (make(kind, ring(), normalize_rewards=on, gamma=0.9, episodic=episodic) for on in (False, True))
    assert raw.episodic is normal.episodic is episodic
    batches, normalized = [], []
    for seed in range(3):
        done = torch.rand(12, 4, generator=torch.Generator().manual_seed(seed)) < 0.2
        batch = walk(seed, terminated=done, final_index=done.flatten().nonzero().squeeze(1))
        batch.final_observations = {"observation": torch.rand(len(batch.final_index), RING)}
        batches.append((raw.reward(batch), done))
        normalized.append(normal.reward(batch))
    for reward, expected in zip(normalized, slow_scale(batches, 0.9, episodic), strict=True):
        torch.testing.assert_close(reward, expected.float(), rtol=1e-4, atol=1e-6)


@every_kind
def test_the_end_of_an_episode_alone_changes_nothing(kind):
    """A bonus that is not episodic gives the same whether a step terminated, was truncated, or neither."""
    batch = walk()
    ends = torch.zeros(12, 4, dtype=torch.bool)
    ends[5] = True
    index = ends.flatten().nonzero().squeeze(1)
    after = {"observation": batch.observations["observation"][6].clone()}
    rewards = [make(kind, ring(), normalize_rewards=True).reward(batch)]
    for name in ("terminated", "truncated"):
        cut = evolve(batch, **{name: ends}, final_index=index, final_observations=after)
        rewards.append(make(kind, ring(), normalize_rewards=True).reward(cut))
    assert torch.equal(rewards[0], rewards[1])
    assert torch.equal(rewards[0], rewards[2])


@every_kind
def test_a_reward_is_for_what_the_step_led_to(kind):
    """Changing an observation changes the reward of the step before it; the last of an episode is its own."""
    batch = walk()
    ends = torch.zeros(12, 4, dtype=torch.bool)
    ends[7, 2] = True
    batch = evolve(
        batch,
        terminated=ends,
        final_index=torch.tensor([7 * 4 + 2]),
        final_observations={"observation": torch.eye(RING)[:1]},
    )
    far = torch.full((RING,), 3.0)
    bonus = make(kind, ring(), normalize_rewards=False)
    bonus.reward(batch)
    bonus._whitening.take_in = lambda observations: None
    before = bonus.reward(batch)

    def changed(at):
        altered = copy.deepcopy(batch)
        (altered.final_observations["observation"][0] if at is None else altered.observations["observation"][at]).copy_(
            far
        )
        return {tuple(place) for place in (bonus.reward(altered) != before).nonzero().tolist()}

    beside = {(9, 1)} if kind == "icm" else set()
    assert changed((9, 1)) == {(8, 1)} | beside
    assert changed((8, 2)) == ({(8, 2)} if kind == "icm" else set())
    assert changed(None) == {(7, 2)}


@every_kind
def test_a_fraction_of_the_steps_is_trained_on(kind, monkeypatch):
    """Each epoch takes that share of the valid steps, at least one, in minibatches."""
    minibatches = []
    for proportion, sizes in ((1.0, [20, 20, 8] * 2), (0.5, [20, 4] * 2), (1e-6, [1, 1])):
        bonus = make(kind, ring(), update_proportion=proportion, epochs=2, minibatch_size=20)
        minibatches.clear()
        monkeypatch.setattr(
            bonus, "_learn", partial(lambda learn, steps: minibatches.append(steps) or learn(steps), bonus._learn)
        )
        bonus.update(walk())
        assert [len(steps) for steps in minibatches] == sizes
        places = [steps.index for steps in minibatches[: len(sizes) // 2]]
        assert len(torch.cat(places).unique()) == sum(sizes) // 2


@every_kind
def test_metrics_are_means_over_rows(kind):
    """With steps that change almost nothing, the loss is that of all rows, whatever their minibatches."""
    metrics = []
    for size in (7, 1000):
        bonus = make(kind, ring(), learning_rate=1e-12, minibatch_size=size)
        bonus.reward(walk())
        metrics.append(bonus.update(walk()))
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)
    assert metrics[0]["loss"] > 0


@every_kind
def test_columns_of_free_lag_do_not_follow_one_another(kind):
    """Where the columns may be any shards, the running sum starts anew with each batch."""
    rewards = []
    for lag in ("free", 1):
        bonus = make(kind, ring(policy_lag=lag), normalize_rewards=True)
        bonus.reward(walk(0))
        rewards.append((bonus.reward(walk(1)), bonus.state_dict()["scale"]))
    assert not torch.equal(rewards[0][0], rewards[1][0])


@every_kind
def test_images_are_whitened(kind):
    """An image's pixels may be scaled and shifted, and the reward stays what it was."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 60, (13, 4, 5, 5, 1), generator=generator, dtype=torch.uint8)
    context = make_context(Box(0, 255, (5, 5, 1), np.uint8), steps=12, num_envs=4)
    actions = torch.zeros(12, 4, dtype=torch.int64)
    rewards = [make(kind, context).reward(batch_of(x, actions)) for x in (pixels, 3 * pixels + 40)]
    torch.testing.assert_close(*rewards, rtol=1e-3, atol=1e-5)
    assert rewards[0].std() > 0


def test_no_two_kinds_start_alike():
    """Bonuses of one run have networks of their own."""
    context = ring()
    weights = [
        {name: x for name, x in tensors(make(kind, context).state_dict()["network"]).items() if x.ndim == 2}
        for kind in ("rnd", "random_features")
    ]
    first = [x for x in weights[0].values() if x.shape == (16, RING)]
    second = [x for x in weights[1].values() if x.shape == (16, RING)]
    assert first
    assert second
    assert not any(torch.equal(left, right) for left in first for right in second)
