"""A policy's deterministic actions as a module of named tensors, and the program that `torch.export` makes of it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from attrs import evolve, field, frozen
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from torch import Tensor, nn
from torch.export import ExportedProgram

from framework.errors import FrameworkError
from framework.interfaces import DistributionPolicy, Policy, Tensors
from framework.plugins import describe
from framework.toolkit.spaces import action_parts, array_spec, mask_size

#: Names of inputs that are no observations; those of memory are ``memory/NAME``.
FIRST, MASK, MEMORY = "first", "action_mask", "memory/"
#: Names of outputs; those of memory are ``next_memory/NAME``, as an ONNX file gives each name once.
ACTION, NEXT_MEMORY = "action", "next_memory/"
#: Rows of the observations that the policy is followed with: neither 0 nor 1, which torch takes for constants.
_ROWS = 3


@frozen(eq=False)
class Interface:
    """What goes into an exported policy: observations, legal actions, and the memory that its actions depend on."""

    observation_space: Mapping[str, Space[Any]]  #: flat: name of the leaf -> its space
    action_space: Space[Any]
    masked: bool  #: whether it is told the legal actions
    memory: Mapping[str, Tensor]  #: {name: [1, ...]} before the first step
    #: Parts of the observation that no action depends on, and so are no inputs; the policy itself gets zeros for them.
    unread: Mapping[str, Space[Any]] = field(factory=dict)

    def inputs(self, count: int) -> dict[str, np.ndarray]:
        """Zeros for ``count`` environments, by the name of the input. Episodes start with a memory of zeros."""
        inputs = {name: _zeros(leaf, count) for name, leaf in self.observation_space.items()}
        if self.masked:
            inputs[MASK] = np.ones((count, mask_size(self.action_space) or 0), bool)
        if self.memory:
            inputs[FIRST] = np.ones(count, bool)
        for name, tensor in self.memory.items():
            inputs[f"{MEMORY}{name}"] = np.zeros((count, *tensor.shape[1:]), tensor.numpy().dtype)
        return inputs


def _zeros(leaf: Space[Any], count: int) -> np.ndarray:
    dtype, shape = array_spec(leaf)
    return np.zeros((count, *shape), dtype)


def action_spaces(space: Space[Any]) -> dict[str, Space[Any]]:
    """The space of each output that is an action: ``action``, or ``action/PART`` for each of several parts."""
    return {f"{ACTION}/{name}": part.space for name, part in action_parts(space).items()} or {ACTION: space}


def interface_of(
    policy: Policy, observation_space: Mapping[str, Space[Any]], action_space: Space[Any], *, masked: bool
) -> Interface:
    """The interface of a policy in these spaces, with all of its memory.

    Raises `FrameworkError` where a part of the observation has the name of another input.
    """
    for name in observation_space:
        if name in (FIRST, MASK) or name.startswith(MEMORY):
            raise FrameworkError(
                f"the observation {name!r} has the name of an input of exported policies: rename it with a wrapper of"
                " the environment"
            )
    return Interface(observation_space, action_space, masked, policy.initial_memory(1))


class ActModule(nn.Module):
    """Inputs by name -> outputs by name, all [N, ...]: see `Interface.inputs`.

    Outputs are ``action`` as the environment takes it (``action/PART`` for each of several parts), the parameters of
    the action distribution where the policy is a `DistributionPolicy`, and the memory after the step.
    """

    def __init__(self, policy: Policy, interface: Interface):
        super().__init__()
        self.policy = policy
        self._interface = interface
        self._all_memory = policy.initial_memory(1)
        self._generator = torch.Generator()  # of which nothing deterministic draws
        parts = action_parts(interface.action_space).values()
        taken = [Taken(part.space, part.columns) for part in parts] or [Taken(interface.action_space, None)]
        self._names, self._taken = tuple(action_spaces(interface.action_space)), nn.ModuleList(taken)

    def forward(self, inputs: Tensors) -> Tensors:
        """See the class."""
        observation = {name: inputs[name] for name in self._interface.observation_space}
        count = next(iter(observation.values())).shape[0]
        for name, leaf in self._interface.unread.items():
            zeros = torch.from_numpy(_zeros(leaf, 1))
            observation[name] = zeros.expand(count, *zeros.shape[1:])
        memory = {name: torch.zeros(count, *x.shape[1:], dtype=x.dtype) for name, x in self._all_memory.items()}
        memory |= {name: inputs[f"{MEMORY}{name}"] for name in self._interface.memory}
        first = inputs[FIRST] if FIRST in inputs else torch.ones(count, dtype=torch.bool)
        actions, extras, after = self.policy.act(
            observation, memory, first, self._generator, action_mask=inputs.get(MASK), deterministic=True
        )
        outputs = {name: taken(actions) for name, taken in zip(self._names, self._taken, strict=True)}
        if isinstance(self.policy, DistributionPolicy):
            outputs |= self.policy.action_distribution(extras)
        return outputs | {f"{NEXT_MEMORY}{name}": after[name] for name in self._interface.memory}


class Taken(nn.Module):
    """All of a policy's actions, or one part's columns, as `framework.toolkit.spaces.environment_actions` has them."""

    low: Tensor  #: bounds of a Box
    high: Tensor
    start: Tensor  #: of the choices of a part, which are numbered from 0

    def __init__(self, space: Space[Any], columns: slice | None):
        super().__init__()
        self._space, self._columns = space, columns
        buffers = {"low": space.low, "high": space.high} if isinstance(space, Box) else {}
        if columns is not None and isinstance(space, Discrete | MultiDiscrete):
            buffers["start"] = np.asarray(space.start, np.int64)
        for name, array in buffers.items():
            self.register_buffer(name, torch.tensor(array), persistent=False)

    def forward(self, actions: Tensor) -> Tensor:
        """[N, ...] -> [N, ...]."""
        space = self._space
        if self._columns is not None:
            actions = actions[:, self._columns].reshape(-1, *(space.shape or ()))
            if isinstance(space, Discrete | MultiDiscrete):
                actions = actions.to(torch.int64) + self.start
        if isinstance(space, Discrete):
            return actions
        batch = actions.reshape(-1, *(space.shape or ()))
        if isinstance(space, Box):
            batch = torch.clamp(batch, self.low, self.high)
        return batch.to(torch.from_numpy(np.empty(0, space.dtype)).dtype)


@frozen(eq=False)
class Traced:
    """A policy that torch has followed."""

    program: ExportedProgram
    interface: Interface  #: with the memory that actions depend on
    outputs: tuple[str, ...]  #: their names, in order


def trace(policy: Policy, interface: Interface) -> Traced:
    """Follow the policy through one step.

    Memory and parts of the observation that no action depends on, such as those of a value network, are left out of the
    interface. Raises `FrameworkError` where torch cannot follow it, or takes the size of the batch for a constant.
    """
    traced = _trace(policy, interface)
    if not interface.memory and len(interface.observation_space) == 1:
        return traced
    needed = _needed(traced)
    memory = {name: tensor for name, tensor in interface.memory.items() if f"{MEMORY}{name}" in needed}
    read = {name: leaf for name, leaf in interface.observation_space.items() if name in needed}
    if not read:  # the rows of some observation are the size of the batch
        read = dict(interface.observation_space)
    if len(memory) == len(interface.memory) and len(read) == len(interface.observation_space):
        return traced
    unread = {name: leaf for name, leaf in interface.observation_space.items() if name not in read}
    return _trace(policy, evolve(interface, memory=memory, observation_space=read, unread=unread))


def _trace(policy: Policy, interface: Interface) -> Traced:
    module = ActModule(policy, interface).eval().requires_grad_(False)
    batch = torch.export.Dim("batch")
    with followed():
        example = {name: torch.from_numpy(array) for name, array in interface.inputs(_ROWS).items()}
        outputs = tuple(module(example))
        shapes = ({name: {0: batch} for name in example},)
        program = _program(module, example, shapes)
    for node in program.graph.nodes:  # they name files of this machine
        node.meta.pop("stack_trace", None)
    return Traced(program, interface, outputs)


def _program(module: nn.Module, example: Tensors, shapes: Any) -> ExportedProgram:
    """Found by running the module, or else by reading its code, where ``len(tensor)`` is no constant."""
    try:
        return torch.export.export(module, (example,), dynamic_shapes=shapes, strict=False)
    except Exception as error:
        with suppress(Exception):
            return torch.export.export(module, (example,), dynamic_shapes=shapes, strict=True)
        raise error


def _needed(traced: Traced) -> set[str]:
    """The inputs that an action, or memory of which that is true, depends on."""
    with followed():
        program = traced.program.run_decompositions({})  # after which no operation writes into its arguments
    signature = program.graph_signature
    inputs = dict(zip(signature.user_inputs, traced.interface.inputs(1), strict=True))
    sources: dict[str, set[str]] = {}
    for node in program.graph.nodes:
        size = isinstance(node.meta.get("val"), torch.SymInt)  # of the batch, which all inputs have
        above = () if size else (sources[source.name] for source in node.all_input_nodes)
        sources[node.name] = set().union(*above) | ({inputs[node.name]} if node.name in inputs else set())
    reached = dict(zip(traced.outputs, (sources[str(name)] for name in signature.user_outputs), strict=True))
    needed: set[str] = set()
    following = set().union(*(names for output, names in reached.items() if not output.startswith(NEXT_MEMORY)))
    while new := following - needed:
        needed |= new
        memory = (name.removeprefix(MEMORY) for name in new if name.startswith(MEMORY))
        following = set().union(*(reached[f"{NEXT_MEMORY}{name}"] for name in memory))
    return needed


@contextmanager
def followed() -> Iterator[None]:
    """What torch says of its own is not for users; what it cannot follow is a `FrameworkError`."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    except FrameworkError:
        raise
    except Exception as error:
        raise FrameworkError(
            "the policy cannot be exported, as torch cannot follow its act(): it may not branch on tensors (if), or"
            f" take the size of the batch for a constant.\n{describe(error)}"
        ) from error
    finally:
        logging.disable(level)
