"""PQN's update, against a slow one and by what it learns."""

from __future__ import annotations

import copy
import math

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from small_ppo import collect, make_context, same, tensors
from small_pqn import WHOLE, pqn, remembering, slow_returns, slow_update, slow_values

from framework.errors import FrameworkError
from framework.interfaces import Encoding, Stream
from framework.toolkit.optimizer import LossScale
from framework_pqn.config import PQNConfig
from framework_pqn.gradients import Autograd
from framework_pqn.pqn import PQN

ALL = torch.ones(16, 4, dtype=torch.bool)


class Familiarity:
    """A bonus of 1 at first, that falls with each update."""

    episodic = False

    def __init__(self):
        self.level = torch.ones(())

    def reward(self, batch):
        return self.level.expand_as(batch.rewards)

    def update(self, batch):
        assert torch.is_grad_enabled()
        self.level = self.level * 0.5
        return {"level": self.level.item()}

    def state_dict(self):
        return {"level": self.level.clone()}

    def load_state_dict(self, state):
        self.level = state["level"].clone()


def with_bonus(context, weight=0.5, discount=0.99):
    stream = Stream("new", Familiarity(), weight, discount)
    return attrs.evolve(context, bonuses=("new",), make_streams=lambda: [stream])


@pytest.mark.parametrize(
    ("backward", "masked"),
    [
        ("closed form", False),
        ("closed form", True),
        ("autograd", True),
        ("memory", False),
        ("memory", True),
        ("slices", False),
        ("slices of memory", True),
    ],
)
def test_an_update_is_what_the_definition_says(backward, masked):
    """Three epochs end where autograd through the step-by-step pass and torch's own RAdam do."""
    make = remembering if "memory" in backward else make_context
    context = make(action=Discrete(4, start=2), steps=8, num_envs=3)
    options = {"epochs": 3, "learning_rate": 0.05, "gamma": 0.9, "q_lambda": 0.7, "max_gradient_norm": 0.3}
    algorithm = pqn(context, **options, **WHOLE, slices=3 if "slices" in backward else 1)
    if backward == "autograd":
        network, objective = algorithm.policy.network, algorithm._objective
        algorithm._backward = Autograd(network, objective, algorithm._optimizer, None)
    mask = torch.rand(9, 3, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 2] = True
    memory = {name: torch.rand(x.shape) for name, x in algorithm.policy.initial_memory(3).items()}
    batch = collect(algorithm, context, memory=memory, action_mask=mask if masked else None)
    batch.valid[4, 1] = False
    expected = slow_update(algorithm, batch, epochs=3, learning_rate=0.05, max_norm=0.3)
    metrics = algorithm.update(batch)
    assert metrics["minibatches"] == 3
    assert metrics["gradient_norm"] > 0.3
    for name, value in algorithm.policy.network.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=3e-5)


def test_first_metrics_are_those_of_the_definition():
    """Loss, mean value and error are those of the valid steps."""
    context = make_context()
    algorithm = pqn(context, epochs=1, **WHOLE)
    batch = collect(algorithm, context)
    batch.valid[3, 2] = False
    network = algorithm.policy.network
    with torch.no_grad():
        returns = slow_returns(network, batch, batch.rewards, 0.99, 0.65)
        values = slow_values(network, batch)[0][:-1].gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1)
        errors = (values - returns)[batch.valid]
    metrics = algorithm.update(batch)
    assert metrics["q_mean"] == pytest.approx(values[batch.valid].mean().item(), abs=1e-5)
    assert metrics["td_error"] == pytest.approx(errors.abs().mean().item(), abs=1e-5)
    assert metrics["loss"] == pytest.approx(0.5 * errors.square().mean().item(), abs=1e-5)
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(("end", "value"), [("terminated", 1.0), ("truncated", 5.0)])
def test_truncated_episodes_go_on_in_the_value(end, value):
    """Reward 1 at every step of one-step episodes: Q is 1 where they terminate, 1 / (1 - gamma) where they are cut."""
    context = make_context(observation=Box(1, 1, (1,), np.float32))
    algorithm = pqn(context, gamma=0.8, learning_rate=2e-2, minibatch_size=16, epochs=8)
    flags = {"terminated": ~ALL, "truncated": ~ALL} | {end: ALL}
    for seed in range(25):
        batch = collect(algorithm, context, seed=seed, ends=1.0, rewards=lambda actions: torch.ones(16, 4), **flags)
        algorithm.update(batch)
    observation = {"observation": torch.ones(1, 1, 1)}
    values = algorithm.policy.network(observation, {}, torch.ones(1, 1, dtype=torch.bool)).values
    assert values.max().item() == pytest.approx(value, rel=0.05)


