"""PPO with an encoder that has a memory: acting, completing and learning go through the same episodes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import runs
import torch
from gymnasium.spaces import Discrete
from remembering import Remembering
from small_ppo import collect, make_context, observations, ppo, same

import framework
from framework.runtime.session import Session
from framework.testing.probes import ACTIONS, OBSERVATIONS, Probe, expected
from framework.toolkit.spaces import flatten
from framework_ppo.minibatches import sequence_minibatches, sequences

shared = pytest.mark.parametrize("share_encoder", [False, True], ids=["apart", "shared"])
TIGHT: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
#: One minibatch holds everything, so that the order of the environments does not matter.
WHOLE: dict[str, Any] = {"minibatch_size": 10_000, "learning_rate_schedule": "constant"}


def remembering(**fields: Any) -> Any:
    """A context whose encoder has a memory."""
    return make_context(encoder=lambda context: Remembering(None, context), **fields)


def some_memory(policy: Any, count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """What environments in the middle of an episode may remember."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(x.shape, generator=generator) for name, x in policy.initial_memory(count).items()}


def slow_pass(policy: Any, batch: Any) -> dict[str, torch.Tensor]:
    """Parameters and values of all steps, values of all last observations: one environment and one step at a time.

    ``parameters`` and ``value`` are lists over environments, ``final_value`` is by step and environment.
    """
    steps, count = batch.rewards.shape
    final = dict(zip(batch.final_index.tolist(), range(len(batch.final_index)), strict=True))
    parameters = torch.zeros(steps, count, policy.distribution.size)
    value, final_value = torch.zeros(steps + 1, count), torch.zeros(len(final))
    for n in range(count):
        h = {use: batch.memory[f"{use}/h"][n : n + 1] for use in policy.encoders}

        def see(observation: torch.Tensor, starts: bool, h: Any = h) -> tuple[Any, Any]:
            features, after = {}, {}
            for use, encoder in policy.encoders.items():
                start = torch.full((1, 1), starts)
                encoding, memory = encoder({"observation": observation.view(1, 1, -1)}, {"h": h[use]}, start)
                features[use], after[use] = encoding.features[0], memory["h"]
            return features, after

        for t in range(steps + 1):
            features, h = see(batch.observations["observation"][t, n], bool(batch.first[t, n]), h)
            value[t, n] = policy.value_head(features.get("value", features["policy"]))[0, 0]
            if t < steps:
                parameters[t, n] = policy.action_head(features["policy"])[0]
                k = final.get(t * count + n)
                if k is not None:
                    features, _ = see(batch.final_observations["observation"][k], False, h)
                    final_value[k] = policy.value_head(features.get("value", features["policy"]))[0, 0]
    return {"parameters": parameters, "value": value, "final_value": final_value}


@shared
def test_values_and_probabilities_are_those_of_each_step_alone(share_encoder):
    """Recorded values, last ones of episodes included, are those of an encoder that is fed step by step."""
    context = remembering(steps=12)
    policy = ppo(context, share_encoder=share_encoder).policy
    assert policy.remembers
    assert not policy.closed_form
    batch = collect(ppo(context, share_encoder=share_encoder), context, ends=0.4, memory=some_memory(policy, 4))
    assert len(batch.final_index) > 5
    with torch.no_grad():
        expected = slow_pass(policy, batch)
        log_prob = policy.distribution.log_prob(expected["parameters"], batch.actions)
        torch.testing.assert_close(policy.batch_parameters(batch), expected["parameters"], **TIGHT)
    for name in ("value", "final_value"):
        torch.testing.assert_close(batch.extras[name], expected[name], **TIGHT)
    torch.testing.assert_close(batch.extras["log_probability"], log_prob, **TIGHT)


def test_values_in_parts_are_the_values(monkeypatch):
    """Whatever number of environments is evaluated at a time, values and probabilities are the same."""
    context = remembering()
    policy = ppo(context).policy
    batch = collect(ppo(context), context, memory=some_memory(policy, 4))
    with torch.no_grad():
        whole = (*policy.batch_values(batch), policy.batch_parameters(batch))
        monkeypatch.setattr("framework_ppo.policy._PART_BYTES", 0)
        for in_parts, expected in zip(
            (*policy.batch_values(batch), policy.batch_parameters(batch)), whole, strict=True
        ):
            torch.testing.assert_close(in_parts, expected, **TIGHT)


