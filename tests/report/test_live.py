import io
from types import SimpleNamespace
from typing import Any

import pytest

from framework.report.live import Output, Progress, watch


def update(number: int, waiting: float, updating: float) -> Any:
    metrics = {"time/waiting": waiting, "time/updating": updating, "return": 1.0, "lag": 0}
    return SimpleNamespace(steps=number * 100, metrics=metrics, evaluation=None)


@pytest.mark.parametrize(
    ("apart", "name", "value"),
    [(True, "bottleneck", "sampling (48% waiting)"), (False, "time", "48% sampling, 52% learning")],
)
def test_bottleneck_is_one_of_two_that_overlap(apart: bool, name: str, value: str) -> None:
    """Without samplers nobody waits: sampling and learning take turns, and their shares are told."""
    progress = Progress(1000, apart)
    progress.add(update(1, 0.48, 0.52))
    row = progress.row(update(1, 0.48, 0.52))
    assert row[name] == value
    assert len({"bottleneck", "time"} & row.keys()) == 1


class Broken(io.StringIO):
    """A stream whose reader is gone."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal
        self.lines = 0

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.lines += 1
        if self.lines > self.terminal:  # a terminal is prepared before anything is shown
            raise BrokenPipeError(32, "Broken pipe")
        return len(text)


@pytest.mark.parametrize("terminal", [False, True])
def test_run_goes_on_unseen(terminal: bool, capsys: Any) -> None:
    """Where the output cannot be written to, one line says so, and every update is done."""
    updates = [update(number, 0.1, 0.1) for number in range(1, 6)]
    assert watch(iter(updates), 500, Output(Broken(terminal))) is updates[-1]
    assert capsys.readouterr().err.count("the run continues without it") == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_errors_of_the_run_are_not_taken_for_the_output_s(terminal: bool) -> None:
    """An exception of the run reaches the caller, whatever its type."""
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]

    def failing() -> Any:
        yield update(1, 0.1, 0.1)
        raise OSError("of the run")

    with pytest.raises(OSError, match="of the run"):
        watch(failing(), 500, Output(stream))


def test_no_standard_output() -> None:
    """A closed standard output is none to write to."""
    assert watch(iter([update(1, 0.1, 0.1)]), 500, Output(None)) is not None


def test_machines_have_rows() -> None:
    """Each its samplers and speed, its lag where it brought something, and how often it came back."""
    shown = update(1, 0.1, 0.1)
    for name, values in (("learner", (1, 0, 1000.4)), ("box", (16, 2, 20_000.0))):
        for column, value in zip(("samplers", "reconnects", "steps_per_second"), values, strict=True):
            shown.metrics[f"time/machine/{name}/{column}"] = value
    shown.metrics["time/machine/box/lag"] = 1.5
    row = Progress(1000).row(shown)
    assert row["learner"] == "1 sampler, 1,000 steps/s"
    assert row["box"] == "16 samplers, 20,000 steps/s, lag 1.5, 2 reconnects"
    assert "machines" not in row


def test_of_many_machines_the_first_are_shown() -> None:
    """And how many there are beside."""
    shown = update(1, 0.1, 0.1)
    for number in range(20):
        for column in ("samplers", "reconnects", "steps_per_second"):
            shown.metrics[f"time/machine/box-{number}/{column}"] = 1
    row = Progress(1000).row(shown)
    assert [name for name in row if name.startswith("box")] == [f"box-{number}" for number in range(8)]
    assert row["machines"] == "12 more"
