"""Checks of replay buffers, against a list of all steps."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from itertools import islice
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from framework.testing import sequences
from framework.testing.common import Trial
from framework.testing.compare import assert_finite, difference
from framework.testing.experience import Experience, contents, with_reset_step
from framework.testing.subject import Skip, Subject, over

if TYPE_CHECKING:
    from framework.interfaces import Batch, Context, Transitions

_COUNT, _LENGTH = 4, 8
#: Transitions kept: two batches and a half.
_CAPACITY = 80


class Step(NamedTuple):
    """One step as the list keeps it."""

    observations: dict[str, Any]
    action: Any
    reward: float
    terminated: bool
    truncated: bool
    following: dict[str, Any]  #: the true next observation
    mask: Any
    following_mask: Any  #: None where the episode ended
    chance: float  #: the extra of `framework.testing.experience.RandomPolicy`


class Model:
    """The reference: every step that was ever added, in order for each environment."""

    def __init__(self) -> None:
        self.columns: list[list[Step]] = [[] for _ in range(_COUNT)]
        self.places: dict[int, tuple[int, int]] = {}  #: id -> environment, place in its list

    def add(self, batch: Batch, ids: np.ndarray) -> None:
        """Keep the steps of a batch."""
        final = {int(index): k for k, index in enumerate(batch.final_index)}
        assert batch.action_mask is not None
        for t, n in np.argwhere(batch.valid.numpy()).tolist():
            done = bool(batch.terminated[t, n] or batch.truncated[t, n])
            source, row = (
                (batch.final_observations, (final[t * _COUNT + n],)) if done else (batch.observations, (t + 1, n))
            )
            step = Step(
                {name: x[t, n] for name, x in batch.observations.items()},
                batch.actions[t, n],
                float(batch.rewards[t, n]),
                bool(batch.terminated[t, n]),
                bool(batch.truncated[t, n]),
                {name: x[row] for name, x in source.items()},
                batch.action_mask[t, n],
                None if done else batch.action_mask[t + 1, n],
                float(batch.extras["chance"][t, n]),
            )
            self.places[int(ids[t, n])] = (n, len(self.columns[n]))
            self.columns[n].append(step)

    def check(self, number: int, id: int, sampled: Transitions, length: int) -> None:
        """Compare row ``number`` of what was sampled with what the list has for its id."""
        column, place = self.places[id]
        count = int(sampled.steps[number])
        assert 1 <= count <= length, f"a transition of {count} steps, where at most {length} were asked for"
        steps = self.columns[column][place : place + count]
        assert len(steps) == count, "a transition goes on beyond what was stored"
        assert not any(step.terminated or step.truncated for step in steps[:-1]), (
            "a transition crosses an episode's end"
        )
        last = steps[-1]
        ends = last.terminated or last.truncated or place + count == len(self.columns[column])
        assert count == length or ends, f"a transition of {count} steps, though {length} were there"
        rewards = [step.reward for step in steps] + [0.0] * (length - count)
        masks = {} if last.following_mask is None else {"next_action_mask": last.following_mask}
        expected = {
            "observations": steps[0].observations,
            "actions": steps[0].action,
            "rewards": np.array(rewards, np.float32),
            "terminated": last.terminated,
            "next_observations": last.following,
            "action_mask": steps[0].mask,
            "extras": {"chance": np.float32(steps[0].chance)},
            **masks,
        }
        actual = {name: _row(getattr(sampled, name), number) for name in expected}
        assert not (differing := difference(actual, expected)), f"the transition of id {id}: {differing}"


def _steps(subject: Subject) -> Iterable[str]:
    return ("1", "3") if hasattr(subject.chosen.config, "n_step") else ("1",)


def trial(subject: Subject) -> Trial:
    """See `framework.testing.common`: each use adds a batch, samples, and changes priorities."""
    context = _context(subject)

    def use(replay: Any, batch: Batch) -> Any:
        ids = replay.add(batch)
        rng = np.random.default_rng(len(replay))
        transitions, sampled, weights = replay.sample(16, rng)
        replay.update_priorities(sampled, rng.random(16))
        return ids, _values(transitions), sampled, weights, len(replay)

    return Trial(lambda: _small(subject).build(context), lambda _: Experience(context, masked=True), use)


def check_ids(subject: Subject) -> None:
    """Each stored step gets an int64 of its own, for ever; -1 stands where no action was taken."""
    replay, experience = _with(subject)
    used: set[int] = set()
    for number in range(8):
        batch = _batch(next(experience), number)
        ids = replay.add(batch)
        assert ids.dtype == np.int64, f"ids are {ids.dtype}, not int64"
        assert ids.shape == tuple(batch.rewards.shape), f"ids are {list(ids.shape)}, not [T, N]"
        valid = batch.valid.numpy()
        assert (ids[~valid] == -1).all(), "the id of a step that is not valid must be -1"
        new = set(ids[valid].tolist())
        assert len(new) == valid.sum(), "two steps of a batch have the same id"
        assert min(new) >= 0, "an id is negative"
        assert not (used & new), "an id is used again: whoever remembers it means an evicted step"
        used |= new


@over(_steps)
def check_transitions(subject: Subject, length: str) -> None:
    """What is sampled is what was stored; n steps never cross an episode's end, and end with its true observation."""
    replay, experience = _with(subject, int(length))
    model, rng = Model(), np.random.default_rng(0)
    for number in range(8):
        batch = _batch(next(experience), number)
        model.add(deepcopy(batch), replay.add(batch))
        transitions, ids, weights = replay.sample(32, rng)
        assert len(ids) == len(weights) == len(transitions.rewards) == 32, "not as many were sampled as asked for"
        assert transitions.rewards.shape[1] == int(length), f"rewards are {list(transitions.rewards.shape)}"
        for index, id in enumerate(ids.tolist()):
            assert id in model.places, f"the id {id} was never given"
            model.check(index, id, transitions, int(length))


