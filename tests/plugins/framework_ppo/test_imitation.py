"""Self-imitation: what is stored, what is learned from it, and that it is what the definition says."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from remembering import Remembering
from small_ppo import BACKWARD, collect, make_context, ppo, same, use

from framework.errors import FrameworkError
from framework.interfaces import Stream
from framework_ppo.config import PPOConfig
from framework_ppo.imitation import Imitated, imitation_loss
from framework_ppo.objective import Predictions
from framework_replay.config import PrioritizedConfig, UniformConfig
from framework_replay.prioritized import Prioritized
from framework_replay.uniform import Uniform


class Watched(Prioritized):
    """A replay buffer that remembers what it was asked."""

    def __init__(self, config, context):
        super().__init__(config, context)
        self.added, self.samples, self.priorities = [], [], []

    def add(self, batch):
        self.added.append(batch)
        return super().add(batch)

    def sample(self, count, rng):
        self.samples.append(super().sample(count, rng))
        return self.samples[-1]

    def update_priorities(self, ids, priorities):
        self.priorities.append((np.array(ids), np.array(priorities)))
        super().update_priorities(ids, priorities)


def replaying(kind: Any = Watched, **fields: Any) -> Any:
    """A context whose pipeline has a replay buffer."""
    config = UniformConfig(capacity=500) if kind is Uniform else PrioritizedConfig(capacity=500)
    context = make_context(make_replay=lambda: kind(config, context), **fields)
    return context


def test_the_loss_is_that_of_the_equations():
    """``-log pi * (R - V)+ + beta / 2 * ((R - V)+)^2``, weighted, row by row; the first part moves no value."""
    draw = torch.Generator().manual_seed(0)
    log_prob, values, returns = (torch.randn(20, generator=draw) for _ in range(3))
    weights = torch.rand(20, generator=draw)
    values.requires_grad_()
    options = PPOConfig(sil_coefficient=0.3, sil_value_coefficient=0.7)
    loss = imitation_loss(Predictions(log_prob, log_prob, values), Imitated(returns, weights), options)
    total, slopes = 0.0, []
    for p, v, r, w in zip(log_prob.tolist(), values.tolist(), returns.tolist(), weights.tolist(), strict=True):
        gap = max(r - v, 0.0)
        total += 0.3 * w * (-p * gap + 0.7 * gap**2 / 2) / 20
        slopes.append(-0.3 * w * 0.7 * gap / 20)
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    loss.total.backward()
    assert values.grad.tolist() == pytest.approx(slopes, rel=1e-5)


def test_discounted_returns_are_stored():
    """Of each step until its episode's end, with the value of what came next where that was not the end of it all."""
    context = replaying()
    algorithm = ppo(context, gamma=0.9)
    batch = collect(algorithm, context, ends=0.3)
    final = dict(zip(batch.final_index.tolist(), batch.extras["final_value"].tolist(), strict=True))
    expected = torch.zeros(16, 4)
    for n in range(4):
        after = batch.extras["value"][16, n].item()
        for t in reversed(range(16)):
            if batch.terminated[t, n]:
                after = 0.0
            elif batch.truncated[t, n]:
                after = final[t * 4 + n]
            after = expected[t, n] = batch.rewards[t, n] + 0.9 * after
    algorithm.update(batch)
    replay = algorithm._imitation._replay
    assert list(replay.added[0].extras) == ["return"]
    torch.testing.assert_close(replay.added[0].extras["return"], expected, rtol=1e-5, atol=1e-5)
    assert "value" in batch.extras
    ids, priorities = replay.priorities[0]
    assert len(set(ids.tolist())) == 64
    better = (expected - batch.extras["value"][:-1]).clamp(min=0)
    assert priorities.tolist() == pytest.approx(better.flatten().tolist(), abs=1e-5)


@pytest.mark.parametrize("space", [Discrete(3, start=2), Box(-1, 1, (2,), np.float32)], ids=["discrete", "box"])
@pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("backward", BACKWARD)
def test_imitation_is_what_the_definition_says(space, share_encoder, backward):
    """Steps of a plain implementation on the same samples end at the same weights; priorities are (R - V)+."""
    context = replaying(action=space)
    algorithm = ppo(
        context,
        share_encoder=share_encoder,
        learning_rate=3e-3,
        sil_updates=3,
        sil_batch_size=40,
        sil_coefficient=0.5,
        sil_value_coefficient=0.8,
        max_gradient_norm=0.0,
    )
    use(backward, algorithm)
    algorithm.update(collect(algorithm, context))
    policy = copy.deepcopy(algorithm.policy)
    optimizer = torch.optim.AdamW(policy.parameters(), 3e-3, eps=1e-5, weight_decay=0.0)
    for numbers in (*algorithm._optimizer._moments, algorithm._optimizer._steps):
        numbers.zero_()  # Adam starts anew, as the plain one does
    replay = algorithm._imitation._replay
    replay.samples.clear(), replay.priorities.clear()
    with torch.no_grad():
        metrics = algorithm._imitate(3e-3)
    shares = []
    for (transitions, ids, weights), (changed, priorities) in zip(replay.samples, replay.priorities, strict=True):
        evaluation = policy.evaluate(transitions.observations, None)
        log_prob = policy.distribution.log_prob(evaluation.parameters, policy.from_environment(transitions.actions))
        gaps = (transitions.extras["return"] - evaluation.values).clamp(min=0)
        assert ids.tolist() == changed.tolist()
        assert priorities.tolist() == pytest.approx(gaps.tolist(), rel=1e-3, abs=1e-4)
        shares.append((gaps > 0).float().mean().item())
        optimizer.zero_grad()
        loss = torch.from_numpy(weights) * (-log_prob * gaps.detach() + 0.4 * gaps.square())
        (0.5 * loss.mean()).backward()
        optimizer.step()
    assert 0 < metrics["imitation/share"] == pytest.approx(sum(shares) / 3)
    assert metrics["imitation/stored"] == 64
    for name, value in policy.state_dict().items():
        torch.testing.assert_close(algorithm.policy.state_dict()[name], value, rtol=1e-3, atol=3e-5)