def test_no_episode_need_end():
    """Without a finished episode there is no last observation to evaluate, and the batch is learned from."""
    context = remembering()
    algorithm = ppo(context)
    batch = collect(algorithm, context, ends=0.0)
    assert batch.extras["final_value"].shape == (0,)
    algorithm.update(batch)


def test_memory_is_that_of_each_encoder():
    """It has the encoders' names, goes on from step to step, and starts anew where an episode does."""
    context = remembering(num_envs=2)
    policy = ppo(context).policy
    assert list(policy.initial_memory(2)) == ["policy/h", "value/h"]
    assert list(ppo(context, share_encoder=True).policy.initial_memory(2)) == ["policy/h"]
    rows = observations(context.observation_space, 2)
    start = some_memory(policy, 2)
    first = torch.tensor([False, True])
    with torch.no_grad():
        _, extras, memory = policy.act(rows, start, first, torch.Generator())
        _, fresh, _ = policy.act(rows, policy.initial_memory(2), ~first, torch.Generator())
        torch.testing.assert_close(extras["parameters"][1], fresh["parameters"][1])
        assert not torch.allclose(extras["parameters"][0], fresh["parameters"][0])
        for use in ("policy", "value"):
            encoded = policy.encoders[use](
                {"observation": rows["observation"][None]}, {"h": start[f"{use}/h"]}, first[None]
            )
            torch.testing.assert_close(memory[f"{use}/h"], encoded[1]["h"])


def test_memory_keeps_its_dtype_in_bfloat16():
    """What is remembered from step to step is float32 whatever networks compute in, as it travels."""
    context = remembering(precision="bfloat16")
    algorithm = ppo(context)
    rows = observations(context.observation_space, 4)
    _, _, memory = algorithm.policy.act(
        rows, algorithm.policy.initial_memory(4), torch.ones(4, dtype=torch.bool), torch.Generator()
    )
    assert {x.dtype for x in memory.values()} == {torch.float32}
    metrics = algorithm.update(collect(algorithm, context))
    assert metrics["gradient_norm"] > 0


@shared
def test_an_update_is_what_the_definition_says(share_encoder):
    """Three epochs end where autograd through the step-by-step pass and torch's own optimizer do."""
    from framework.toolkit.returns import gae

    context = remembering(steps=8, num_envs=3)
    algorithm = ppo(context, share_encoder=share_encoder, epochs=3, learning_rate=3e-3, clip_range=0.01, **WHOLE)
    batch = collect(algorithm, context, memory=some_memory(algorithm.policy, 3))
    batch.extras["value"] += 0.3  # values that were not recorded by this policy would not go unnoticed
    policy = copy.deepcopy(algorithm.policy)
    optimizer = torch.optim.AdamW(policy.parameters(), 3e-3, eps=1e-5, weight_decay=0.0)
    episode = (batch.rewards, batch.extras["value"], batch.terminated, batch.truncated, batch.final_index)
    advantages = gae(*episode, batch.extras["final_value"], gamma=0.99, lam=0.95)
    returns = advantages + batch.extras["value"][:-1]
    advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
    for _ in range(3):
        outputs = slow_pass(policy, batch)
        ratio = (
            policy.distribution.log_prob(outputs["parameters"], batch.actions) - batch.extras["log_probability"]
        ).exp()
        objective = torch.min(ratio * advantages, ratio.clamp(0.99, 1.01) * advantages).mean()
        error = (outputs["value"][:-1] - returns).square().mean()
        entropy = policy.distribution.entropy(outputs["parameters"]).mean()
        optimizer.zero_grad()
        (-objective + 0.25 * error - 0.01 * entropy).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        optimizer.step()
    metrics = algorithm.update(batch)
    assert metrics["minibatches"] == 3
    assert metrics["clip_fraction"] > 0
    for name, value in policy.state_dict().items():
        torch.testing.assert_close(algorithm.policy.state_dict()[name], value, rtol=1e-3, atol=3e-5)