def check_everything_can_be_sampled(subject: Subject) -> None:
    """Before it is full, every stored step is sampled at times; `len` says how many these are."""
    replay, experience = _with(subject)
    added = np.concatenate([replay.add(batch).ravel() for batch in islice(experience, 2)])
    sampled = set(_draw(replay, 100 * len(added)).tolist())
    assert len(sampled) == len(replay), f"{len(sampled)} different steps are sampled, and len says {len(replay)}"
    missing = set(added.tolist()) - sampled
    # The newest step of an environment may have to wait for what follows it.
    assert len(missing) <= _COUNT, f"{len(missing)} of {len(added)} stored steps are never sampled"


def check_evicts_the_oldest(subject: Subject) -> None:
    """It holds no more than its capacity, and what it holds is the newest."""
    if not hasattr(subject.chosen.config, "capacity"):
        raise Skip("it has no option capacity")
    replay, experience = _with(subject)
    ids = [replay.add(batch) for batch in islice(experience, 8)]
    assert len(replay) <= _CAPACITY, f"it holds {len(replay)} transitions, and its capacity is {_CAPACITY}"
    assert len(replay) >= _CAPACITY // 2, f"it holds {len(replay)} transitions of the {_CAPACITY} that it should"
    batches = -(-_CAPACITY // (_COUNT * _LENGTH))
    old = {int(id) for batch in ids[:-batches] for id in batch.ravel()}
    sampled = old & set(_draw(replay, 4000).tolist())
    assert not sampled, f"{len(sampled)} steps are sampled that should have been evicted"


def check_sampling_statistics(subject: Subject) -> None:
    """Importance weights are in (0, 1]; where all are equal, sampling is uniform."""
    replay, experience = _with(subject)
    for batch in islice(experience, 2):
        replay.add(batch)
    rng = np.random.default_rng(0)
    ids, samples = zip(*(replay.sample(100, rng)[1:] for _ in range(100)), strict=True)
    weights = np.concatenate(samples)
    assert_finite(weights, "the weights")
    assert weights.dtype == np.float32, f"weights are {weights.dtype}, not float32"
    assert 0 < weights.min() <= weights.max() <= 1 + 1e-6, (
        f"weights are from {weights.min():.3g} to {weights.max():.3g}"
    )
    if np.ptp(weights) > 1e-6:
        raise Skip("its weights differ from the start, so that it need not sample uniformly")
    counts = np.unique(np.concatenate(ids), return_counts=True)[1]
    even = counts.sum() / len(replay)
    statistic = float(((counts - even) ** 2 / even).sum()) + even * (len(replay) - len(counts))
    degrees = len(replay) - 1
    assert statistic < degrees + 6 * sqrt(2 * degrees), (
        f"steps of equal weight are not sampled equally often: chi square {statistic:.0f} of {degrees} degrees"
    )


def check_priorities(subject: Subject) -> None:
    """A higher priority never makes a step rarer; where it makes it more frequent, its weight falls."""
    replay, experience = _with(subject)
    ids = replay.add(next(experience)).ravel()
    replay.update_priorities(ids, np.ones(len(ids)))
    raised = int(_draw(replay, 1)[0])
    replay.update_priorities([raised], [1000.0])
    rng = np.random.default_rng(0)
    drawn, weights = zip(*(replay.sample(50, rng)[1:] for _ in range(40)), strict=True)
    all_ids, all_weights = np.concatenate(drawn), np.concatenate(weights)
    share, even = (all_ids == raised).mean(), 1 / len(replay)
    assert share > even / 2, f"the step of the highest priority is sampled with {share:.4f}, all others more often"
    if share > 4 * even:
        weight, other_weights = all_weights[all_ids == raised].max(), all_weights[all_ids != raised]
        assert not len(other_weights) or weight < other_weights.min(), (
            "what is sampled more often has no smaller weight"
        )


def check_evicted_ids_are_ignored(subject: Subject) -> None:
    """A priority for a step that was evicted meanwhile changes nothing; of one given twice, the last counts."""
    if not hasattr(subject.chosen.config, "capacity"):
        raise Skip("it has no option capacity")
    replay, experience = _with(subject)
    ids = [replay.add(batch).ravel() for batch in islice(experience, 8)]
    state = deepcopy(replay.state_dict())
    replay.update_priorities(ids[0], np.full(len(ids[0]), 1e6))
    # The largest priority ever seen may be noted; what is stored may not change.
    assert not difference(_sampled(replay), _sampled(_loaded(subject, state))), "an evicted id changed the sampling"
    replay.update_priorities([ids[-1][0], ids[-1][0]], [1e6, 1.0])
    set_once = _loaded(subject, state)
    set_once.update_priorities([ids[-1][0]], [1.0])
    assert not difference(_sampled(replay)[:2], _sampled(set_once)[:2]), "of an id given twice the last must count"


def check_nothing_is_shared(subject: Subject) -> None:
    """Neither the batch that was added nor what was sampled has a hold on what is stored."""
    replay, experience = _with(subject)
    batch = next(experience)
    replay.add(batch)
    stored = deepcopy(_sampled(replay))
    for x in (*batch.observations.values(), batch.actions, batch.rewards, *batch.extras.values()):
        x.zero_()
    changed = difference(stored, _sampled(replay))
    assert not changed, f"changing the batch changed what is stored: {changed}"
    transitions, _, _ = replay.sample(64, np.random.default_rng(0))
    for x in (*transitions.observations.values(), *transitions.next_observations.values(), transitions.rewards):
        x.zero_()
    changed = difference(stored, _sampled(replay))
    assert not changed, f"changing a sample changed what is stored: {changed}"


def check_batch_is_left_alone(subject: Subject) -> None:
    """The batch stays as it is."""
    replay, experience = _with(subject)
    batch = next(experience)
    copied = deepcopy(batch)
    replay.add(batch)
    assert not (changed := difference(contents(batch), contents(copied))), f"it changed the batch: {changed}"


# --- helpers -----------------------------------------------------------------------------------------------------


def _context(subject: Subject) -> Context:
    name = "mixed" if "mixed" in subject.observations else subject.observation
    return subject.context(name, "masked", num_envs=_COUNT, rollout_length=_LENGTH)


def _small(subject: Subject, length: int = 1) -> Subject:
    return subject.with_options(capacity=_CAPACITY, n_step=length)


def _with(subject: Subject, length: int = 1) -> tuple[Any, Experience]:
    """A small buffer, and what can be added to it."""
    context = _context(subject)
    return _small(subject, length).build(context), Experience(context, masked=True)


def _loaded(subject: Subject, state: dict[str, Any]) -> Any:
    replay, _ = _with(subject)
    replay.load_state_dict(deepcopy(state))
    return replay


def _batch(batch: Batch, number: int) -> Batch:
    """Every third batch has a step in which no action was taken, where one can be."""
    try:
        return with_reset_step(batch) if number % 3 == 1 else batch
    except ValueError:
        return batch


def _draw(replay: Any, count: int) -> np.ndarray:
    ids: np.ndarray = replay.sample(count, np.random.default_rng(0))[1]
    return ids


def _sampled(replay: Any) -> tuple[Any, ...]:
    transitions, ids, weights = replay.sample(64, np.random.default_rng(0))
    return ids, _values(transitions), weights


def _values(transitions: Transitions) -> dict[str, Any]:
    return {name: getattr(transitions, name) for name in transitions.__annotations__}


def _row(value: Any, number: int) -> Any:
    return {name: x[number] for name, x in value.items()} if isinstance(value, dict) else value[number]


CHECKS = (
    check_ids,
    check_transitions,
    check_everything_can_be_sampled,
    check_evicts_the_oldest,
    check_sampling_statistics,
    check_priorities,
    check_evicted_ids_are_ignored,
    check_nothing_is_shared,
    check_batch_is_left_alone,
    *sequences.CHECKS,
)