def test_a_success_of_the_past_is_repeated():
    """After one batch in which one action happened to pay, imitation alone makes that action the likely one."""
    context = replaying()
    algorithm = ppo(context, learning_rate=1e-2, sil_updates=50, sil_batch_size=64, sil_coefficient=1.0)
    batch = collect(algorithm, context, ends=1.0, rewards=lambda actions: (actions == 2).float())
    algorithm._imitation.add(batch, batch.rewards, batch.extras["value"], batch.extras["final_value"])
    with torch.no_grad():
        algorithm._imitate(1e-2)
        probability = algorithm.policy.batch_parameters(batch).softmax(-1)[..., 2].mean()
    assert probability > 0.7


def test_what_was_worse_than_its_value_is_not_imitated():
    """Where no return exceeds its value, imitation moves nothing."""
    context = replaying()
    algorithm = ppo(context)
    batch = collect(algorithm, context, ends=1.0, rewards=lambda actions: torch.full((16, 4), -100.0))
    batch.extras["final_value"] = batch.extras["final_value"] - 1000.0
    algorithm._imitation.add(batch, batch.rewards, batch.extras["value"], batch.extras["final_value"])
    before = copy.deepcopy(algorithm.policy.state_dict())
    with torch.no_grad():
        metrics = algorithm._imitate(1e-2)
    assert metrics["imitation/gap"] == metrics["imitation/share"] == 0
    assert same(before, algorithm.policy.state_dict())


@pytest.mark.parametrize("kind", [Prioritized, Uniform])
def test_a_restored_algorithm_goes_on_bit_for_bit(kind):
    """With all that is stored, its priorities and the generator that samples."""
    context, second_context = replaying(kind, seed=1), replaying(kind, seed=2)
    first, second = (ppo(seeded, minibatch_size=24, sil_batch_size=16) for seeded in (context, second_context))
    for seed in range(2):
        first.update(collect(first, context, seed=seed))
    state = first.state_dict()
    second.load_state_dict(state)
    batch = collect(first, context, seed=5)
    assert first.update(batch) == second.update(batch)
    assert same(first.policy.state_dict(), second.policy.state_dict())
    assert first.state_dict().keys() == {"policy", "optimizer", "generator", "moments", "replay"}


def test_it_goes_with_bonuses_and_masks():
    """Returns and values are those of the environment's reward; illegal actions stay impossible."""

    class Paying:
        episodic = False

        def reward(self, batch):
            return torch.full_like(batch.rewards, 1e6)

        def update(self, batch):
            return {}

    context = replaying(action=Discrete(4), bonuses=("pay",), make_streams=lambda: [Stream("pay", Paying(), 0.0, 0.99)])
    algorithm = ppo(context)
    mask = torch.ones(17, 4, 4, dtype=torch.bool)
    mask[..., 3] = False
    batch = collect(algorithm, context, action_mask=mask)
    metrics = algorithm.update(batch)
    assert algorithm._imitation._replay.added[0].extras["return"].abs().max() < 100
    assert 0 < metrics["imitation/gap"] < 100
    assert np.isfinite(list(metrics.values())).all()


def test_invalid_steps_are_not_stored():
    """A step in which no action was taken is nothing to imitate."""
    context = replaying()
    algorithm = ppo(context)
    batch = collect(algorithm, context, ends=0.0)
    batch.truncated[3, 1], batch.valid[4, 1], batch.first[5, 1] = True, False, True
    batch.final_index, batch.final_observations = torch.tensor([13]), {"observation": torch.ones(1, 3)}
    batch.extras["final_value"] = torch.tensor([0.3])
    assert algorithm.update(batch)["imitation/stored"] == 63


def test_without_a_replay_buffer_nothing_is_imitated():
    """Neither metrics nor state tell of it."""
    context = make_context()
    algorithm = ppo(context)
    metrics = algorithm.update(collect(algorithm, context))
    assert not [name for name in metrics if name.startswith("imitation")]
    assert "replay" not in algorithm.state_dict()


def test_memory_is_refused():
    """A single step of the past says nothing to an encoder with memory; samplers say so, too."""
    context = replaying(encoder=lambda context: Remembering(None, context))
    with pytest.raises(FrameworkError, match=r"leave \[replay\] out"):
        ppo(context)
