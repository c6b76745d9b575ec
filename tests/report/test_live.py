import io
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from screen import Terminal, terminal

from framework.report import live
from framework.report.live import Output, watch

SAVING = "saving a checkpoint; once more to end at once"


def update(number: int, waiting: float = 0.1, updating: float = 0.1, evaluation: float | None = None) -> Any:
    metrics = {"time/waiting": waiting, "time/updating": updating, "return": float(number), "lag": 0}
    evaluated = None
    if evaluation is not None:
        names = ("return", "return_min", "return_max", "length", "episodes")
        evaluated = {f"evaluation/{name}": evaluation for name in names} | {"steps": number * 100}
    return SimpleNamespace(number=number, steps=number * 100, metrics=metrics, evaluation=evaluated)


@pytest.fixture(autouse=True)
def always_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every update is shown, and in colours."""
    monkeypatch.setattr(live, "_LIVE_INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


def output_of(opened: Terminal) -> Output:
    return Output(os.fdopen(os.dup(opened.descriptor), "w", encoding="utf-8"))


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
    updates = [update(number) for number in range(1, 6)]
    assert watch(iter(updates), 500, Output(Broken(terminal))) is updates[-1]
    assert capsys.readouterr().err.count("the run continues without it") == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_errors_of_the_run_are_not_taken_for_the_output_s(terminal: bool) -> None:
    """An exception of the run reaches the caller, whatever its type."""
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]

    def failing() -> Any:
        yield update(1)
        raise OSError("of the run")

    with pytest.raises(OSError, match="of the run"):
        watch(failing(), 500, Output(stream))
    assert "failed at 100 of 500 steps" in stream.getvalue()


def test_no_standard_output() -> None:
    """A closed standard output is none to write to."""
    assert watch(iter([update(1)]), 500, Output(None)) is not None


def test_plain_lines_end_with_the_result_and_the_course_of_the_return() -> None:
    """Evaluations have lines of their own; what cannot be encoded is not written."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    watch(iter([update(1), update(2, evaluation=7.0), update(3)]), 300, Output(stream))
    stream.seek(0)
    lines = stream.read().splitlines()
    assert lines[0].startswith("steps 100 of 300  steps/s -  return 1.00  lag 0  bottleneck ")
    assert lines[-2] == "evaluation at 200 steps: return 7.00 (min 7.00, max 7.00), length 7.0, 7.0 episodes"
    assert lines[-1] == "done: 300 steps  return 3.00 _+@  evaluation 7.00"


@pytest.mark.parametrize("columns", [80, 40])
def test_view_is_drawn_over_and_leaves_the_result(columns: int) -> None:
    """A bar, the return with its course, the last evaluation; nothing of it stays but the result, nor is it wrapped."""
    with terminal(columns) as opened:
        output = output_of(opened)
        output.say("before")
        updates = [update(number, evaluation=number * 2 if number == 3 else None) for number in range(1, 6)]
        watch(iter(updates), 1000, output)
        output.say("after")
        opened.wait_for("after")
        assert output.stream is not None
        output.stream.close()
    views = [lines for lines in opened.screen.history if any("━" in line for line in lines)]
    assert all(lines[0] == "before" and len(lines) <= 9 for lines in views)
    view = views[-1]
    assert "50%" in view[1]
    assert view[1].endswith("left")
    rows = {line.split()[0]: line for line in view[2:]}
    assert list(rows)[:4] == ["steps", "steps/s", "return", "evaluation"]
    assert rows["return"].endswith("5.00  ▁▃▅▆█")
    assert "6.00 at 300 steps" in rows["evaluation"]
    assert all(len(line) <= columns for line in view)
    head, returns, *evaluation, last = opened.screen.lines[1:]
    assert head == "stopped at 500 of 1,000 steps"
    assert returns == "return      5.00  ▁▃▅▆█"
    assert "".join(evaluation) == "evaluation  6.00 at 300 steps (min 6.00, max 6.00)"
    assert last == "after"
    assert not opened.screen.cursor_hidden


@pytest.mark.parametrize("columns", [80, 40])
def test_notice_is_shown_at_once_and_goes_with_the_view(columns: int) -> None:
    """Before the next update, as from a signal handler; what the terminal itself writes (^C) is drawn over."""
    with terminal(columns) as opened:
        output = output_of(opened)

        def interrupted() -> Any:
            yield update(1)
            yield update(2)
            os.write(opened.descriptor, b"^C")
            output.notify(SAVING)
            opened.wait_for("at once")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            watch(interrupted(), 1000, output)
        output.say("after")
        opened.wait_for("after")
        assert output.stream is not None
        output.stream.close()
    notices = [lines for lines in opened.screen.history if any("at once" in line for line in lines)]
    assert " ".join(notices[-1]).endswith(SAVING)
    assert all("^C" not in line for line in notices[-1])
    assert opened.screen.lines == ["interrupted at 200 of 1,000 steps", "return  2.00  ▁█", "after"]


def test_what_is_told_stays_above_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that a sampler is replaced; longer lines are the terminal's to break."""
    with terminal(40) as opened:
        output = output_of(opened)
        monkeypatch.setattr("sys.stderr", output.stream)

        def told() -> Any:
            yield update(1)
            output.tell("sampler-0 died\nsampler-0 is restarted")
            yield update(2)
            output.tell("long " * 10)

        watch(told(), 200, output)
        output.tell("after")
        opened.wait_for("after")
        assert output.stream is not None
        output.stream.close()
    lines = opened.screen.lines
    assert lines[:2] == ["sampler-0 died", "sampler-0 is restarted"]
    assert "".join(lines[2:4]).replace(" ", "") == "long" * 10
    assert lines[4:] == ["done: 200 steps", "return  2.00  ▁█", "after"]


def test_notice_in_the_midst_of_drawing_is_shown_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal may come at any time; what is drawn then is drawn to its end."""
    with terminal(80) as opened:
        output = output_of(opened)
        with output.view() as view:
            assert isinstance(view, live._Live)
            refresh = view._live.update

            def interrupted(*shown: Any, **how: Any) -> None:
                output.notify(SAVING)
                refresh(*shown, **how)

            monkeypatch.setattr(view._live, "update", interrupted)
            view.show(live.Progress(100))
            opened.wait_for(SAVING)
        assert output.stream is not None
        output.stream.close()
    assert opened.screen.lines == []


@pytest.mark.parametrize("terminal", [False, True])
def test_notice_without_a_view_goes_to_standard_error(terminal: bool, capfd: Any) -> None:
    """So it does beside the view where standard error is no terminal."""
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    output = Output(stream)
    with output.view():
        output.notify(SAVING)
    assert capfd.readouterr().err == f"{SAVING}\n"
    output.notify("again")
    output.tell("and again")
    assert capfd.readouterr().err == "again\nand again\n"


def test_dumb_terminals_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cannot be drawn over."""
    monkeypatch.setenv("TERM", "dumb")
    with terminal(80) as opened:
        output = output_of(opened)
        assert not output.live
        assert output.stream is not None
        output.stream.close()


def test_course_of_a_resumed_run_begins_where_it_began(tmp_path: Path) -> None:
    """What was recorded after the update that it goes on from is left out, as it happens again."""
    lines = [{"update": number, "return": float(number)} for number in (1, 2, 3, 3)]
    recorded: Any = SimpleNamespace(metrics=[*lines, {"update": 2, "steps": 200, "evaluation/return": 9.0}])
    stream = io.StringIO()
    watch(iter([update(3)]), 300, Output(stream), recorded=recorded)
    assert "return 3.00 _+@  evaluation 9.00" in stream.getvalue()
