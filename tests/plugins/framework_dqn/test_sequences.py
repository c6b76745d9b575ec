"""DQN from sequences, against one environment and one step at a time."""

from __future__ import annotations

import copy
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from remembering import Remembering
from small_dqn import dqn, dqn_context
from small_ppo import collect, same

from framework.errors import FrameworkError
from framework.interfaces import Context
from framework_dqn.autograd import Autograd
from framework_dqn.sequences import n_step_rewards, transitions_of
from framework_dqn.targets import rescaled, returns_of
from framework_replay.config import PrioritizedConfig, UniformConfig
from framework_replay.prioritized import Prioritized
from framework_replay.uniform import Uniform

STEPS = ("actions", "rewards", "terminated", "truncated", "valid")
TIGHT: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def remembering(n_step: int = 1, prioritized: bool = False, capacity: int = 400, **fields: Any) -> Context:
    """A context whose encoder has a memory, and whose replay buffer is one of the bundled ones."""

    def replay() -> Any:
        if prioritized:
            return Prioritized(PrioritizedConfig(capacity=capacity, n_step=n_step), context)
        return Uniform(UniformConfig(capacity=capacity, n_step=n_step), context)

    context = dqn_context(encoder=lambda context: Remembering(None, context), replay=replay, **fields)
    return context


