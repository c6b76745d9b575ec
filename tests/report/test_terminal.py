import io
import os

from screen import terminal

from framework.report.terminal import is_terminal, size_of, style_of
from framework.report.text_chart import Style


def test_terminal_has_its_size_and_colours(monkeypatch):
    """Variables of the environment go first; NO_COLOR is heard, and a dumb terminal cannot be drawn over."""
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with terminal(50, 20) as opened, os.fdopen(os.dup(opened.descriptor), "w", encoding="ascii") as stream:
        assert size_of(stream) == (50, 20)
        assert style_of(stream) == Style(unicode=False, colour=True)
        monkeypatch.setenv("COLUMNS", "30")
        assert size_of(stream) == (30, 20)
        monkeypatch.setenv("NO_COLOR", "1")
        assert style_of(stream) == Style(unicode=False, colour=False)
        assert is_terminal(stream)
        monkeypatch.setenv("TERM", "dumb")
        assert not is_terminal(stream)


def test_others_are_plain(monkeypatch):
    """80 by 24, without colours; letters as the encoding has them."""
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    assert size_of(io.StringIO()) == size_of(None) == (80, 24)
    assert style_of(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == Style()
    assert style_of(None) == Style(unicode=False)
