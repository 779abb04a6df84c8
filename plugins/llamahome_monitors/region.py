"""The lines at the bottom of a terminal that are drawn again and again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

from attrs import define, field

_UP = "\x1b[{}A"
_REST_OF_LINE = "\x1b[K"
_REST_OF_SCREEN = "\x1b[J"
_WHOLE_SCREEN = "\x1b[H\x1b[2J"


@define
class Region:
    """Draws lines over the ones drawn before, each time with one write, so that nothing flickers.

    rich's ``Live`` erases before it draws, hides the cursor, which a killed process never gives
    back, and leaves its lines behind when the window becomes narrower; hence our own.

    Attributes:
        stream: The terminal.
        render: Turns lines into text with the terminal's codes for colour.
    """

    stream: TextIO
    render: Callable[[Sequence[object]], list[str]]
    _widths: list[int] = field(factory=list)

    def size(self) -> tuple[int, int]:
        """Columns and rows that may be used: one less than there are, so that nothing wraps."""
        try:
            columns, rows = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError):
            columns, rows = 80, 24
        return max(1, (columns or 80) - 1), max(1, (rows or 24) - 1)

    def draw(self, lines: Sequence[object], widths: Sequence[int]) -> None:
        """Replace what was drawn by *lines*, of which each takes as many cells as *widths* say."""
        text = "\n".join(f"{line}{_REST_OF_LINE}" for line in self.render(lines))
        self._write(f"{self._home()}{text}{_REST_OF_SCREEN}")
        self._widths = list(widths)

    def above(self, lines: Sequence[object]) -> None:
        """Write *lines* for good; the drawn ones are gone until they are drawn again."""
        text = "".join(f"{line}{_REST_OF_LINE}\n" for line in self.render(lines))
        self._write(f"{self._home()}{text}{_REST_OF_SCREEN}")
        self._widths = []

    def clear(self) -> None:
        """Empty the screen: where the drawn lines are is not known any more."""
        self._write(_WHOLE_SCREEN)
        self._widths = []

    def in_front(self) -> bool:
        """Whether the terminal is this process's to write on, and not a shell's."""
        try:
            return os.tcgetpgrp(self.stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return False

    def _home(self) -> str:
        """Codes that go to the first column of the first drawn line."""
        if not self._widths:
            return "\r"
        # A window that became narrower has broken long lines into several rows.
        columns = self.size()[0] + 1
        rows = sum(max(1, -(-width // columns)) for width in self._widths)
        return "\r" + (_UP.format(rows - 1) if rows > 1 else "")

    def _write(self, text: str) -> None:
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(text.encode(encoding, "replace").decode(encoding))
        self.stream.flush()
