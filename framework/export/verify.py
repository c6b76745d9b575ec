"""Whether an exported policy does what the policy does: on random observations, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from attrs import define
from gymnasium.spaces import Box, MultiBinary, Space

from framework.errors import FrameworkError
from framework.export.act_module import ACTION, FIRST, MASK, MEMORY, NEXT_MEMORY, Interface, action_spaces
from framework.interfaces import DistributionPolicy, Policy
from framework.toolkit.spaces import action_parts, array_spec, environment_actions, mask_groups, pick

#: Runs an exported policy: inputs by name -> outputs by name.
Run = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
Arrays = dict[str, np.ndarray]

#: Numbers of environments side by side.
COUNTS = (1, 2, 7)
STEPS = 8
#: Bounds beyond this are none in practice: networks would give no numbers for what lies there.
_UNBOUNDED = 1e6
_STARTS, _LEGAL = 0.25, 0.7


@define
class Agreement:
    """How well an exported policy and the policy agree."""

    rows: int = 0  #: observations of one environment each that both acted on
    ties: int = 0  #: rows with another choice, where both are equally probable within the tolerance
    largest: float = 0.0  #: the largest difference of real numbers, relative where they are larger than 1


def verify(run: Run, policy: Policy, interface: Interface, tolerance: float, seed: int = 0) -> Agreement:
    """Act on the same random observations of the space, with memory, episode starts and legal actions.

    Real numbers may differ by ``tolerance``, relative to those larger than 1. Choices must be equal; where the policy
    tells its distribution, a choice that is as probable within the tolerance counts as a tie. Raises `FrameworkError`
    where they do not agree, or ``run`` does.
    """
    rng, agreement = np.random.default_rng(seed), Agreement()
    for count in COUNTS:
        expected = _Acting(policy, interface, count)
        inputs = interface.inputs(count)
        for step in range(STEPS):
            inputs |= _observations(interface.observation_space, count, rng)
            if FIRST in inputs:
                inputs[FIRST] = (rng.random(count) < _STARTS) | (step == 0)
            if MASK in inputs:
                inputs[MASK] = _legal(interface.action_space, count, rng)
            outputs, named = expected(inputs | _observations(interface.unread, count, rng))
            try:
                actual = run(inputs)
            except Exception as error:
                raise FrameworkError(f"the exported policy fails for a batch of {count}: {error}") from error
            _compare(actual, outputs, named, interface.action_space, tolerance, agreement)
            inputs |= {f"{MEMORY}{name}": actual[f"{NEXT_MEMORY}{name}"] for name in interface.memory}
            agreement.rows += count
    return agreement


class _Acting:
    """The policy itself, in so many environments, as samplers and evaluations act with it."""

    def __init__(self, policy: Policy, interface: Interface, count: int):
        self._policy, self._interface = policy, interface
        self._generator = torch.Generator()
        self._memory = policy.initial_memory(count)

    def __call__(self, inputs: Arrays) -> tuple[Arrays, Arrays]:
        """All outputs, and those that tell the distribution."""
        tensors = {name: torch.from_numpy(array.copy()) for name, array in inputs.items()}
        observation = {name: tensors[name] for name in (*self._interface.observation_space, *self._interface.unread)}
        first = tensors.get(FIRST, torch.zeros(len(next(iter(observation.values()))), dtype=torch.bool))
        with torch.inference_mode():
            actions, extras, self._memory = self._policy.act(
                observation, self._memory, first, self._generator, action_mask=tensors.get(MASK), deterministic=True
            )
            distribution = (
                self._policy.action_distribution(extras) if isinstance(self._policy, DistributionPolicy) else {}
            )
        named = {name: tensor.numpy() for name, tensor in distribution.items()}
        memory = {f"{NEXT_MEMORY}{name}": self._memory[name].numpy() for name in self._interface.memory}
        return {**action_outputs(self._interface.action_space, actions.numpy()), **named, **memory}, named


def _compare(
    actual: Mapping[str, np.ndarray],
    expected: Arrays,
    named: Arrays,
    space: Space[Any],
    tolerance: float,
    agreement: Agreement,
) -> None:
    actions = action_spaces(space)
    for name, right in expected.items():
        array = np.asarray(actual[name])
        if (array.dtype, array.shape) != (right.dtype, right.shape):
            raise FrameworkError(
                f"the exported policy gives {name} as {array.dtype}{list(array.shape)}, and the policy"
                f" {right.dtype}{list(right.shape)}"
            )
        if right.dtype.kind == "f":
            error = _error(array, right)
            if not error <= tolerance:
                raise FrameworkError(
                    f"the exported policy gives another {name} than the policy: the largest difference is {error:.3g},"
                    f" and {tolerance:g} is allowed (--tolerance)"
                )
            agreement.largest = max(agreement.largest, error)
        elif (differing := (array != right).reshape(len(right), -1).any(1)).any():
            choice = named and actions.get(name)
            if not choice or (shortfall(choice, array, distribution_of(name, named)) > tolerance).any():
                raise FrameworkError(
                    f"the exported policy gives another {name} than the policy, in {int(differing.sum())} of"
                    f" {len(right)} rows, so nothing is written: act() may depend on its arguments and weights alone"
                )
            agreement.ties += int(differing.sum())


def _error(array: np.ndarray, right: np.ndarray) -> float:
    """The largest difference; NaN equals NaN, and infinities themselves."""
    same = (array == right) | (np.isnan(array) & np.isnan(right))
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(array.astype(np.float64) - right) / np.maximum(np.abs(right), 1.0)
    return float(np.where(same, 0.0, errors).max(initial=0.0))


def action_outputs(space: Space[Any], actions: np.ndarray) -> Arrays:
    """Actions [N, ...] as policies give them, by the outputs that they are: see `action_spaces`."""
    batch, parts = environment_actions(space, actions), action_parts(space)
    by_part = {f"{ACTION}/{name}": pick(name, part.path, batch, "action") for name, part in parts.items()}
    return by_part or {ACTION: batch}


def distribution_of(output: str, named: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What an action output is drawn from: all that is ``named``, or what has the name of its part in front."""
    prefix = output.removeprefix(ACTION).removeprefix("/")
    prefix = f"{prefix}/" if prefix else ""
    return {name.removeprefix(prefix): array for name, array in named.items() if name.startswith(prefix)}


