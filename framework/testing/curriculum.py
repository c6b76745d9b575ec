"""Checks of curricula."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from itertools import count
from math import sqrt
from typing import Any

import numpy as np

from framework.errors import FrameworkError
from framework.testing.common import Trial
from framework.testing.compare import assert_finite, difference
from framework.testing.subject import Skip, Subject

Episode = dict[str, Any]

#: Tasks drawn where their shares are measured.
_DRAWS = 4000


def trial(subject: Subject) -> Trial:
    """See `framework.testing.common`: each use draws tasks and learns from the episodes played on them."""
    context = subject.context()

    def use(curriculum: Any, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        tasks = curriculum.sample(16, rng)
        return tasks, curriculum.update(played(tasks, lambda _: bool(rng.random() < 0.6), rng))

    return Trial(lambda: subject.build(context), lambda _: count(), use)


def check_tasks(subject: Subject) -> None:
    """As many tasks come as were asked for, as plain values: numbers, texts, lists, tables."""
    from framework.runtime.data.tasks import decode_tasks, encode_tasks

    curriculum = subject.build(subject.context())
    for number, size in enumerate((0, 1, 7, 64)):
        rng = np.random.default_rng(number)
        tasks = curriculum.sample(size, rng)
        assert isinstance(tasks, list), f"sample gives a {type(tasks).__name__}, not a list"
        assert len(tasks) == size, f"asked for {size} tasks it gave {len(tasks)}"
        try:
            received = decode_tasks(encode_tasks(tasks))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"a task is no plain value: {error}") from error
        assert received == tasks, f"tasks arrive as something else: {tasks} became {received}"
        assert_finite(curriculum.update(played(tasks, lambda _: True, rng)), "metric ")


def check_sampling_has_no_memory(subject: Subject) -> None:
    """Tasks depend on the state and the generator alone, and drawing them changes nothing."""
    curriculum = _trained(subject, lambda task: len(json.dumps(task)) % 2 == 0)
    state = deepcopy(curriculum.state_dict())
    drawn = [curriculum.sample(32, np.random.default_rng(0)) for _ in range(2)]
    assert drawn[0] == drawn[1], "equal generators gave different tasks: all chance has to come from the generator"
    assert not (changed := difference(state, curriculum.state_dict())), f"drawing tasks changed its state: {changed}"


def check_any_order(subject: Subject) -> None:
    """Episodes may come in any order, late, twice, on tasks it never drew, or not at all."""
    curriculum = subject.build(subject.context())
    rng = np.random.default_rng(0)
    episodes = played(curriculum.sample(64, rng), lambda _: bool(rng.random() < 0.5), rng)
    late = [episodes[index] for index in rng.permutation(64)]
    unknown = [{**episodes[0], "task": task} for task in ("no such task", -17, [1, 2], {"a": 1}, None)]
    for finished in ([], late[:40], late[20:50], unknown, late[:1]):
        assert_finite(curriculum.update(deepcopy(finished)), "metric ")
    curriculum.sample(16, rng)


def check_missing_results(subject: Subject) -> None:
    """Episodes without success or score are left out, or refused with a reason; never taken for failures silently."""
    curriculum = subject.build(subject.context())
    rng = np.random.default_rng(0)
    reasons = []
    for missing in (("success",), ("score",), ("success", "score")):
        episodes = played(curriculum.sample(16, rng), lambda _: True, rng)
        for episode in episodes:
            for name in missing:
                del episode[name]
        try:
            assert_finite(curriculum.update(episodes), "metric ")
        except FrameworkError as refusal:
            reasons.append(str(refusal))
    assert all(reasons), "it refuses episodes without saying why"
    curriculum.sample(16, rng)


def check_episodes_are_left_alone(subject: Subject) -> None:
    """The episodes and their tasks stay as they are."""
    curriculum = subject.build(subject.context())
    rng = np.random.default_rng(0)
    episodes = played(curriculum.sample(16, rng), lambda _: True, rng)
    copied = deepcopy(episodes)
    curriculum.update(episodes)
    assert episodes == copied, "update changed the episodes"


def check_no_task_starves(subject: Subject) -> None:
    """Where `minimum_probability` is declared, no task falls below it, whatever is succeeded at."""
    curriculum = subject.build(subject.context())
    least = getattr(curriculum, "minimum_probability", 0.0)
    if not least:
        raise Skip("it declares no minimum_probability")
    tasks = set(_shares(curriculum))
    assert len(tasks) * least <= 1 + 1e-9, f"{len(tasks)} tasks cannot have a probability of {least} each"
    half = set(sorted(tasks)[::2])
    for succeeds in (half.__contains__, tasks.difference(half).__contains__, lambda _: False, lambda _: True):
        curriculum = _trained(subject, succeeds)
        shares = _shares(curriculum)
        # Four standard deviations below what is declared.
        bound = least - 4 * sqrt(least * (1 - least) / _DRAWS)
        for task in sorted(tasks):
            share = shares.get(task, 0) / _DRAWS
            assert share >= bound, f"task {task} is drawn with {share:.4f}, declared is at least {least:.4f}"


# --- helpers -----------------------------------------------------------------------------------------------------


def played(tasks: list[Any], succeeds: Callable[[Any], bool], rng: np.random.Generator) -> list[Episode]:
    """An episode on each task, as the kernel reports it."""
    episodes = []
    for number, task in enumerate(tasks):
        success = bool(succeeds(task))
        episodes.append(
            {
                "task": task,
                "return": float(success),
                "length": int(rng.integers(1, 100)),
                "environment": number % 4,
                "number": number,
                "success": success,
                "score": float(rng.random()),
            }
        )
    return episodes


def _trained(subject: Subject, succeeds: Callable[[str], bool]) -> Any:
    """A curriculum after some hundred episodes; ``succeeds`` gets a task as JSON."""
    curriculum = subject.build(subject.context())
    for seed in range(12):
        rng = np.random.default_rng(seed)
        tasks = curriculum.sample(64, rng)
        curriculum.update(played(tasks, lambda task: succeeds(json.dumps(task)), rng))
    return curriculum


def _shares(curriculum: Any) -> Counter[str]:
    """How often each task is drawn."""
    return Counter(map(json.dumps, curriculum.sample(_DRAWS, np.random.default_rng(0))))


CHECKS = (
    check_tasks,
    check_sampling_has_no_memory,
    check_any_order,
    check_missing_results,
    check_episodes_are_left_alone,
    check_no_task_starves,
)
