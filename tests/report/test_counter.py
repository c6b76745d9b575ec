import io
import os

from screen import terminal

from framework.report import counter
from framework.report.counter import Counter


def test_line_is_drawn_over_and_gone_in_the_end(monkeypatch):
    """It fits the terminal."""
    monkeypatch.setattr(counter, "_INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    with terminal(40) as opened, os.fdopen(os.dup(opened.descriptor), "w") as stream:
        with Counter(stream, "run 1 of 2: ") as count:
            count.count(3, 20, 55)
            count.count(4, 20, 56)
            opened.wait_for("run 1 of 2: 4 of 20 episodes finished,")
        stream.write("after\n")
        stream.flush()
        opened.wait_for("after")
    assert opened.screen.lines == ["after"]
    assert all(len(lines) <= 1 for lines in opened.screen.history)


def test_nothing_without_a_terminal():
    """Files and pipes get the result alone."""
    stream = io.StringIO()
    with Counter(stream) as count:
        count.count(1, 2, 3)
    with Counter(None) as count:
        count.count(1, 2, 3)
    assert stream.getvalue() == ""
