"""Replay for networks with memory, as in R2D2: sequences with stored memory, burn-in, and priorities of sequences.

Kapturowski et al. (2019), "Recurrent experience replay in distributed reinforcement learning", ICLR.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor

from framework.errors import FrameworkError
from framework.interfaces import Batch, Context, Replay, SequenceReplay, Sequences
from framework.toolkit.sequences import interleave
from framework_dqn.config import DQNConfig
from framework_dqn.sequence_rows import SequenceRows


@attrs.define
class SequenceTransitions:
    """R transitions in sequences: as `framework.interfaces.Transitions`, but that observations have their past."""

    observations: SequenceRows
    actions: Tensor  #: [R]
    rewards: Tensor  #: [R, n] float32; 0 from ``steps`` on
    steps: Tensor  #: [R] int64, from 1 to n
    terminated: Tensor  #: [R] bool
    next_observations: SequenceRows
    action_mask: Tensor | None  #: [R, actions] bool
    next_action_mask: Tensor | None  #: [R, actions] bool


class SequenceTransitionsReplay:
    """A replay buffer of transitions that are drawn in sequences; each row has the id of its sequence.

    Raises `FrameworkError` where the buffer has no form for sequences, or where there would be steps between the
    sequences that are never learned from.
    """

    def __init__(self, config: DQNConfig, context: Context, replay: Replay):
        self._config = config
        self._length = learned_length(config, context)
        if not isinstance(replay, SequenceReplay):
            raise FrameworkError(
                "an encoder with memory learns from sequences, which this replay buffer has no form for: choose "
                'another, such as use = "uniform" in [replay], or an encoder without memory'
            )
        self._buffer = replay.sequences(config.burn_in + self._length)

    def __len__(self) -> int:
        """How many sequences can be sampled."""
        return len(self._buffer)

    def add(self, batch: Batch) -> None:
        """See `framework.interfaces.SequenceBuffer`."""
        self._buffer.add(batch)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[SequenceTransitions, np.ndarray, np.ndarray]:
        """About ``count`` transitions: those of as many sequences as make up these, but at least of one.

        With the ids of their sequences, and the importance weights of these.
        """
        sequences, ids, weights = self._buffer.sample(max(1, count // self._length), rng)
        transitions, column = transitions_of(sequences, self._config.burn_in)
        return transitions, ids[column], weights[column]

    def update_priorities(self, ids: np.ndarray, errors: np.ndarray) -> None:
        """Set the priority of each sequence, from the absolute errors [R] of its transitions.

        Section 2.3 of the paper: ``eta * max + (1 - eta) * mean``.
        """
        sequences, column = np.unique(ids, return_inverse=True)
        largest = np.zeros(len(sequences))
        np.maximum.at(largest, column, errors)
        mean = np.bincount(column, errors) / np.bincount(column)
        eta = self._config.priority_eta
        self._buffer.update_priorities(sequences.tolist(), (eta * largest + (1.0 - eta) * mean).tolist())

    def state_dict(self) -> dict[str, Any]:
        """That of the buffer."""
        return self._buffer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""
        self._buffer.load_state_dict(state)


def learned_length(config: DQNConfig, context: Context) -> int:
    """Steps of a sequence that are learned from, those after its burn-in."""
    trajectory, free = context.rollout_length, context.policy_lag == "free"
    length = config.sequence_length
    if free:
        length = trajectory - config.burn_in if length is None else length
        if length < 1 or config.burn_in + length != trajectory:
            raise FrameworkError(
                'with policy_lag = "free" each trajectory is one sequence: burn_in + sequence_length must be '
                f"rollout_length, {trajectory}; burn_in is {config.burn_in}"
                + ("" if config.sequence_length is None else f" and sequence_length {length}")
            )
        return length
    length = trajectory if length is None else length
    if length < trajectory:
        raise FrameworkError(
            f"a sequence begins with each trajectory: sequence_length, {length}, must not be less than rollout_length, "
            f"{trajectory}, or the steps between two sequences are never learned from"
        )
    return length


def transitions_of(sequences: Sequences, burn_in: int) -> tuple[SequenceTransitions, np.ndarray]:
    """The transitions that start with the valid steps after the burn-in, and the column [R] of each one's sequence.

    Each has up to `Sequences.n_step` steps: fewer at the end of an episode, and of the sequence.
    """
    count = sequences.rewards.shape[1]
    rest = {name: x[burn_in:] for name, x in sequences.observations.items()}
    rewards, terminated, valid = (x[burn_in:] for x in (sequences.rewards, sequences.terminated, sequences.valid))
    last_steps = sequences.final_index - burn_in * count
    ended = torch.zeros_like(terminated).flatten()
    ended[last_steps[last_steps >= 0]] = True
    # Nothing follows where an episode terminated: the value of its last observation is not asked for.
    truncated = ((last_steps >= 0) & ~sequences.terminated.flatten()[sequences.final_index]).nonzero().squeeze(1)
    finals = {name: x.index_select(0, truncated) for name, x in sequences.final_observations.items()}
    last_steps = last_steps.index_select(0, truncated)
    observations, first, places, final_places = interleave(rest, sequences.first[burn_in:], last_steps, finals)
    following = places[1:].flatten().index_copy(0, last_steps, final_places).view(valid.shape)

    returns, steps = n_step_rewards(rewards, ended.view(valid.shape), sequences.n_step)
    last = torch.arange(len(steps), device=steps.device).unsqueeze(1) + steps - 1
    columns = torch.arange(count, device=steps.device).expand_as(last)
    rows = valid.flatten().nonzero().squeeze(1)

    def pick(x: Tensor) -> Tensor:
        return x.flatten(0, 1).index_select(0, rows)

    def seen(place: Tensor) -> SequenceRows:
        index = pick(place * count + columns)
        before = {name: x[:burn_in] for name, x in sequences.observations.items()}
        return SequenceRows(before, sequences.first[:burn_in], sequences.memory, observations, first, index)

    mask = sequences.action_mask
    next_mask = None
    if mask is not None:
        mask = mask[burn_in:]
        # Nothing tells what is legal after the end of an episode.
        next_mask = mask[1:] | ended.view(*valid.shape, 1)
        next_mask = pick(next_mask[last, columns])
    transitions = SequenceTransitions(
        observations=seen(places[:-1]),
        actions=pick(sequences.actions[burn_in:]),
        rewards=pick(returns),
        steps=pick(steps),
        terminated=pick(terminated.gather(0, last)),
        next_observations=seen(following.gather(0, last)),
        action_mask=None if mask is None else pick(mask[:-1]),
        next_action_mask=next_mask,
    )
    return transitions, pick(columns).cpu().numpy()


def n_step_rewards(rewards: Tensor, ended: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Rewards [L, B, n] of each step [L, B] and those after it, and how many they are [L, B], from 1 to n.

    They go on to the end of the episode or the sequence at most, and are 0 after that. ``ended`` [L, B] marks the last
    steps of episodes.
    """
    length = len(rewards)
    returns, steps = rewards.new_zeros(*rewards.shape, n), torch.zeros_like(ended, dtype=torch.int64)
    goes_on = torch.ones_like(ended)
    for k in range(min(n, length)):
        goes_on = goes_on[: length - k]
        returns[: length - k, :, k] = rewards[k:] * goes_on
        steps[: length - k] += goes_on
        goes_on = goes_on & ~ended[k:]
    return returns, steps
