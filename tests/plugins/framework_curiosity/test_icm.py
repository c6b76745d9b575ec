"""The intrinsic curiosity module."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from attrs import evolve
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from small_ppo import collect, make_context, ppo
from walks import batch_of, ring_walk

from framework_curiosity.config import ICMConfig, RNDConfig
from framework_curiosity.icm import ICM
from framework_curiosity.rnd import RND
from framework_curiosity.steps import steps_of

RING = 6
SCREEN = 4


def ring(extra=0, **fields):
    return make_context(Box(-9, 9, (RING + extra,), np.float32), Discrete(3), steps=32, **fields)


def seen_steps(bonus, batch):
    """The batch's steps as the bonus's network gets them."""
    return evolve(steps_of(batch), see=bonus._whitening)


def test_both_losses_are_what_the_paper_says():
    """From features and models: cross-entropy, half the squared distance, eta and beta."""
    bonus = ICM(ICMConfig(eta=0.5, beta=0.3), ring(num_envs=8))
    batch = ring_walk(np.random.default_rng(0), RING)
    reward = bonus.reward(batch)
    models, steps = bonus.network, seen_steps(bonus, batch)
    with torch.no_grad():
        judgement = models(steps)
        before, after = models.features(steps.observations), models.features(steps.following)
        logits = models.inverse(torch.cat((before, after), -1))
        guess = models.dynamics(torch.cat((before, torch.eye(3)[steps.actions]), -1))
    inverse = -logits.log_softmax(-1)[torch.arange(len(steps)), steps.actions]
    forward = 0.5 * ((guess - after) ** 2).sum(-1)
    torch.testing.assert_close(reward.flatten(), 0.5 * forward)
    torch.testing.assert_close(judgement.loss, 0.7 * inverse + 0.3 * forward)
    metrics = ICM(ICMConfig(eta=0.5, beta=0.3, minibatch_size=10_000), ring(num_envs=8))
    metrics.reward(batch)
    metrics = metrics.update(batch)
    expected = {"inverse_loss": inverse.mean(), "forward_loss": forward.mean(), "loss": judgement.loss.mean()}
    assert metrics == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-4)


@pytest.mark.parametrize(
    ("space", "surprise"),
    [(Discrete(5, start=2), math.log(5)), (MultiDiscrete([2, 3]), math.log(6)), (MultiBinary(3), math.log(8))],
)
def test_an_inverse_model_that_knows_nothing_costs_the_logarithm_of_the_actions(space, surprise):
    """ln |A| where all actions are as probable, exactly; at the start, nearly."""
    context = make_context(action=space)
    batch = collect(ppo(context), context)
    bonus = ICM(ICMConfig(), context)
    bonus.reward(batch)
    losses = []
    for exactly in (False, True):
        if exactly:
            torch.nn.init.zeros_(bonus.network.inverse[-1].layers[0].weight)
        with torch.no_grad():
            losses.append(bonus.network(seen_steps(bonus, batch)).parts["inverse_loss"])
    torch.testing.assert_close(losses[0], torch.full_like(losses[0], surprise), rtol=0.05, atol=0)
    torch.testing.assert_close(losses[1], torch.full_like(losses[1], surprise))


def test_a_world_without_chance_is_soon_known():
    """On a ring where actions do what they say, the reward vanishes and every action is told."""
    rng = np.random.default_rng(0)
    bonus = ICM(ICMConfig(), ring(num_envs=8))
    rewards, losses = [], []
    for _ in range(160):
        batch = ring_walk(rng, RING)
        rewards.append(bonus.reward(batch).mean().item())
        losses.append(bonus.update(batch)["forward_loss"])
    assert losses[-1] < 0.02
    assert rewards[-1] < 0.01 * rewards[0]
    steps = seen_steps(bonus, ring_walk(rng, RING))
    with torch.no_grad():
        pair = torch.cat((bonus.network.features(steps.observations), bonus.network.features(steps.following)), -1)
        predicted = bonus.network.inverse(pair).argmax(-1)
    assert (predicted == steps.actions).float().mean() > 0.99


def with_screens(rng):
    """Walks on a slippery ring: beside the first eight a screen shows noise, beside the others nothing."""

    def show(noise, places):
        screen = noise * rng.normal(size=(*places.shape, SCREEN))
        return np.concatenate((np.eye(RING)[places], screen), -1).astype(np.float32)

    noisy, still = (
        ring_walk(rng, RING, steps=16, slip=0.3, show=lambda places, n=n: show(n, places)) for n in (1.0, 0.0)
    )
    observations = torch.cat((noisy.observations["observation"], still.observations["observation"]), 1)
    return batch_of(observations, torch.cat((noisy.actions, still.actions), 1))


def test_noise_that_no_action_changes_is_not_curious():
    """Once trained, a noisy screen gives at most 1.5 times the reward of a still one, as the features leave it out.

    A network distillation, which has no such features, goes on to give more.
    """

    def ratio(bonus, updates):
        rng = np.random.default_rng(0)
        rewards = []
        for _ in range(updates):
            batch = with_screens(rng)
            rewards.append(bonus.reward(batch))
            bonus.update(batch)
        last = torch.stack(rewards[-updates // 5 :])
        return (last[:, :, :8].mean() / last[:, :, 8:].mean()).item()

    context = ring(SCREEN, num_envs=16)
    assert ratio(ICM(ICMConfig(learning_rate=3e-3, hidden=(64,)), context), 300) <= 1.5
    assert ratio(RND(RNDConfig(learning_rate=1e-3), context), 100) > 3
