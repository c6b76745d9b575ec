"""DQN's update, against a slow one and by what it learns."""

from __future__ import annotations

import copy
import math

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from small_dqn import ListReplay, dqn, dqn_context
from small_ppo import collect, same, tensors
from torch.nn import functional

from framework.errors import FrameworkError
from framework.interfaces import Encoding, Stream
from framework_dqn.autograd import Autograd
from framework_dqn.config import DQNConfig
from framework_dqn.dqn import DQN

EVERYWHERE = torch.ones(16, 4, dtype=torch.bool)


class Familiarity:
    """A bonus of 1 at first, that falls with each update; remembers what it was called with."""

    episodic = False

    def __init__(self):
        self.level, self.calls = torch.ones(()), []

    def reward(self, batch):
        self.calls.append("reward")
        return self.level.expand_as(batch.rewards)

    def update(self, batch):
        assert torch.is_grad_enabled()
        self.calls.append("update")
        self.level = self.level * 0.5
        return {"level": self.level.item()}

    def state_dict(self):
        return {"level": self.level.clone()}

    def load_state_dict(self, state):
        self.level = state["level"].clone()


def with_streams(context, *streams):
    return attrs.evolve(context, bonuses=tuple(stream.name for stream in streams), make_streams=lambda: list(streams))


def slow_targets(network, target, transitions, gamma, double):
    """What the values should become, one transition after the other."""
    results = []
    for row in range(len(transitions.steps)):
        following = {name: x[row : row + 1] for name, x in transitions.next_observations.items()}
        values, judged = target(following)[0][0], network(following)[0][0]
        legal = range(len(values))
        if transitions.next_action_mask is not None:
            legal = [action for action in legal if transitions.next_action_mask[row, action]]
        best = max(legal, key=lambda action: (judged if double else values)[action].item())
        steps = int(transitions.steps[row])
        total = sum(gamma**k * transitions.rewards[row, k].item() for k in range(steps))
        if not transitions.terminated[row]:
            total += gamma**steps * values[best].item()
        results.append(total)
    return torch.tensor(results)


def slow_update(algorithm, batch, options):
    """The same gradient steps on a copy of the network, by autograd and torch's own optimizer; returns the copy."""
    network = copy.deepcopy(algorithm.policy.network)
    target, replay = copy.deepcopy(network), ListReplay(options["n_step"], prioritized=True)
    replay.add(batch)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.0)
    rng = np.random.default_rng(0)
    start = int(batch.actions.min())
    for step in range(1, 7):
        transitions, ids, weights = replay.sample(16, rng)
        with torch.no_grad():
            targets = slow_targets(network, target, transitions, 0.9, options["double"])
        values, _ = network(transitions.observations)
        action_values = values[torch.arange(16), transitions.actions - start]
        loss = functional.huber_loss(action_values, targets, reduction="none", delta=0.5)
        optimizer.zero_grad()
        (torch.from_numpy(weights) * loss).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.05)
        optimizer.step()
        replay.update_priorities(ids, (action_values - targets).abs().tolist())
        if step % 2 == 0:
            target.load_state_dict(network.state_dict())
    return network


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("backward", ["closed form", "networks by autograd", "autograd"])
def test_an_update_is_what_the_definition_says(double, n_step, masked, backward):
    """Six prioritized gradient steps end at the weights of a plain implementation; targets change in between."""
    context = dqn_context(action=Discrete(4, start=2), replay=lambda: ListReplay(n_step, prioritized=True))
    algorithm = dqn(
        context,
        learning_rate=3e-3,
        gamma=0.9,
        huber_delta=0.5,
        max_gradient_norm=0.05,
        target_update_interval=2,
        updates_per_step=6 / 64,
        double=double,
        dueling=double,
    )
    if backward != "closed form":
        algorithm.policy.network.closed_form = False
    if backward == "autograd":
        algorithm._backward = Autograd(algorithm.policy.network, algorithm._optimizer, None, algorithm._returns)
    mask = torch.rand(17, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 2] = True
    batch = collect(algorithm, context, action_mask=mask if masked else None)
    expected = slow_update(algorithm, batch, {"double": double, "n_step": n_step})
    metrics = algorithm.update(batch)
    assert metrics["gradient_steps"] == 6
    assert metrics["gradient_norm"] > 0.05
    for name, value in algorithm.policy.network.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=1e-3, atol=3e-5)


