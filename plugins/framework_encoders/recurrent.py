"""Base of the recurrent encoders: a stateless core, float32 state, and resets where episodes start."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from attrs import evolve
from torch import Tensor, nn

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoder, Encoding, Tensors
from framework_encoders.composite_config import RecurrentConfig


class Recurrent(nn.Module):
    """A recurrent layer over the features of another encoder, its core.

    Backpropagation through time is truncated at the ends of a call, as the memory carries no gradient, and at the start
    of an episode. The state and all that is computed from it are float32 in any precision, as rounding errors would add
    up from step to step.

    Raises `FrameworkError` where the core has a memory itself.
    """

    states: ClassVar[tuple[str, ...]]  #: names of the memory's tensors, each [N, features]
    gates: ClassVar[int]  #: width of the gates together, as a multiple of the state's
    recurrent_bias: ClassVar[bool]

    def __init__(self, config: RecurrentConfig, context: Context):
        super().__init__()
        self.core = stateless_core(config.core, context)
        self.feature_dim = config.features
        self.input = nn.Linear(self.core.feature_dim, self.gates * self.feature_dim)
        self.recurrent = nn.Linear(self.feature_dim, self.gates * self.feature_dim, bias=self.recurrent_bias)
        for layer in (self.input, self.recurrent):
            for gate in layer.weight.chunk(self.gates):
                nn.init.orthogonal_(gate.data)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    @abstractmethod
    def unroll(self, inputs: Tensor, keep: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Inputs [T, N, gates * H] and state [N, H] -> features [T, N, H], and the state after T.

        ``keep`` [T, N, 1] is 0 where the state is reset before the step, else 1.
        """

    def initial_memory(self, count: int) -> Tensors:
        """Zeros ``{name: [count, features]}``."""
        return {name: self.input.weight.new_zeros(count, self.feature_dim) for name in self.states}

    def forward(self, observation: Tensors, memory: Tensors, first: Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}`` -> features [T, N, F] and the memory after T."""
        encoding, _ = self.core(observation, {}, first)
        with torch.autocast(first.device.type, enabled=False):
            inputs = self.input(encoding.features.to(torch.float32))
            keep = first.logical_not().to(torch.float32).unsqueeze(-1)
            features, *states = self.unroll(inputs, keep, *(memory[name].detach() for name in self.states))
        # Copies, as the states of all steps would otherwise be kept for the sake of the last.
        after = {name: state.detach().clone() for name, state in zip(self.states, states, strict=True)}
        return evolve(encoding, features=features), after


def stateless_core(core: str | Mapping[str, Any], context: Context) -> Encoder:
    """The core of an encoder with memory. Raises `FrameworkError` where the core has a memory itself."""
    if context.make_part is None:
        raise FrameworkError("an encoder with memory needs a context that can make its core")
    encoder = context.make_part(core, context)
    if encoder.initial_memory(1):
        name = core if isinstance(core, str) else core["use"]
        raise FrameworkError(f"core: {name} has a memory itself; use one without, such as mlp or cnn")
    return encoder