def test_epsilon_falls_with_the_run():
    """From start to end over a share of the run, for the version that follows the update."""
    context = attrs.evolve(make_context(), total_steps=640)
    algorithm = pqn(context, epsilon_start=0.9, epsilon_end=0.1, epsilon_fraction=0.5)
    assert algorithm.policy.epsilon.item() == pytest.approx(0.9)
    epsilons = []
    for update in range(10):
        metrics = algorithm.update(collect(algorithm, context, progress=update / 10))
        assert algorithm.policy.epsilon.item() == pytest.approx(metrics["epsilon"])
        epsilons.append(metrics["epsilon"])
    assert epsilons == pytest.approx([0.74, 0.58, 0.42, 0.26, *[0.1] * 6])
    at_once = pqn(context, epsilon_fraction=0.0)
    assert at_once.update(collect(at_once, context))["epsilon"] == 0.05


def test_the_learning_rate_follows_its_schedule():
    """By default it falls linearly to 0 at the end of the run."""
    context = make_context()
    algorithm = pqn(context, learning_rate=0.01)
    assert algorithm.update(collect(algorithm, context, progress=0.25))["learning_rate"] == pytest.approx(0.0075)


@pytest.mark.parametrize("make", [make_context, remembering], ids=["stateless", "memory"])
def test_invalid_steps_are_left_out(make):
    """Whatever stands in a step in which no action was taken changes nothing, bit for bit."""
    context = make(steps=10)
    results = []
    for garbage in (0.0, 1e3):
        algorithm = pqn(context, normalize_observations=True, normalize_rewards=True, minibatch_size=16)
        batch = collect(algorithm, context, ends=0.0)
        # Environment 1 finishes in step 3 and spends step 4 on its reset.
        batch.truncated[3, 1], batch.valid[4, 1] = True, False
        batch.first[5, 1] = True
        batch.final_index, batch.final_observations = torch.tensor([13]), {"observation": torch.ones(1, 3)}
        batch.rewards[4, 1] = 0.0
        batch.observations["observation"][4, 1] += garbage
        batch.actions[4, 1] = int(garbage > 0)
        metrics = algorithm.update(batch)
        results.append({**tensors(algorithm.state_dict()), **tensors(metrics)})
    assert same(*results)


def test_an_update_touches_neither_batch_nor_global_generator():
    """The batch stays as it is, bonus and clipped rewards included, and so does torch's own generator."""
    context = with_bonus(make_context(action=Discrete(3, start=4)))
    algorithm = pqn(context, reward_clip=0.5, normalize_observations=True)
    batch = collect(algorithm, context)
    names = ("observations", "actions", "rewards", "terminated", "truncated", "valid", "final_observations", "extras")
    before = copy.deepcopy({name: getattr(batch, name) for name in names})
    generator = torch.get_rng_state()
    algorithm.update(batch)
    assert same(before, {name: getattr(batch, name) for name in names})
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("make", [make_context, remembering], ids=["stateless", "memory"])
def test_a_restored_algorithm_goes_on_bit_for_bit(make):
    """A state taken in mid-run, bonus and statistics included, makes another algorithm's next updates equal."""
    options = {"normalize_observations": True, "normalize_rewards": True, "minibatch_size": 24, "weight_decay": 0.1}
    first, second = (pqn(with_bonus(make(seed=seed)), **options) for seed in (1, 2))
    context = make()
    for seed in range(3):
        first.update(collect(first, context, seed=seed))
    state = first.state_dict()
    frozen = copy.deepcopy(state)
    second.load_state_dict(state)
    for seed in range(3, 6):
        batch = collect(first, context, seed=seed)
        assert torch.equal(collect(second, context, seed=seed).actions, batch.actions)
        assert first.update(batch) == second.update(batch)
    assert same(first.state_dict(), second.state_dict())
    assert same(state, frozen)
    assert not same(state, first.state_dict())


def test_equal_seeds_learn_equally():
    """Two algorithms of one seed agree bit for bit; one of another seed does not."""
    states = []
    for seed in (0, 0, 1):
        context = make_context(seed=seed)
        algorithm = pqn(context, minibatch_size=16)
        algorithm.update(collect(algorithm, context))
        states.append(algorithm.state_dict())
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_a_bonus_is_added_to_the_reward():
    """To the clipped reward, times its weight; it pays first and learns then."""
    context = make_context()
    plain, curious = pqn(context, **WHOLE), pqn(with_bonus(context, 0.25), reward_clip=0.5, **WHOLE)
    batch = collect(plain, context)
    metrics = curious.update(batch)
    assert (metrics["bonus/new/reward"], metrics["bonus/new/level"]) == (1.0, 0.5)
    plain.update(attrs.evolve(batch, rewards=batch.rewards.clamp(-0.5, 0.5) + 0.25))
    assert same(plain.policy.state_dict(), curious.policy.state_dict())