def test_metrics_of_the_first_step_are_those_of_the_definition():
    """Loss, mean value and error are those of the transitions that were sampled."""
    context = dqn_context()
    algorithm = dqn(context, updates_per_step=1 / 64)
    batch = collect(algorithm, context)
    replay = ListReplay()
    replay.add(batch)
    transitions, *_ = replay.sample(16, np.random.default_rng(0))
    network = copy.deepcopy(algorithm.policy.network)
    with torch.no_grad():
        values = network(transitions.observations)[0][torch.arange(16), transitions.actions]
        errors = values - slow_targets(network, network, transitions, 0.99, double=True)
    metrics = algorithm.update(batch)
    assert metrics["q_mean"] == pytest.approx(values.mean().item(), abs=1e-5)
    assert metrics["td_error"] == pytest.approx(errors.abs().mean().item(), abs=1e-5)
    loss = functional.huber_loss(errors, torch.zeros(16)).item()
    assert metrics["loss"] == pytest.approx(loss, abs=1e-5)
    assert metrics["replay_size"] == 64
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(("end", "value"), [("terminated", 1.0), ("truncated", 5.0)])
def test_truncated_episodes_go_on_in_the_value(end, value):
    """Reward 1 at every step of one-step episodes: Q is 1 where they terminate, 1 / (1 - gamma) where they are cut."""
    context = dqn_context(observation=Box(1, 1, (1,), np.float32))
    algorithm = dqn(context, gamma=0.8, learning_rate=2e-2, target_update_interval=10, updates_per_step=1)
    flags = {"terminated": ~EVERYWHERE, "truncated": ~EVERYWHERE} | {end: EVERYWHERE}
    for seed in range(6):
        batch = collect(algorithm, context, seed=seed, ends=1.0, rewards=lambda actions: torch.ones(16, 4), **flags)
        metrics = algorithm.update(batch)
        assert all(math.isfinite(number) for number in metrics.values())
    with torch.no_grad():
        values = algorithm.policy.network.values({"observation": torch.ones(1, 1)})
    assert values.max().item() == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(("tau", "interval"), [(1.0, 4), (0.25, 1), (0.5, 3)])
def test_the_target_follows_the_network(tau, interval):
    """Every ``target_update_interval`` gradient steps it moves ``target_tau`` of the way, and stays put in between."""
    context = dqn_context()
    algorithm = dqn(context, target_tau=tau, target_update_interval=interval, updates_per_step=1 / 64)
    expected = [value.clone() for value in algorithm.policy.network.parameters()]
    for seed in range(7):
        algorithm.update(collect(algorithm, context, seed=seed))
        if (seed + 1) % interval == 0:
            pairs = zip(expected, algorithm.policy.network.parameters(), strict=True)
            expected = [(old + tau * (new - old)).detach() for old, new in pairs]
        weights = algorithm.state_dict()["target"].values()
        for weight, reference in zip(weights, expected, strict=True):
            torch.testing.assert_close(weight, reference, rtol=1e-5, atol=1e-7)


def test_gradient_steps_are_what_the_collected_steps_are_worth():
    """Fractions are saved up; steps before ``learning_starts`` are worth none, and report no loss."""
    context = dqn_context()
    algorithm = dqn(context, learning_starts=100, updates_per_step=2.5 / 64)
    updates = [algorithm.update(collect(algorithm, context, seed=seed)) for seed in range(5)]
    assert [metrics["gradient_steps"] for metrics in updates] == [0, 2, 3, 2, 3]
    assert ["loss" in metrics for metrics in updates] == [False, True, True, True, True]
    assert updates[-1]["replay_size"] == 5 * 64


