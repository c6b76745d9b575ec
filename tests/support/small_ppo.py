"""Algorithms on made-up spaces, and batches that their own policy collected from random observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete, Space

from framework.catalog import find_function
from framework.interfaces import Batch, Context
from framework.toolkit.optimizer import LossScale
from framework_encoders.config import MLPConfig
from framework_encoders.mlp import MLP
from framework_ppo.autograd import Autograd
from framework_ppo.config import PPOConfig
from framework_ppo.ppo import PPO

# Threads that wait for one another make tests slow where others run beside them.
torch.set_num_threads(1)

#: Ways to the gradient, see `use`.
BACKWARD = ["closed form", "networks by autograd", "autograd"]
VECTOR = Box(-1, 1, (3,), np.float32)


def make_context(
    observation: Space[Any] | Mapping[str, Space[Any]] = VECTOR,
    action: Space[Any] | None = None,
    *,
    encoder: Callable[[Context], Any] | None = None,
    steps: int = 16,
    num_envs: int = 4,
    **fields: Any,
) -> Context:
    """What a component may know; ``encoder`` makes one from it, by default a small `mlp`."""
    whole = Context(
        observation_space=observation if isinstance(observation, Mapping) else {"observation": observation},
        action_space=Discrete(3) if action is None else action,
        seed=fields.pop("seed", 0),
        device="cpu",
        num_envs=num_envs,
        rollout_length=steps,
        total_steps=1000,
        make_encoder=lambda part_context=None: (encoder or _small_mlp)(part_context or whole),
        find_function=find_function,
        **fields,
    )
    return whole


def use(backward: str, algorithm: PPO) -> None:
    """Have the gradient of the objective, or that of the networks alone, computed by autograd."""
    if backward != "closed form":
        algorithm.policy.closed_form = False
    if backward == "autograd":
        algorithm._backward = Autograd(algorithm.policy, algorithm._optimizer, algorithm._loss_scale)


def scale_loss(algorithm: PPO, initial: float) -> None:
    """Have the loss scaled, as float16 needs it."""
    algorithm._loss_scale = LossScale("cpu", initial=initial)
    algorithm._backward = type(algorithm._backward)(algorithm.policy, algorithm._optimizer, algorithm._loss_scale)


def _small_mlp(context: Context) -> MLP:
    return MLP(MLPConfig(hidden=(16, 16)), context)


def observations(spaces: Mapping[str, Space[Any]], *shape: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random observations [*shape, ...], each of its space's dtype."""
    leaves = {}
    for name, space in spaces.items():
        space.seed(seed)
        rows = np.stack([np.asarray(space.sample()) for _ in range(int(np.prod(shape)))])
        leaves[name] = torch.from_numpy(rows.reshape(*shape, *rows.shape[1:]))
    return leaves


def collect(
    algorithm: PPO,
    context: Context,
    *,
    seed: int = 0,
    ends: float = 0.2,
    memory: dict[str, torch.Tensor] | None = None,
    action_mask: torch.Tensor | None = None,
    rewards: Callable[[torch.Tensor], torch.Tensor] | None = None,
    **fields: Any,
) -> Batch:
    """A trajectory of random observations and rewards, in which steps end an episode with probability ``ends``.

    ``memory`` is the policy's before the first step, by default that of an episode that starts there; ``rewards``
    makes them from the actions; ``fields`` replace those of the batch before it is completed.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    shape = steps, count = context.rollout_length, context.num_envs
    observed = observations(context.observation_space, steps + 1, count, seed=seed)
    done = torch.from_numpy(rng.random(shape) < ends)
    terminated = done & torch.from_numpy(rng.random(shape) < 0.5)
    index = done.flatten().nonzero().squeeze(1)
    finals = {name: x[0, :0] for name, x in observed.items()}
    if len(index):
        finals = observations(context.observation_space, len(index), seed=seed + 1)
    first = torch.cat((torch.full((1, count), memory is None), done))
    before = memory = algorithm.policy.initial_memory(count) if memory is None else memory
    acted, recorded = [], []
    with torch.inference_mode():
        for t in range(steps):
            actions, extras, memory = algorithm.policy.act(
                {name: x[t] for name, x in observed.items()},
                memory,
                first[t],
                generator,
                action_mask=None if action_mask is None else action_mask[t],
            )
            acted.append(actions)
            recorded.append(extras)
    # Outside of inference mode, as a learner gets them: tensors that autograd may see.
    actions = torch.stack(acted)
    batch = Batch(
        observations=observed,
        actions=actions,
        rewards=rewards(actions) if rewards else torch.from_numpy(rng.normal(size=shape).astype(np.float32)),
        terminated=terminated,
        truncated=done & ~terminated,
        first=first,
        valid=torch.ones(shape, dtype=torch.bool),
        final_index=index,
        final_observations=finals,
        action_mask=action_mask,
        extras={name: torch.stack([extras[name] for extras in recorded]) for name in recorded[0]},
        memory=before,
    )
    for name, value in fields.items():
        setattr(batch, name, value)
    with torch.inference_mode():
        extras = algorithm.policy.postprocess_trajectory(batch)
    batch.extras = {name: x.clone() for name, x in extras.items()}
    return batch


def ppo(context: Context, **options: Any) -> PPO:
    """PPO with these options."""
    return PPO(PPOConfig(**options), context)


def tensors(value: Any, path: str = "") -> dict[str, torch.Tensor]:
    """Every tensor and number in a nested state, by its path."""
    if isinstance(value, Mapping):
        children = list(value.items())
    elif isinstance(value, list | tuple):
        children = list(enumerate(value))
    else:
        return {path: torch.as_tensor(value)}
    return {k: v for key, child in children for k, v in tensors(child, f"{path}/{key}").items()}


def same(first: Any, second: Any) -> bool:
    """Whether two nested states are equal bit for bit."""
    expected, actual = tensors(first), tensors(second)
    return expected.keys() == actual.keys() and all(torch.equal(expected[key], actual[key]) for key in expected)
