"""Reward streams: each bonus has returns, values and advantages of its own, and changes what is learned."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from attrs import evolve
from remembering import Remembering
from small_ppo import BACKWARD, collect, make_context, ppo, same, use

from framework.errors import FrameworkError
from framework.interfaces import Stream
from framework.toolkit.returns import gae
from framework_ppo.config import PPOConfig
from framework_ppo.ppo import PPO
from framework_ppo.streams import estimate

WHOLE: dict[str, Any] = {"minibatch_size": 10_000, "learning_rate_schedule": "constant"}


class Paying:
    """A bonus that pays the first number of the next observation times ``factor``, which grows with each update."""

    def __init__(self, episodic: bool = False, factor: float = 1.0):
        self.episodic = episodic
        self.factor = torch.tensor(factor)
        self.calls: list[str] = []

    def reward(self, batch):
        self.calls.append("reward")
        return batch.observations["observation"][1:, :, 0] * self.factor

    def update(self, batch):
        assert torch.is_grad_enabled()
        self.calls.append("update")
        self.factor = self.factor * 1.5
        return {"factor": self.factor.item()}

    def state_dict(self):
        return {"factor": self.factor.clone()}

    def load_state_dict(self, state):
        self.factor = state["factor"].clone()


def with_bonuses(*streams: Stream, **fields: Any) -> Any:
    """A context whose pipeline has these bonuses."""
    return make_context(bonuses=tuple(stream.name for stream in streams), make_streams=lambda: list(streams), **fields)


def two_streams(**fields: Any) -> Any:
    """One bonus whose return never ends, and one whose return ends with the episode."""
    return with_bonuses(
        Stream("endless", Paying(), 0.5, 0.9), Stream("cut", Paying(episodic=True, factor=-2.0), 0.25, 0.8), **fields
    )


def plain_gae(rewards, values, following, going_on, gamma, lam):
    """Advantages by the recursion of the definition, one number at a time."""
    advantages, ahead = torch.zeros_like(rewards), torch.zeros(rewards.shape[1])
    for t in reversed(range(len(rewards))):
        delta = rewards[t] + gamma * following[t] - values[t]
        ahead = advantages[t] = delta + gamma * lam * going_on[t] * ahead
    return advantages


def test_an_endless_return_goes_on_in_the_next_episode():
    """It is bootstrapped from the next episode's first observation, and no episode's end cuts it."""
    context = make_context()
    batch = collect(ppo(context), context, ends=0.4)
    values, final_values = torch.randn(17, 4), torch.randn(len(batch.final_index))
    estimated = estimate(batch, batch.rewards, values, final_values, None, gamma=0.9, lam=0.8, episodic=False)
    expected = plain_gae(batch.rewards, values, values[1:], torch.ones(16, 4), 0.9, 0.8)
    torch.testing.assert_close(estimated.advantages, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(estimated.returns, expected + values[:-1], rtol=1e-5, atol=1e-5)


def test_terminated_cuts_the_environments_advantages_alone():
    """Whether an episode ended for good changes advantages of the environment's reward, not those of a bonus."""
    context = make_context()
    batch = collect(ppo(context), context, ends=0.4)
    swapped = evolve(batch, terminated=batch.truncated, truncated=batch.terminated)
    values, final_values = torch.randn(17, 4), torch.randn(len(batch.final_index))
    options = {"gamma": 0.9, "lam": 0.8}
    for episodic in (True, False):
        original, exchanged = (
            estimate(variant, batch.rewards, values, final_values, None, episodic=episodic, **options)
            for variant in (batch, swapped)
        )
        assert same(original, exchanged) is not episodic
    unended = evolve(
        batch,
        terminated=torch.zeros_like(batch.terminated),
        truncated=torch.zeros_like(batch.terminated),
        final_index=batch.final_index[:0],
    )
    without = estimate(unended, batch.rewards, values, final_values[:0], None, **options)
    assert same(without, estimate(batch, batch.rewards, values, final_values, None, episodic=False, **options))