def test_a_bonus_of_another_discount_is_refused():
    """There is one value for all rewards, so there is one discount."""
    with pytest.raises(FrameworkError, match=r"pqn has one value .* bonus new, 0\.9, must be gamma, 0\.99"):
        pqn(with_bonus(make_context(), discount=0.9))


def test_rewards_are_normalized_by_the_deviation_of_returns():
    """Rewards a thousand times as large teach the same, with a free lag too."""
    for lag in (0, "free"):
        weights = []
        for factor in (1.0, 1024.0):
            context = make_context(policy_lag=lag)
            algorithm = pqn(context, normalize_rewards=True)
            for seed in range(3):
                batch = collect(algorithm, context, seed=seed)
                algorithm.update(attrs.evolve(batch, rewards=batch.rewards * factor))
            weights.append(torch.cat([x.detach().flatten() for x in algorithm.policy.parameters()]))
        torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-5)


def test_another_objective_is_minimised():
    """It goes through autograd, and its terms are the metrics."""
    context = make_context()
    algorithm = pqn(context, objective="small_pqn:absolute_error", epochs=1)
    assert isinstance(algorithm._backward, Autograd)
    metrics = algorithm.update(collect(algorithm, context))
    assert metrics["size"] > 0
    assert "td_error" not in metrics


def test_a_scaled_loss_teaches_the_same():
    """As float16 needs it; a step that overflows is skipped, and does not count."""
    context = make_context()
    plain, scaled = (pqn(context, objective=None, **WHOLE) for _ in range(2))
    for algorithm, scale in ((plain, None), (scaled, LossScale("cpu", initial=256.0))):
        algorithm._loss_scale = scale
        algorithm._backward = Autograd(algorithm.policy.network, algorithm._objective, algorithm._optimizer, scale)
    batch = collect(plain, context)
    assert plain.update(batch) == pytest.approx(scaled.update(batch), rel=1e-4)
    torch.testing.assert_close(plain._optimizer.parameters, scaled._optimizer.parameters, rtol=1e-4, atol=1e-6)
    scaled._loss_scale.value.fill_(1e38)
    before = scaled._optimizer.parameters.clone()
    batch.rewards *= 1e6
    assert scaled.update(batch)["gradient_norm"] == 0.0
    assert torch.equal(scaled._optimizer.parameters, before)


@pytest.mark.parametrize("slices", [1, 3])
def test_the_encoders_own_losses_are_added(slices):
    """An encoder's auxiliary loss moves its parameters, though no value depends on them, and is a metric."""

    class Auxiliary(torch.nn.Module):
        feature_dim = 3

        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        def initial_memory(self, count):
            return {}

        def forward(self, observation, memory, first):
            losses = {"size": self.weight.square().sum()} if self.training and torch.is_grad_enabled() else {}
            return Encoding(observation["observation"], losses=losses), memory

    context = make_context(encoder=lambda context: Auxiliary())
    algorithm = pqn(context, learning_rate=0.01, optimizer="adamw", slices=slices)
    metrics = algorithm.update(collect(algorithm, context))
    assert (algorithm.policy.network.encoder.weight < 0.99).all()
    assert 1.0 < metrics["loss/size"] <= 2.0


def test_bfloat16_learns_almost_as_float32_does():
    """Values and returns stay float32, and the weights end close to those of float32."""
    ends = []
    for precision in ("float32", "bfloat16"):
        context = make_context(precision=precision)
        algorithm = pqn(context, learning_rate=1e-3)
        algorithm.update(collect(pqn(make_context()), context))
        ends.append(torch.cat([value.flatten() for value in algorithm.policy.state_dict().values()]))
        assert ends[-1].dtype is torch.float32
    torch.testing.assert_close(*ends, rtol=0, atol=0.02)
    assert not torch.equal(*ends)


def test_float16_is_for_gpus():
    """On a CPU it is refused."""
    with pytest.raises(FrameworkError, match="needs a GPU"):
        pqn(make_context(precision="float16"))


def test_samplers_build_the_policy_alone():
    """No bonus."""

    def fail():
        raise AssertionError("built")

    PQN.make_policy(PQNConfig(), attrs.evolve(make_context(), make_streams=fail, bonuses=("new",)))