def some_memory(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """What environments in the middle of an episode may remember."""
    return {"h": torch.rand(count, 8, generator=torch.Generator().manual_seed(seed))}


def experience(
    algorithm: Any, context: Context, batches: int, *, masked: bool = False, ends: float = 0.25
) -> list[Any]:
    """Batches that follow one another, all of whose rows join; with steps spent on resets and random legal actions."""
    steps, count = context.rollout_length, context.num_envs
    mask = None
    if masked:
        mask = torch.rand(batches * steps + 1, count, 4, generator=torch.Generator().manual_seed(0)) < 0.6
        mask[..., 2] = True
    whole = attrs.evolve(context, rollout_length=batches * steps)
    long = collect(algorithm, whole, ends=ends, memory=some_memory(count), action_mask=mask)
    parts = []
    for number in range(batches):
        rows, more = slice(number * steps, (number + 1) * steps), slice(number * steps, (number + 1) * steps + 1)
        place = long.final_index - number * steps * count
        inside = (place >= 0) & (place < steps * count)
        parts.append(
            attrs.evolve(
                long,
                **{
                    name: getattr(long, name)[rows]
                    for name in ("actions", "rewards", "terminated", "truncated", "valid")
                },
                observations={name: x[more] for name, x in long.observations.items()},
                first=long.first[more],
                action_mask=None if mask is None else mask[more],
                final_index=place[inside],
                final_observations={name: x[inside] for name, x in long.final_observations.items()},
                memory=some_memory(count, number),
            )
        )
    return parts


def slow_values(network: Any, sequences: Any, burn_in: int) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Q-values [A] by (step, column), and of the last observations of episodes, one environment and step at a time."""
    length, count = sequences.rewards.shape
    finals = {int(index): k for k, index in enumerate(sequences.final_index)}
    values, final_values = {}, {}
    for b in range(count):
        memory = {name: x[b : b + 1] for name, x in sequences.memory.items()}
        for t in range(length + 1):

            def see(observation: Any, starts: bool, before: Any) -> Any:
                encoding, after = network.encoder(
                    {"observation": observation[None, None]}, before, torch.tensor([[starts]])
                )
                return network.head(encoding.features[0])[0], after

            with torch.set_grad_enabled(t >= burn_in):
                values[t, b], memory = see(
                    sequences.observations["observation"][t, b], bool(sequences.first[t, b]), memory
                )
                if t * count + b in finals and t < length:
                    last = sequences.final_observations["observation"][finals[t * count + b]]
                    final_values[t, b], _ = see(last, torch.tensor(False), memory)
    return values, final_values


def slow_targets(algorithm: Any, sequences: Any, burn_in: int, *, double: bool, gamma: float, rescale: bool) -> Any:
    """The target of each learned step by (step, column), by the definition."""
    network, target = algorithm.policy.network, algorithm._target
    length, count = sequences.rewards.shape
    judged, judged_last = slow_values(network, sequences, burn_in)
    values, last_values = slow_values(target, sequences, burn_in)
    ends = {(int(index) // count, int(index) % count) for index in sequences.final_index}
    targets = {}
    for t in range(burn_in, length):
        for b in range(count):
            if not sequences.valid[t, b]:
                continue
            total, place = 0.0, t
            for k in range(sequences.n_step):
                total += gamma**k * float(sequences.rewards[t + k, b])
                place = t + k
                if (place, b) in ends or place == length - 1:
                    break
            if not sequences.terminated[place, b]:
                ended = (place, b) in ends
                q = last_values[place, b] if ended else values[place + 1, b]
                scores = (judged_last[place, b] if ended else judged[place + 1, b]) if double else q
                legal = range(len(q))
                if sequences.action_mask is not None and not ended:
                    legal = [a for a in legal if sequences.action_mask[place + 1, b, a]]
                value = q[max(legal, key=scores.tolist().__getitem__)].detach()
                total += gamma ** (place - t + 1) * float(returns_of(value) if rescale else value)
            targets[t, b] = float(rescaled(torch.tensor(total))) if rescale else total
    return targets


def drawn(algorithm: Any, count: int = 3) -> Any:
    """Some sequences of the algorithm's buffer."""
    return algorithm._replay._buffer.sample(count, np.random.default_rng(5))[0]


@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("n_step", [1, 4])
@pytest.mark.parametrize(
    ("double", "masked", "rescale"), [(True, True, True), (False, False, False), (True, False, False)]
)
def test_targets_are_those_of_each_step_alone(burn_in, n_step, double, masked, rescale):
    """Values and targets of all learned steps: episodes terminate, are cut short and start anew in their midst."""
    context = remembering(n_step, action=Discrete(4), steps=6)
    options = {"double": double, "value_rescaling": rescale, "gamma": 0.9}
    algorithm = dqn(context, burn_in=burn_in, sequence_length=9, **options)
    with torch.no_grad():
        for parameter in algorithm._target.parameters():
            parameter.mul_(1.5)
    for batch in experience(algorithm, context, 6, masked=masked):
        algorithm._replay.add(batch)
    sequences = drawn(algorithm)
    flat = sequences.terminated.flatten()[sequences.final_index]
    assert flat.any()
    assert not flat.all()
    expected = slow_targets(algorithm, sequences, burn_in, double=double, gamma=0.9, rescale=rescale)
    transitions, columns = transitions_of(sequences, burn_in)
    rows = [(t, b) for t in range(burn_in, burn_in + 9) for b in range(3) if sequences.valid[t, b]]
    assert columns.tolist() == [b for _, b in rows]
    with torch.no_grad():
        targets = algorithm.targets(transitions, torch.ones(len(rows))).values
        torch.testing.assert_close(targets, torch.tensor([expected[row] for row in rows]), **TIGHT)
        values, _ = slow_values(algorithm.policy.network, sequences, burn_in)
        torch.testing.assert_close(
            algorithm.policy.network.values(transitions.observations),
            torch.stack([values[row] for row in rows]),
            **TIGHT,
        )
    assert transitions.actions.tolist() == [int(sequences.actions[row]) for row in rows]


@pytest.mark.parametrize("backward", ["closed form", "autograd"])
def test_a_gradient_step_is_what_the_definition_says(backward):
    """Of the weighted Huber loss over all learned steps, through the network from the end of the burn-in on."""
    context = remembering(2, prioritized=True, steps=6)
    options = {"burn_in": 3, "sequence_length": 8, "gamma": 0.9, "huber_delta": 0.5, "max_gradient_norm": 0.05}
    algorithm = dqn(
        context, learning_rate=3e-3, minibatch_size=32, updates_per_step=1 / 24, learning_starts=60, **options
    )
    if backward == "autograd":
        algorithm._backward = Autograd(algorithm.policy.network, algorithm._optimizer, None, algorithm._returns)
    batches = experience(algorithm, context, 3)
    for batch in batches[:2]:
        assert algorithm.update(batch)["gradient_steps"] == 0
    policy, buffer = copy.deepcopy(algorithm.policy), algorithm._replay._buffer
    shadow = Prioritized(PrioritizedConfig(capacity=400, n_step=2), context).sequences(11)
    for batch in batches:
        shadow.add(batch)
    sequences, ids, weights = shadow.sample(4, np.random.default_rng(0))
    targets = slow_targets(algorithm, sequences, 3, double=True, gamma=0.9, rescale=False)
    values, _ = slow_values(policy.network, sequences, 3)
    loss, errors = torch.zeros(()), {}
    for (t, b), target in targets.items():
        error = values[t, b][sequences.actions[t, b]] - target
        errors.setdefault(int(ids[b]), {})[t] = abs(error.item())
        loss = loss + weights[b].item() * torch.nn.functional.huber_loss(error, torch.zeros(()), delta=0.5) / len(
            targets
        )
    optimizer = torch.optim.AdamW(policy.parameters(), 3e-3, weight_decay=0.0)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.05)
    optimizer.step()
    assert algorithm.update(batches[2])["gradient_steps"] == 1
    for name, value in policy.state_dict().items():
        if name != "epsilon":
            torch.testing.assert_close(algorithm.policy.state_dict()[name], value, rtol=1e-3, atol=3e-5)
    for number, absolute in errors.items():
        sizes = list(absolute.values())
        priority = 0.9 * max(sizes) + 0.1 * sum(sizes) / len(sizes)
        leaf = buffer._tree.leaves[number % buffer._tree.size]
        assert leaf == pytest.approx((priority + 1e-6) ** 0.6, rel=1e-3)


