"""A terminal: what programs write to it, as who sits before it sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SEQUENCE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class Screen:
    """The letters of a terminal without end: lines that leave it above are kept. Raises at what it does not know."""

    def __init__(self, columns: int):
        self.columns = columns
        self.cursor_hidden = False
        self.history: list[list[str]] = []  #: the lines each time before something is drawn over
        self._written = False
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Show text, whole sequences at a time."""
        position = 0
        while position < len(text):
            sequence = _SEQUENCE.match(text, position)
            if sequence is not None:
                self._obey(*sequence.groups())
                position = sequence.end()
                continue
            self._letter(text[position])
            position += 1

    @property
    def lines(self) -> list[str]:
        """What stands in each line, without empty ones at the end."""
        lines = ["".join(row).rstrip() for row in self._rows]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._move(1)
        else:
            assert letter.isprintable(), repr(letter)
            if self._column == self.columns:
                self._move(1)
                self._column = 0
            row = self._rows[self._row]
            row += " " * (self._column + 1 - len(row))
            row[self._column] = letter
            self._written = True
            self._column += 1

    def _move(self, rows: int) -> None:
        self._row = max(0, self._row + rows)
        while len(self._rows) <= self._row:
            self._rows.append([])

    def _obey(self, private: str, numbers: str, command: str) -> None:
        if command in "AKJ" and self._written:
            self.history.append(self.lines)
            self._written = False
        match private + numbers, command:
            case "?25", "l" | "h":
                self.cursor_hidden = command == "l"
            case _, "m":
                pass
            case count, "A":
                self._move(-int(count or 1))
            case "" | "0", "K":
                del self._rows[self._row][self._column :]
            case "2", "K":
                self._rows[self._row].clear()
            case "" | "0", "J":
                del self._rows[self._row][self._column :], self._rows[self._row + 1 :]
            case other:
                raise AssertionError(f"the terminal does not know {other}")


class Terminal:
    """A pseudo-terminal with a `Screen`; ``descriptor`` is the program's end of it."""

    def __init__(self, columns: int, lines: int = 24):
        self._master, self.descriptor = pty.openpty()
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen = Screen(columns)
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def type(self, letters: str) -> None:
        """What somebody types."""
        os.write(self._master, letters.encode())

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Until a line of the screen has ``text``."""
        with self._changed:
            shown = self._changed.wait_for(lambda: any(text in line for line in self.screen.lines), seconds)
        assert shown, f"{text!r} never came: {self.screen.lines}"

    def close(self) -> None:
        """Once everything is written that will be."""
        os.close(self.descriptor)
        self._reader.join()
        os.close(self._master)

    def _read(self) -> None:
        pending = b""
        while True:
            try:
                pending += os.read(self._master, 65536)
            except OSError:  # the other end is closed
                return
            text, pending = _whole(pending)
            with self._changed:
                self.screen.feed(text)
                self._changed.notify_all()


def _whole(text: bytes) -> tuple[str, bytes]:
    """Whole letters and sequences, and the rest."""
    cut = re.search(rb"(\x1b(\[[?\d;]*)?|[\xc0-\xff][\x80-\xbf]{0,2})\Z", text)
    if cut is not None and cut[1][:1] != b"\x1b":
        try:
            text.decode()
            cut = None
        except UnicodeDecodeError:
            pass
    end = len(text) if cut is None else cut.start()
    return text[:end].decode(), text[end:]


@contextmanager
def terminal(columns: int, lines: int = 24) -> Iterator[Terminal]:
    """A terminal, for as long as a test needs it."""
    opened = Terminal(columns, lines)
    try:
        yield opened
    finally:
        opened.close()
