"""Checks of replay buffers that have a form for sequences, against all batches one after the other."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.interfaces import SequenceReplay
from framework.testing.compare import assert_finite, difference
from framework.testing.experience import Experience, RandomPolicy
from framework.testing.subject import Skip, Subject

if TYPE_CHECKING:
    from framework.interfaces import Batch, Sequences

_COUNT, _TRAJECTORY, _LENGTH, _CAPACITY = 4, 8, 20, 160


class Counting(RandomPolicy):
    """Random legal actions; its memory ``steps`` [N, 1] counts those since the start of an episode."""

    def initial_memory(self, count: int) -> dict[str, Any]:
        """Zeros."""
        import torch

        return {"steps": torch.zeros(count, 1)}

    def act(
        self, observation: Any, memory: Any, first: Any, generator: Any, **options: Any
    ) -> tuple[Any, dict[str, Any], Any]:
        """See `framework.interfaces.Policy`."""
        actions, extras, _ = super().act(observation, {}, first, generator, **options)
        return actions, extras, {"steps": memory["steps"] * ~first.unsqueeze(1) + 1.0}


def check_sequences_are_what_was_stored(subject: Subject) -> None:
    """Where it has a form for sequences: each begins with a trajectory and its memory, and goes on step by step."""
    buffer, experience = _with(subject)
    batches, rng, starts = [], np.random.default_rng(0), set()
    for number in range(8):
        batches.append(next(experience))
        buffer.add(batches[-1])
        whole = max((number + 1) * _TRAJECTORY - _LENGTH, -1) // _TRAJECTORY + 1
        assert (len(buffer) > 0) == (whole > 0), f"len is {len(buffer)}, where {whole} have all their steps"
        if whole:
            sequences, ids, weights = buffer.sample(16, rng)
            assert len(ids) == len(weights) == 16, "not as many were sampled as asked for"
            assert 0 < weights.min() <= weights.max() <= 1 + 1e-6, "weights must be in (0, 1]"
            starts |= {_check(sequences, column, batches) for column in range(16)}
            buffer.update_priorities(ids, rng.random(16))
    assert len({n for _, n in starts}) == _COUNT, "sequences of some environments are never sampled"
    assert len({row for row, _ in starts}) > 1, "sequences of one trajectory alone are sampled"


def check_sequences_resume(subject: Subject) -> None:
    """Where it has a form for sequences: a restored buffer samples the same, bit for bit."""
    buffer, experience = _with(subject)
    for _ in range(4):
        buffer.add(next(experience))
    restored, _ = _with(subject)
    restored.load_state_dict(deepcopy(buffer.state_dict()))
    for seed in range(3):
        first, second = (_sampled(sampled, seed) for sampled in (buffer, restored))
        assert not (changed := difference(first, second)), f"the restored buffer samples something else: {changed}"
        batch = next(experience)
        for changed_buffer in (buffer, restored):
            changed_buffer.add(batch)
            changed_buffer.update_priorities(first["ids"], np.linspace(0.0, 1.0, 8))


def _check(sequences: Sequences, column: int, batches: list[Batch]) -> tuple[int, int]:
    """Compare one sequence with the steps from where it begins, which is returned: row and environment."""
    import torch

    chances = torch.cat([batch.extras["chance"] for batch in batches])
    places = (chances == sequences.extras["chance"][0, column]).nonzero().tolist()
    assert len(places) == 1, "what was recorded for a sequence's first step was never stored"
    row, n = places[0]
    assert row % _TRAJECTORY == 0, "a sequence begins within a trajectory, where no memory is known"
    steps = slice(row, row + _LENGTH)
    done = torch.cat([batch.terminated | batch.truncated for batch in batches])[steps, n]
    expected: dict[str, Any] = {
        name: torch.cat([getattr(batch, name) for batch in batches])[steps, n]
        for name in ("actions", "rewards", "terminated", "valid")
    }
    expected["first"] = torch.cat([batch.first[:-1] for batch in batches] + [batches[-1].first[-1:]])[
        row : row + _LENGTH + 1, n
    ]
    actual = {name: getattr(sequences, name)[:, column] for name in expected}
    for name in sequences.observations:
        whole = [batch.observations[name][:-1] for batch in batches] + [batches[-1].observations[name][-1:]]
        expected[name] = torch.cat(whole)[row : row + _LENGTH + 1, n]
        actual[name] = sequences.observations[name][:, column]
    expected["memory"] = batches[row // _TRAJECTORY].memory["steps"][n]
    actual["memory"] = sequences.memory["steps"][column]
    count = len(sequences.memory["steps"])
    of_column = (sequences.final_index % count == column).nonzero().squeeze(1)
    expected["ends"], actual["ends"] = done.nonzero().squeeze(1), sequences.final_index[of_column] // count
    assert not (differing := difference(actual, expected)), f"a sequence differs from what was stored: {differing}"
    for k in of_column.tolist():
        t = row + int(sequences.final_index[k]) // count
        batch, place = batches[t // _TRAJECTORY], (t % _TRAJECTORY) * _COUNT + n
        original = (batch.final_index == place).nonzero().item()
        for name, values in sequences.final_observations.items():
            assert_finite(values[k], "a final observation")
            last = batch.final_observations[name][int(original)]
            assert not difference(values[k], last), "the true last observation of an episode is another one"
    return row, n


def _with(subject: Subject) -> tuple[Any, Experience]:
    """The form of the buffer for sequences, and what can be added to it."""
    context = subject.context("vector" if "vector" in subject.observations else None, num_envs=_COUNT)
    replay = subject.with_options(capacity=_CAPACITY).build(context)
    if not isinstance(replay, SequenceReplay):
        raise Skip("it has no form for sequences, which policies with memory learn from")
    return replay.sequences(_LENGTH), Experience(context, Counting(context.action_space))


def _sampled(buffer: Any, seed: int) -> dict[str, Any]:
    sequences, ids, weights = buffer.sample(8, np.random.default_rng(seed))
    return {"ids": ids, "weights": weights} | {name: getattr(sequences, name) for name in sequences.__annotations__}


CHECKS = (check_sequences_are_what_was_stored, check_sequences_resume)
