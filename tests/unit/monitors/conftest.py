"""The made-up runs of ``replay.py``, and a terminal to look at."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import re
import select
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import pytest

_PATH = Path(__file__).with_name("replay.py")


@pytest.fixture(scope="session")
def replay() -> ModuleType:
    """The module ``replay.py``, which is a script too."""
    spec = importlib.util.spec_from_file_location("llamahome_test_replay", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def finished(replay: ModuleType) -> list[dict[str, Any]]:
    """The events of a run that went well."""
    events: list[dict[str, Any]] = replay.finished()
    return events


# --- A terminal ------------------------------------------------------------------------------

CODES = re.compile(r"\x1b\[(\d*)(?:;\d+)*([A-Za-z])")


class Screen:
    """As much of a terminal as the view uses: wrapping, scrolling, cursor up, erasing."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [""], 0, 0

    def feed(self, text: str) -> None:
        while text:
            if code := CODES.match(text):
                self._obey(code[2], int(code[1] or 1))
                text = text[code.end() :]
                continue
            assert text[0] != "\x1b", f"an unknown code: {text[:12]!r}"
            self._put(text[0])
            text = text[1:]

    def _obey(self, code: str, number: int) -> None:
        if code == "A":
            # A real cursor stops at the top of the window.
            self.row = max(self.row - number, len(self.lines) - self.rows, 0)
        elif code == "H":
            self.row, self.column = max(len(self.lines) - self.rows, 0), 0
        elif code == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif code == "J":
            self._obey("K", 1)
            del self.lines[self.row + 1 :]
        else:
            assert code == "m"

    def _put(self, sign: str) -> None:
        if sign == "\r":
            self.column = 0
        elif sign == "\n":
            self._next_line()
        else:
            if self.column == self.columns:
                self.column = 0
                self._next_line()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + sign + line[self.column + 1 :]
            self.column += 1

    def _next_line(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """Both ends of a pseudo-terminal."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = pty.openpty()
        self.screen = Screen(columns, rows)
        self.resize(columns, rows)
        self.stream: TextIO = os.fdopen(os.dup(self.slave), "w", encoding="utf-8")
        self.raw = ""

    def resize(self, columns: int, rows: int) -> None:
        """Change the window; what it shows is not broken into other lines."""
        termios.tcsetwinsize(self.slave, (rows, columns))
        self.screen.columns, self.screen.rows = columns, rows

    def read(self, wait: float = 0.0) -> str:
        """What came since the last time, shown on the screen too."""
        data = b""
        while select.select([self.master], [], [], wait)[0]:
            data += os.read(self.master, 65536)
        text = data.decode()
        self.raw += text
        self.screen.feed(text)
        return text

    def close(self) -> None:
        self.stream.close()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with contextlib.closing(Terminal()) as terminal:
        yield terminal