def test_epsilon_falls_with_the_run():
    """From start to end over a share of the run, for the version that follows the update."""
    context = attrs.evolve(dqn_context(), total_steps=640)
    algorithm = dqn(context, epsilon_start=0.9, epsilon_end=0.1, epsilon_fraction=0.5)
    assert algorithm.policy.epsilon.item() == pytest.approx(0.9)
    epsilons = []
    for update in range(10):
        batch = collect(algorithm, context, progress=update / 10)
        metrics = algorithm.update(batch)
        assert algorithm.policy.epsilon.item() == pytest.approx(metrics["epsilon"])
        epsilons.append(metrics["epsilon"])
    assert epsilons == pytest.approx([0.74, 0.58, 0.42, 0.26, *[0.1] * 6])
    at_once = dqn(context, epsilon_fraction=0.0)
    assert at_once.update(collect(at_once, context))["epsilon"] == 0.05


def test_the_learning_rate_may_fall():
    """Linearly to 0 at the end of the run."""
    context = dqn_context()
    algorithm = dqn(context, learning_rate=0.01, learning_rate_schedule="linear")
    assert algorithm.update(collect(algorithm, context, progress=0.25))["learning_rate"] == pytest.approx(0.0075)


def test_invalid_steps_are_left_out():
    """Whatever stands in a step in which no action was taken changes nothing, bit for bit."""
    context = dqn_context(steps=10)
    results = []
    for garbage in (0.0, 1e6):
        algorithm = dqn(context)
        batch = collect(algorithm, context, ends=0.0)
        # Environment 1 finishes in step 3 and spends step 4 on its reset.
        batch.truncated[3, 1], batch.valid[4, 1] = True, False
        batch.final_index, batch.final_observations = torch.tensor([13]), {"observation": torch.ones(1, 3)}
        batch.rewards[4, 1] = garbage
        batch.observations["observation"][4, 1] += garbage
        batch.actions[4, 1] = int(garbage > 0)
        metrics = algorithm.update(batch)
        results.append({**tensors(algorithm.policy.state_dict()), **tensors(metrics)})
    assert metrics["replay_size"] == 39
    assert metrics["gradient_steps"] == 10
    assert same(*results)


def test_an_update_touches_neither_batch_nor_global_generator():
    """The batch stays as it is, bonus and clipped rewards included, and so does torch's own generator."""
    context = with_streams(dqn_context(action=Discrete(3, start=4)), Stream("new", Familiarity(), 0.5, 0.99))
    algorithm = dqn(context, reward_clip=0.5)
    batch = collect(algorithm, context)
    names = ("observations", "actions", "rewards", "terminated", "truncated", "valid", "final_observations", "extras")
    before = copy.deepcopy({name: getattr(batch, name) for name in names})
    generator, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    assert algorithm.update(batch)["gradient_steps"] > 0
    assert same(before, {name: getattr(batch, name) for name in names})
    assert torch.equal(torch.get_rng_state(), generator)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_a_restored_algorithm_goes_on_bit_for_bit():
    """A state taken in mid-run, bonus and buffer included, makes another algorithm's next updates equal."""
    options = {"weight_decay": 0.1, "updates_per_step": 3.3 / 64, "target_update_interval": 3}
    first, second = (
        dqn(
            with_streams(
                dqn_context(seed=seed, replay=lambda: ListReplay(2, prioritized=True)),
                Stream("new", Familiarity(), 0.5, 0.99),
            ),
            **options,
        )
        for seed in (1, 2)
    )
    context = dqn_context()
    for seed in range(3):
        first.update(collect(first, context, seed=seed))
    state = first.state_dict()
    frozen = copy.deepcopy(state["policy"]), copy.deepcopy(state["rng"])
    second.load_state_dict(state)
    for seed in range(3, 6):
        batch = collect(first, context, seed=seed)
        assert torch.equal(collect(second, context, seed=seed).actions, batch.actions)
        assert first.update(batch) == second.update(batch)
    first_state, second_state = first.state_dict(), second.state_dict()
    for name in ("policy", "target", "optimizer", "streams", "steps", "gradient_steps", "owed"):
        assert same(first_state[name], second_state[name])
    assert first_state["rng"] == second_state["rng"]
    assert first_state["replay"]["priorities"] == second_state["replay"]["priorities"]
    assert same(state["policy"], frozen[0])
    assert state["rng"] == frozen[1]


