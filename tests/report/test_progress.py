from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.report import progress
from framework.report.progress import Course, Progress, describe_evaluation
from framework.report.text_chart import Style

PLAIN = Style(unicode=False)


def update(number: int, waiting: float = 0.1, updating: float = 0.1, **metrics: Any) -> Any:
    metrics = {"time/waiting": waiting, "time/updating": updating, "return": 1.0, "lag": 0, **metrics}
    return SimpleNamespace(number=number, steps=number * 100, metrics=metrics, evaluation=None)


def shown(*updates: Any, total: int = 1000, apart: bool = True) -> Progress:
    run = Progress(total, apart)
    for change in updates:
        run.add(change)
    return run


@pytest.mark.parametrize(
    ("apart", "name", "value"),
    [(True, "bottleneck", "sampling (48% waiting)"), (False, "time", "48% sampling, 52% learning")],
)
def test_bottleneck_is_one_of_two_that_overlap(apart: bool, name: str, value: str) -> None:
    """Without samplers nobody waits: sampling and learning take turns, and their shares are told."""
    row = shown(update(1, 0.48, 0.52), apart=apart).row()
    assert row[name] == value
    assert len({"bottleneck", "time"} & row.keys()) == 1


def test_speed_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start of the samplers, and what was long ago, do not count; so the time left follows."""
    clock = iter([0.0, 100.0, 105.0, 110.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    row = shown(update(1, waiting=50.0), update(2, 3.0, 1.0), update(3, 3.0, 1.0), update(4, 3.0, 1.0)).row()
    assert row["steps/s"] == "20"
    assert row["left"] == "0:30"
    assert row["bottleneck"] == "sampling (75% waiting)"


def test_machines_have_rows() -> None:
    """Each its samplers and speed, its lag where it brought something, and how often it came back."""
    change = update(1)
    for name, values in (("learner", (1, 0, 1000.4)), ("box", (16, 2, 20_000.0))):
        for column, value in zip(("samplers", "reconnects", "steps_per_second"), values, strict=True):
            change.metrics[f"time/machine/{name}/{column}"] = value
    change.metrics["time/machine/box/lag"] = 1.5
    row = shown(change).row()
    assert row["learner"] == "1 sampler, 1,000 steps/s"
    assert row["box"] == "16 samplers, 20,000 steps/s, lag 1.5, 2 reconnects"
    assert "machines" not in row


def test_of_many_machines_the_first_are_shown() -> None:
    """And how many there are beside."""
    change = update(1)
    for number in range(20):
        for column in ("samplers", "reconnects", "steps_per_second"):
            change.metrics[f"time/machine/box-{number}/{column}"] = 1
    row = shown(change).row()
    assert [name for name in row if name.startswith("box")] == [f"box-{number}" for number in range(8)]
    assert row["machines"] == "12 more"


def test_rows_of_what_a_run_has() -> None:
    """Success, level and bonuses, where there are any."""
    row = shown(update(1, **{"success": 0.5, "curriculum/level": 0.25, "bonus/novelty/reward": 0.125})).row()
    assert (row["success"], row["level"], row["novelty"]) == ("50%", "0.25", "0.125")


@pytest.mark.parametrize(
    ("end", "steps", "head"),
    [
        ("done", 10, "done: 1,000 steps in 1:05"),
        ("done", 4, "stopped at 400 of 1,000 steps after 1:05"),
        ("interrupted", 4, "interrupted at 400 of 1,000 steps after 1:05"),
        ("failed", 4, "failed at 400 of 1,000 steps after 1:05"),
    ],
)
def test_result_says_how_it_ended(end: Any, steps: int, head: str) -> None:
    """After how many steps, and how long it took."""
    run = shown(update(steps, **{"time/seconds": 65.2}))
    assert run.result(end, 80, PLAIN, brief=False) == [head, "return  1.00  _"]
    assert run.result(end, 80, PLAIN, brief=True) == [f"{head}  return 1.00 _"]


@given(st.integers(4, 120), st.integers(0, 30))
def test_bar_fits_the_line(width: int, number: int) -> None:
    """Whatever its width; it is full at the end, and not beyond."""
    head = shown(update(number), total=1000).lines(width, PLAIN)[0]
    assert len(head) <= max(width, 12)
    assert head.count("#") + head.count("-") >= 4
    assert ("-" not in head.split()[0]) == (number >= 10) or width < 20


def test_run_that_has_not_begun() -> None:
    """It is starting."""
    assert Progress(1000).lines(30, PLAIN) == ["-" * 15 + "   0%  starting"]


@given(st.lists(st.floats(-1e3, 1e3), max_size=200))
def test_course_keeps_few_values_in_their_order(values: list[float]) -> None:
    """All of few; of many the means of neighbours, each of as many but for the last."""
    course = Course()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "_KEPT", 16)
        for value in values:
            course.add(value)
    share = 1
    while len(values) // share >= 16:
        share *= 2
    expected = [fmean(values[start : start + share]) for start in range(0, len(values), share)]
    assert course.values == pytest.approx(expected)
    assert len(course.values) <= 16


def test_evaluations_in_words() -> None:
    """Success and the environment's own measures, where there are any."""
    summary = {"return": 1.0, "return_min": 0.0, "return_max": 2.0, "length": 3.0, "success": 0.5, "metrics/skill": 2}
    line = {f"evaluation/{name}": value for name, value in summary.items()} | {"steps": 1000, "evaluation/episodes": 4}
    assert describe_evaluation(line) == (
        "evaluation at 1,000 steps: return 1.00 (min 0.00, max 2.00), length 3.0, success 50%, skill 2, 4 episodes"
    )