def test_burn_in_recomputes_the_acting_memory():
    """From the stored memory, or from the start of an episode on, weights that did not change give what acting gave."""
    context = remembering(steps=5)
    algorithm = dqn(context, burn_in=2, sequence_length=10)
    policy, generator = algorithm.policy, torch.Generator().manual_seed(0)
    batches = experience(algorithm, context, 3, ends=0.05)
    memory, acted = some_memory(4), []
    for batch in batches:
        batch.memory = memory
        for t in range(5):
            row = {name: x[t] for name, x in batch.observations.items()}
            with torch.no_grad():
                acted.append(policy.network.step(row, memory, batch.first[t])[0])
                _, extras, memory = policy.act(row, memory, batch.first[t], generator)
            assert extras == {}
        algorithm._replay.add(batch)
    sequences = algorithm._replay._buffer._storage.sequences(np.arange(4))
    transitions, columns = transitions_of(sequences, 2)
    with torch.no_grad():
        values = policy.network.values(transitions.observations)
    expected = torch.stack([acted[2 + row // 4][column] for row, column in enumerate(columns)])
    torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-6)
    # A stored memory from elsewhere is forgotten where an episode starts in the burn-in.
    resets = sequences.first[:3].any(0)
    assert resets.any()
    sequences.memory = some_memory(4, 9)
    with torch.no_grad():
        changed = policy.network.values(transitions_of(sequences, 2)[0].observations)
    unchanged = torch.isclose(changed, values, atol=1e-6).all(1)
    assert all(unchanged[row] for row, column in enumerate(columns) if resets[column])
    assert not all(unchanged[row] for row, column in enumerate(columns) if not resets[column])


@pytest.mark.parametrize("slices", [2, 3, 64])
def test_slices_change_nothing_but_rounding(slices):
    """Weights, metrics and priorities are those of one slice; slices are of whole sequences."""
    results = []
    for count in (1, slices):
        context = remembering(3, prioritized=True, steps=6)
        algorithm = dqn(context, burn_in=2, minibatch_size=48, updates_per_step=0.1, slices=count, learning_rate=3e-3)
        metrics = [algorithm.update(batch) for batch in experience(algorithm, context, 4)][-1]
        weights = torch.cat([parameter.detach().flatten() for parameter in algorithm.policy.parameters()])
        results.append((weights, torch.tensor(algorithm._replay._buffer._tree.leaves), metrics))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-3, atol=3e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-3, atol=1e-4)
    assert results[0][2] == pytest.approx(results[1][2], rel=1e-3, abs=1e-4)


def test_invalid_steps_are_left_out():
    """What was done and paid in a step in which no action was taken changes nothing, bit for bit."""
    context, results = remembering(steps=10), []
    for garbage in (0, 1):
        algorithm = dqn(context, updates_per_step=0.1)
        batch = collect(algorithm, context, ends=0.0)
        batch.truncated[3, 1], batch.valid[4, 1], batch.first[5, 1] = True, False, True
        batch.final_index, batch.final_observations = torch.tensor([13]), {"observation": torch.ones(1, 3)}
        batch.rewards[4, 1], batch.actions[4, 1] = 1e6 * garbage, garbage
        batch.observations["observation"][4, 1] += garbage
        metrics = algorithm.update(batch)
        assert metrics["gradient_steps"] == 4
        results.append((algorithm.policy.state_dict(), metrics))
    assert same(*(state for state, _ in results))
    assert results[0][1] == results[1][1]


def test_a_restored_algorithm_goes_on_bit_for_bit():
    """Memories of sequences and their priorities are part of the state."""
    algorithms = [
        dqn(remembering(2, prioritized=True, steps=6, seed=seed), burn_in=2, sequence_length=9, updates_per_step=0.1)
        for seed in (1, 2)
    ]
    batches = experience(algorithms[0], remembering(steps=6), 8)
    for batch in batches[:5]:
        algorithms[0].update(batch)
    algorithms[1].load_state_dict(copy.deepcopy(algorithms[0].state_dict()))
    for batch in batches[5:]:
        metrics = [algorithm.update(batch) for algorithm in algorithms]
        assert metrics[0] == metrics[1]
        assert metrics[0]["gradient_steps"] > 0
    assert same(*(algorithm.state_dict()["policy"] for algorithm in algorithms))


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_n_step_rewards_stop_with_the_episode(n):
    """Rewards and steps of each, by a plain loop."""
    rng = np.random.default_rng(n)
    rewards, ended = (
        torch.from_numpy(rng.normal(size=(9, 4)).astype(np.float32)),
        torch.from_numpy(rng.random((9, 4)) < 0.3),
    )
    returns, steps = n_step_rewards(rewards, ended, n)
    for t in range(9):
        for b in range(4):
            expected = []
            for k in range(t, min(t + n, 9)):
                expected.append(rewards[k, b].item())
                if ended[k, b]:
                    break
            assert steps[t, b] == len(expected)
            assert returns[t, b].tolist() == pytest.approx(expected + [0.0] * (n - len(expected)))


@pytest.mark.parametrize(
    ("lag", "options", "message"),
    [
        (0, {"sequence_length": 5}, r"sequence_length, 5, must not be less than rollout_length, 6"),
        (
            "free",
            {"sequence_length": 6, "burn_in": 1},
            r"must be rollout_length, 6; burn_in is 1 and sequence_length 6",
        ),
        ("free", {"burn_in": 6}, r"must be rollout_length, 6; burn_in is 6$"),
        (0, {"sequence_length": 90}, r"does not hold a sequence of 100 steps"),
    ],
)
def test_lengths_that_leave_steps_out_are_refused(lag, options, message):
    """The message says what has to be what."""
    with pytest.raises(FrameworkError, match=message):
        dqn(remembering(steps=6, policy_lag=lag), **{"burn_in": 10} | options)


def test_the_default_length_is_that_of_trajectories():
    """Under free lag without the burn-in."""
    assert dqn(remembering(steps=6), burn_in=2)._replay._buffer._storage.length == 8
    assert dqn(remembering(steps=6, policy_lag="free"), burn_in=2)._replay._buffer._storage.length == 6


def test_compiled_networks_with_memory_compile_their_encoder(monkeypatch):
    """Its forward pass takes the time; the number of rows after it is another in each minibatch."""
    compiled = []

    def record(module: Any) -> None:
        compiled.append(module)

    monkeypatch.setattr(Remembering, "compile", record)
    algorithm = dqn(remembering(compile=True))
    assert compiled == [algorithm.policy.network.encoder]


def test_a_replay_buffer_without_sequences_is_refused():
    """One of single transitions says nothing of what came before."""
    context = dqn_context(encoder=lambda context: Remembering(None, context))
    with pytest.raises(FrameworkError, match="has no form for"):
        dqn(context)


def test_rescaled_values_have_an_inverse():
    """h and its inverse, against the formula in float64; and the slope at 0 is that of a square root."""
    x = torch.cat([torch.linspace(-1e4, 1e4, 2001), torch.linspace(-1, 1, 101)])
    wide = x.to(torch.float64)
    expected = wide.sign() * ((wide.abs() + 1).sqrt() - 1) + 1e-3 * wide
    torch.testing.assert_close(rescaled(x).to(torch.float64), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(returns_of(rescaled(x)), x, rtol=1e-4, atol=1e-5)