def shortfall(space: Space[Any], actions: np.ndarray, named: Mapping[str, np.ndarray]) -> np.ndarray:
    """By how much the logit of each choice in ``actions`` [N, ...] is below the best one's, [N, choices].

    ``named`` is an action distribution as in `framework.interfaces.DistributionPolicy`. Of a Box it is the distance
    from the mean within the bounds, or from where the median is squashed to.
    """
    count = len(actions)
    if isinstance(space, Box):
        mean = named["mean"] if "mean" in named else _squashed(space, named["pre_squash_mean"])
        distances: np.ndarray = np.abs(actions - environment_actions(space, mean))
        return distances.reshape(count, -1)
    logits = named["logits"].reshape(count, -1).astype(np.float64)
    if isinstance(space, MultiBinary):
        return np.maximum(np.where(actions.reshape(count, -1) == 1, -logits, logits), 0.0)
    places = actions.reshape(count, -1) - np.asarray(getattr(space, "start", 0)).reshape(-1)
    groups = np.split(logits, np.cumsum(mask_groups(space))[:-1], axis=1)
    taken = [group[np.arange(count), place] for group, place in zip(groups, places.T, strict=True)]
    return np.stack([group.max(1) - logit for group, logit in zip(groups, taken, strict=True)], 1)


def _squashed(space: Box, u: np.ndarray) -> np.ndarray:
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    squashed: np.ndarray = (low + high) / 2 + (high - low) / 2 * np.tanh(u)
    return squashed


def _observations(leaves: Mapping[str, Space[Any]], count: int, rng: np.random.Generator) -> Arrays:
    return {name: _samples(leaf, count, rng) for name, leaf in leaves.items()}


def _samples(leaf: Space[Any], count: int, rng: np.random.Generator) -> np.ndarray:
    space = deepcopy(leaf)  # which carries a generator
    space.seed(int(rng.integers(2**31)))
    samples = np.stack([np.asarray(space.sample()) for _ in range(count)]).astype(array_spec(leaf)[0])
    if samples.dtype.kind == "f":
        samples = np.where(np.abs(samples) < _UNBOUNDED, samples, rng.normal(size=samples.shape)).astype(samples.dtype)
    return samples


def _legal(space: Space[Any], count: int, rng: np.random.Generator) -> np.ndarray:
    """Masks [count, M] that leave a choice in each group."""
    return np.concatenate(list(_legal_groups(space, count, rng)), axis=1)


def _legal_groups(space: Space[Any], count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    for size in mask_groups(space):
        mask = rng.random((count, size)) < _LEGAL
        mask[np.arange(count), rng.integers(size, size=count)] = True
        yield mask