@pytest.mark.parametrize(("size", "minibatches"), [(8, 4), (15, 4), (16, 2), (24, 2), (1000, 1), (1, 4)])
def test_minibatches_are_of_whole_environments(size, minibatches):
    """Each epoch goes once through all environments, as many at a time as have ``minibatch_size`` steps."""
    context = remembering(steps=8, num_envs=4)
    algorithm = ppo(context, epochs=2)
    batch = collect(algorithm, context)
    targets = algorithm._estimate_targets(batch, [])
    parts = list(sequence_minibatches(batch, targets, size, 2, torch.Generator(), normalize=False))
    assert len(parts) == 2 * minibatches
    for half in (parts[:minibatches], parts[minibatches:]):
        observed = torch.cat([inputs.observations["observation"] for inputs, _ in half], 1)
        expected = batch.observations["observation"][:-1]
        assert sorted(observed.transpose(0, 1).tolist()) == sorted(expected.transpose(0, 1).tolist())
    normal = list(sequence_minibatches(batch, targets, size, 1, torch.Generator(), normalize=True))
    for _, part in normal:
        assert part.advantages.mean().item() == pytest.approx(0, abs=1e-5)
        assert part.advantages.std(correction=0).item() == pytest.approx(1, abs=1e-4)


def test_first_epoch_ratio_is_one():
    """The probabilities that learning finds are those that acting recorded: no KL divergence, nothing clipped."""
    context = remembering()
    algorithm = ppo(context, epochs=1, **WHOLE)
    metrics = algorithm.update(collect(algorithm, context, memory=some_memory(algorithm.policy, 4)))
    assert metrics["approximate_kl"] == pytest.approx(0, abs=1e-6)
    assert metrics["clip_fraction"] == 0


def test_what_was_remembered_matters_to_learning():
    """The same batch with another memory before its first step teaches something else."""
    context = remembering()
    policies = []
    for seed in (0, 1):
        algorithm = ppo(context, epochs=1, **WHOLE)
        batch = collect(algorithm, context, memory=some_memory(algorithm.policy, 4))
        batch.memory = some_memory(algorithm.policy, 4, seed)
        algorithm.update(batch)
        policies.append(algorithm.policy)
    assert not same(*(policy.state_dict() for policy in policies))


def test_invalid_steps_are_left_out_of_the_loss():
    """What was done and paid in a step in which no action was taken changes nothing, bit for bit."""
    context = remembering(steps=10)
    results = []
    for garbage in (0, 1):
        algorithm = ppo(context, minibatch_size=20)
        batch = collect(algorithm, context, ends=0.0)
        batch.truncated[3, 1], batch.valid[4, 1], batch.first[5, 1] = True, False, True
        batch.final_index, batch.final_observations = torch.tensor([13]), {"observation": torch.ones(1, 3)}
        batch.extras["final_value"] = torch.tensor([0.3])
        batch.observations["observation"][4, 1] += garbage  # forgotten, as the next step starts an episode
        batch.actions[4, 1] = garbage
        for name in ("log_probability", "value"):
            batch.extras[name][4, 1] += garbage
        results.append([algorithm.update(batch), algorithm.state_dict()])
    assert same(*results)


def test_old_data_is_corrected_in_order():
    """With ``policy_lag = "free"``, old data of the same policy teaches as new: it is seen with the same memory."""
    context = remembering(policy_lag="free")
    policies = []
    for lag in (0, 2):
        algorithm = ppo(context, gae_lambda=1.0, epochs=2, **WHOLE)
        batch = collect(algorithm, context, lag=lag, memory=some_memory(algorithm.policy, 4))
        if lag:
            batch.extras["value"] += 100.0  # computed again
        algorithm.update(batch)
        policies.append(algorithm.policy.state_dict())
    for name, value in policies[0].items():
        torch.testing.assert_close(policies[1][name], value, rtol=1e-3, atol=3e-5)