@pytest.mark.parametrize("old", [False, True], ids=["gae", "vtrace"])
def test_a_reset_step_is_a_step_that_pays_nothing(old):
    """Whatever its value and probability are said to be, an endless return goes through it as through any other."""
    context = make_context()
    batch = collect(ppo(context), context, ends=0.0)
    batch.valid[4, 1], batch.rewards[4, 1] = False, 0.0
    values, none = torch.randn(17, 4), torch.zeros(0)
    log_ratios = torch.zeros(16, 4) if old else None
    results = []
    for garbage in (0.0, 7.0):
        values[4, 1] += garbage
        if log_ratios is not None:
            log_ratios[4, 1] -= garbage
        estimated = estimate(batch, batch.rewards, values, none, log_ratios, gamma=0.9, lam=0.8, episodic=False)
        results.append([x[batch.valid] for x in estimated])
    assert same(*results)
    values[4, 1] = 0.9 * values[5, 1]
    expected = plain_gae(batch.rewards, values, values[1:], torch.ones(16, 4), 0.9, 0.8)
    torch.testing.assert_close(estimated.returns, expected + values[:-1], rtol=1e-5, atol=1e-5)
    assert estimated.returns[3, 1] != pytest.approx(batch.rewards[3, 1].item())


@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("backward", BACKWARD)
def test_an_update_is_what_the_definition_says(share_encoder, backward):
    """Advantages are added with their weights, and the squared errors of all streams' values are."""
    context = two_streams()
    algorithm = ppo(context, share_encoder=share_encoder, epochs=3, learning_rate=3e-3, clip_range=0.01, **WHOLE)
    use(backward, algorithm)
    batch = collect(algorithm, context)
    value, final = batch.extras["value"], batch.extras["final_value"]
    assert value.shape == (17, 4, 3)
    assert final.shape == (len(batch.final_index), 3)
    paid = batch.observations["observation"][1:, :, 0]
    episode, never = (batch.terminated, batch.truncated), (torch.zeros(16, 4, dtype=torch.bool),) * 2
    finals, none = (batch.final_index, final), (batch.final_index[:0], final[:0])
    parts = []
    for index, (reward, ends, (at, last), gamma) in enumerate(
        [(batch.rewards, episode, finals, 0.99), (paid, never, none, 0.9), (-2 * paid, episode, finals, 0.8)]
    ):
        parts.append(gae(reward, value[..., index], *ends, at, last[:, index], gamma=gamma, lam=0.95))
    returns = (torch.stack(parts, -1) + value[:-1]).flatten(0, 1)
    advantages = (parts[0] + 0.5 * parts[1] + 0.25 * parts[2]).flatten()
    advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)

    policy = copy.deepcopy(algorithm.policy)
    optimizer = torch.optim.AdamW(policy.parameters(), 3e-3, eps=1e-5, weight_decay=0.0)
    rows = {name: x[:-1].flatten(0, 1) for name, x in batch.observations.items()}
    losses = []
    for _ in range(3):
        evaluation = policy.evaluate(rows, None)
        log_prob = policy.distribution.log_prob(evaluation.parameters, batch.actions.flatten())
        ratio = (log_prob - batch.extras["log_probability"].flatten()).exp()
        objective = torch.min(ratio * advantages, ratio.clamp(0.99, 1.01) * advantages).mean()
        error = 0.5 * (evaluation.values - returns).square().sum(-1).mean()
        losses.append(error.item())
        optimizer.zero_grad()
        (-objective + 0.5 * error - 0.01 * policy.distribution.entropy(evaluation.parameters).mean()).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        optimizer.step()
    metrics = algorithm.update(batch)
    assert metrics["value_loss"] == pytest.approx(sum(losses) / 3, rel=1e-3)
    for name, expected in policy.state_dict().items():
        torch.testing.assert_close(algorithm.policy.state_dict()[name], expected, rtol=1e-3, atol=3e-5)