def test_equal_seeds_learn_equally():
    """Two algorithms of one seed agree bit for bit; one of another seed does not."""
    weights = []
    for seed in (0, 0, 1):
        context = dqn_context(seed=seed)
        algorithm = dqn(context)
        algorithm.update(collect(algorithm, context))
        weights.append(algorithm.policy.state_dict())
    assert same(weights[0], weights[1])
    assert not same(weights[0], weights[2])


def test_a_bonus_is_added_to_the_reward():
    """What is stored is the clipped reward plus each bonus times its weight; each is asked once, then taught once."""
    replay, bonus = ListReplay(), Familiarity()
    context = with_streams(dqn_context(replay=lambda: replay), Stream("new", bonus, 0.25, 0.99))
    algorithm = dqn(context, reward_clip=0.5)
    batches = [collect(algorithm, context, seed=seed) for seed in range(2)]
    updates = [algorithm.update(batch) for batch in batches]
    expected = [batch.rewards.clamp(-0.5, 0.5) + 0.25 / 2**k for k, batch in enumerate(batches)]
    stored = torch.tensor([row["reward"] for row in replay.rows])
    torch.testing.assert_close(stored, torch.cat(expected).flatten())
    assert [metrics["bonus/new/reward"] for metrics in updates] == [1.0, 0.5]
    assert [metrics["bonus/new/level"] for metrics in updates] == [0.5, 0.25]
    assert bonus.calls == ["reward", "update"] * 2


def test_a_bonus_of_another_discount_is_refused():
    """There is one value for all rewards, so there is one discount."""
    context = with_streams(dqn_context(), Stream("new", Familiarity(), 0.5, 0.9))
    with pytest.raises(FrameworkError, match=r"bonus new, 0\.9, must be gamma, 0\.99"):
        dqn(context)


def test_the_encoders_own_losses_are_added():
    """An encoder's auxiliary loss moves its parameters, though no action value depends on them."""

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

    context = dqn_context(encoder=lambda context: Auxiliary())
    algorithm = dqn(context, learning_rate=0.01)
    algorithm.update(collect(algorithm, context))
    assert (algorithm.policy.network.encoder.weight < 0.95).all()


def test_bfloat16_learns_almost_as_float32_does():
    """Values and targets stay float32, and the weights end close to those of float32."""
    ends = []
    for precision in ("float32", "bfloat16"):
        context = dqn_context(precision=precision)
        algorithm = dqn(context, learning_rate=1e-3)
        batch = collect(dqn(dqn_context()), context)
        algorithm.update(batch)
        ends.append(torch.cat([value.flatten() for value in algorithm.policy.state_dict().values()]))
        assert ends[-1].dtype is torch.float32
    torch.testing.assert_close(*ends, rtol=0, atol=0.02)
    assert not torch.equal(*ends)


def test_compiled_networks_learn_through_the_compiler(monkeypatch):
    """With ``runtime.compile`` the learner's forward pass is compiled, and the result is that of autograd."""
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda module: compiled.append(module) or module)
    weights = []
    for compile_ in (True, False):
        context = dqn_context(compile=compile_)
        algorithm = dqn(context)
        algorithm.update(collect(algorithm, context))
        weights.append(torch.cat([value.flatten() for value in algorithm.policy.state_dict().values()]))
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-5)
    assert [type(module).__name__ for module in compiled] == ["QNetwork"]


def test_samplers_build_the_policy_alone():
    """Neither a replay buffer nor a bonus."""

    def fail():
        raise AssertionError("built")

    DQN.make_policy(DQNConfig(), attrs.evolve(dqn_context(), make_replay=fail, make_streams=fail, bonuses=("new",)))