def test_masks_go_with_their_steps():
    """The learner gives each action the probability it was taken with, among the actions that were legal then."""
    context = remembering(action=Discrete(4))
    algorithm = ppo(context, epochs=1)
    mask = torch.rand(17, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[..., 1] |= ~mask.any(-1)
    batch = collect(algorithm, context, action_mask=mask)
    inputs = sequences(batch, torch.tensor([2, 0]))
    with torch.no_grad():
        log_probs = algorithm.policy.distribution.log_prob(
            inputs.evaluate(algorithm.policy).parameters, batch.actions[:, [2, 0]].flatten()
        )
    torch.testing.assert_close(log_probs.view(16, 2), batch.extras["log_probability"][:, [2, 0]], **TIGHT)


def test_a_restored_algorithm_goes_on_bit_for_bit():
    """A state taken in mid-run makes another algorithm's next update equal."""
    context, second_context = remembering(seed=1), remembering(seed=2)
    first, second = (
        ppo(seeded, minibatch_size=32, normalize_observations=True) for seeded in (context, second_context)
    )
    first.update(collect(first, context))
    second.load_state_dict(first.state_dict())
    batch = collect(first, context, seed=1)
    assert first.update(batch) == second.update(batch)
    assert same(first.state_dict(), second.state_dict())


PROBE = """
[run]
total_steps = 6144

[environment]
use = "gymnasium"
id = "framework.testing.probes:Probe7-v0"

[encoder]
use = "remembering:Remembering"

[algorithm]
use = "ppo"
learning_rate = 0.01
epochs = 4
minibatch_size = 64
share_encoder = true
entropy_coefficient = 0.0

[sampling]
environments = 16
rollout_length = 8

[checkpoint]
every_seconds = 3600.0

[runtime]
samplers = 0
"""


CORE = {"use": "mlp", "hidden": [16]}
#: Small networks for small images.
IMAGES = {"use": "cnn", "channels": [16, 32], "kernels": [8, 4], "strides": [6, 2], "features": 32}
ENCODERS: dict[str, dict[str, Any]] = {
    "gru": {"use": "gru", "features": 16, "core": CORE},
    "lstm": {"use": "lstm", "features": 16, "core": CORE},
    "transformer_memory": {
        "use": "transformer_memory",
        "width": 16,
        "heads": 2,
        "depth": 1,
        "window": 6,
        "core": CORE,
    },
}


def solve(folder: Path, observation: str = "vector", action: str = "discrete", **overrides: Any) -> None:
    """Train on the memory probe; the greedy return must be right, and the values of what an episode starts with."""
    overrides |= {"environment.kwargs": {"observation": observation, "action": action}}
    *_, last = Session(framework.load(runs.write(folder, PROBE), overrides), root=folder).updates()
    assert last.evaluation is not None
    assert last.evaluation["evaluation/return"] >= 0.95
    policy = framework.load_agent(next(folder.glob("run-*")), "last").policy
    probe = Probe(7, observation, action)
    probe.reset(seed=0)
    for signal, value in expected(7).value(0.99).items():
        leaves = flatten(probe.observation_space, probe.encode(signal))
        with torch.inference_mode():
            estimate = policy.values({name: torch.from_numpy(np.asarray(x)[None]) for name, x in leaves.items()})
        assert estimate.item() == pytest.approx(value, rel=0.15)


def test_what_was_seen_first_is_acted_on_last(tmp_path: Path) -> None:
    """The memory probe is solved, though hardly a trajectory begins with an episode."""
    solve(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_encoder_with_memory_solves_it(tmp_path: Path, encoder: str, observation: str, action: str) -> None:
    """With every kind of observation and of action."""
    table = ENCODERS[encoder] | ({"core": IMAGES} if observation == "image" else {})
    overrides: dict[str, Any] = {
        "encoder": table,
        "run.total_steps": 49_152 if action == "multi_binary" else 24_576,
        "algorithm.learning_rate": 0.001 if observation == "image" else 0.003,
    }
    if action in ("box", "nested", "masked_parameterized"):
        overrides["algorithm.log_std_init"] = -1.0
    solve(tmp_path, observation, action, **overrides)
