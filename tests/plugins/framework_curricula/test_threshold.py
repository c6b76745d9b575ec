from typing import Any

import numpy as np
import pytest
from curricula import CONTEXT, episode, restored
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_curricula.config import ThresholdConfig
from framework_curricula.threshold import Threshold


def build(**options: Any) -> Threshold:
    return Threshold(ThresholdConfig(**{"start": 0.5, **options}), CONTEXT)


def levels(curriculum: Threshold, script: str) -> list[float]:
    """The levels after each episode of a script of successes (+) and failures (-) at the current level."""
    return [curriculum.update([episode(curriculum.level, sign == "+")])["level"] for sign in script]


def test_the_exact_sequence_of_levels() -> None:
    """Up by 1.05 above .8, down by .9 below .3, as it is in between and at both, each level with its own window."""
    curriculum = build()
    assert levels(curriculum, "+" * 20) == [0.5] * 19 + [0.5 * 1.05]
    level = 0.5 * 1.05
    # 16 of 20 is .8, which is not above; the next success pushes a failure out of the window, and 17 of 20 is.
    assert levels(curriculum, "----" + "+" * 16) == [level] * 20
    assert levels(curriculum, "+") == [level * 1.05]
    level *= 1.05
    # 6 of 20 is .3, which is not below.
    assert levels(curriculum, "+" * 6 + "-" * 14) == [level] * 20
    assert levels(curriculum, "-") == [level * 0.9]
    level *= 0.9
    assert levels(curriculum, "+-" * 30) == [level] * 60


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["now", "before", "review"]), st.booleans()), max_size=300), st.data())
def test_levels_against_a_plain_reference(script: list[tuple[str, bool]], data: st.DataObject) -> None:
    """Only episodes at the current level count, however the episodes are cut into updates."""
    curriculum = build(window=20, raise_above=0.6, lower_below=0.4)
    level, before, results = 0.5, 0.4, []
    while script:
        size = data.draw(st.integers(1, 30))
        chunk, script = script[:size], script[size:]
        handed_out, earlier = level, before
        episodes = []
        for kind, success in chunk:
            task = {"now": handed_out, "before": earlier, "review": handed_out / 2}[kind]
            episodes.append(episode(task, success))
            if task != level:
                continue
            results.append(success)
            if len(results) >= 20:
                rate = np.mean(results[-20:])
                factor = 1.05 if rate > 0.6 else 0.9 if rate < 0.4 else None
                if factor is not None and min(level * factor, 1.0) != level:
                    before, level, results = level, min(level * factor, 1.0), []
        assert curriculum.update(episodes)["level"] == level


def test_levels_stay_within_their_bounds() -> None:
    """At the highest and the lowest level success and failure change nothing."""
    curriculum = build(maximum=0.52, minimum=0.48)
    assert levels(curriculum, "+" * 20)[-1] == 0.52
    assert levels(curriculum, "+" * 30)[-1] == 0.52
    assert levels(curriculum, "-" * 60)[-1] == 0.48
    assert levels(curriculum, "-" * 30)[-1] == 0.48


def test_some_tasks_are_easier_for_review() -> None:
    """A fifth of the tasks is uniform between the lowest level and the current one, all others are the current one."""
    tasks = np.array(build(minimum=0.1).sample(50_000, np.random.default_rng(0)))
    easier = tasks[tasks != 0.5]
    assert easier.size / tasks.size == pytest.approx(0.2, abs=0.01)
    assert easier.min() >= 0.1
    counts, _ = np.histogram(easier, bins=10, range=(0.1, 0.5))
    np.testing.assert_allclose(counts / easier.size, 0.1, atol=0.015)
    assert set(build(review=0.0).sample(100, np.random.default_rng(0))) == {0.5}
    assert all(type(task) is float for task in build().sample(10, np.random.default_rng(0)))


def test_metrics_tell_the_rate_at_the_current_level() -> None:
    """It is left out where no episode was played there."""
    curriculum = build()
    assert curriculum.update([]) == {"level": 0.5, "episodes_at_level": 0.0}
    metrics = curriculum.update([episode(0.5, True), episode(0.5, False), episode(0.1, False)])
    assert metrics == {"level": 0.5, "episodes_at_level": 2.0, "success_rate": 0.5}


def test_state_survives() -> None:
    """Level and window go on as if nothing had happened, through JSON."""
    curriculum = build()
    levels(curriculum, "+" * 20 + "+-+" * 6)
    copy = restored(curriculum, build())
    assert copy.state_dict() == curriculum.state_dict()
    assert levels(copy, "+" * 40) == levels(curriculum, "+" * 40)
    assert copy.sample(9, np.random.default_rng(1)) == curriculum.sample(9, np.random.default_rng(1))


def test_returns_may_tell_success() -> None:
    """``success_return`` is for environments that do not."""
    curriculum = build(success_return=10.0)
    curriculum.update([episode(0.5, **{"return": 10.0})] * 20)
    assert curriculum.level == 0.5 * 1.05