@pytest.mark.parametrize(("weight", "equal"), [(0.0, True), (0.5, False)])
def test_a_bonus_changes_what_the_policy_learns(weight, equal):
    """What it pays matters to the policy, unless its weight is 0; to its own values it always does."""
    learned = []
    for factor in (1.0, -3.0):
        context = with_bonuses(Stream("pay", Paying(factor=factor), weight, 0.99))
        algorithm = ppo(context, max_gradient_norm=0.0, **WHOLE)
        algorithm.update(collect(algorithm, context))
        learned.append(algorithm.policy)
    assert same(*(policy.action_head.state_dict() for policy in learned)) is equal
    assert not same(*(policy.value_head.state_dict() for policy in learned))


def test_a_bonus_pays_before_it_learns():
    """Once each an update, in this order; its metrics and mean reward have the stream's name before them."""
    context = two_streams()
    algorithm = ppo(context)
    batch = collect(algorithm, context)
    metrics = algorithm.update(batch)
    for stream in context.make_streams():
        assert stream.bonus.calls == ["reward", "update"]
    mean = batch.observations["observation"][1:, :, 0].mean().item()
    assert metrics["bonus/endless/reward"] == pytest.approx(mean)
    assert metrics["bonus/cut/reward"] == pytest.approx(-2 * mean)
    assert metrics["bonus/endless/factor"] == 1.5


def test_samplers_make_no_bonus():
    """Their policy needs none; a learner makes them once, and torch's own generator stays as it is."""
    context = two_streams()
    calls = []
    counted = evolve(context, make_streams=lambda: calls.append(torch.rand(1)) or context.make_streams())
    before = torch.get_rng_state()
    PPO.make_policy(PPOConfig(), counted)
    assert calls == []
    algorithm = ppo(counted)
    algorithm.update(collect(algorithm, counted))
    assert len(calls) == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_a_restored_algorithm_goes_on_bit_for_bit():
    """The state holds those of the bonuses, each under its stream's name."""
    context, second_context = two_streams(seed=1), two_streams(seed=2)
    first, second = ppo(context, minibatch_size=24), ppo(second_context, minibatch_size=24)
    first.update(collect(first, context))
    state = first.state_dict()
    assert state["streams"]["endless"] == {"factor": 1.5}
    second.load_state_dict(state)
    batch = collect(first, context, seed=1)
    assert first.update(batch) == second.update(batch)
    assert same(first.state_dict(), second.state_dict())


def test_old_data_is_corrected_in_every_stream():
    """With ``policy_lag = "free"``, old data of the same policy teaches as new, where no episode ends."""
    policies = []
    for lag in (0, 2):
        free = two_streams(policy_lag="free")
        algorithm = ppo(free, gae_lambda=1.0, epochs=2, **WHOLE)
        algorithm.update(collect(algorithm, free, lag=lag, ends=0.3))
        policies.append(algorithm.policy.state_dict())
    for name, value in policies[0].items():
        torch.testing.assert_close(policies[1][name], value, rtol=1e-3, atol=3e-5)


def test_bonuses_go_with_memory():
    """Values of all streams come from the memory of their steps."""
    context = two_streams(encoder=lambda context: Remembering(None, context))
    algorithm = ppo(context, epochs=1, **WHOLE)
    batch = collect(algorithm, context)
    assert batch.extras["final_value"].shape == (len(batch.final_index), 3)
    assert algorithm.update(batch)["approximate_kl"] == pytest.approx(0, abs=1e-6)


def test_a_bonus_that_pays_in_another_shape_is_refused():
    """One number for each step, or an error that names the bonus."""
    bonus = Paying()
    bonus.reward = lambda batch: batch.rewards.flatten()
    context = with_bonuses(Stream("flat", bonus, 1.0, 0.99))
    algorithm = ppo(context)
    with pytest.raises(FrameworkError, match=r"bonus flat: .*\[16, 4\].*\[64\]"):
        algorithm.update(collect(algorithm, context))
