"""What comes from outside kept in bounds: text for a terminal, and code of plugins that prints."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# Sequences that terminals obey: CSI, then the ones that carry a string, then the short ones. A
# string that does not end may not swallow the lines after it.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 and C1, invisible signs, what turns the direction of writing, halves of surrogate pairs, and
# tags. The joiners and marks that Persian, Hebrew and emoji need stay.
_HARMFUL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str, keep: str = "") -> str:
    """*text* without anything that a terminal would obey.

    Escape sequences, control characters, invisible characters and those that override the
    direction of writing are dropped; the words of all languages stay.

    Args:
        text: Text of a model, a file, a plugin or a library.
        keep: Control characters that stay, such as a newline where there are several lines.
    """
    if text.isprintable():
        return text
    plain = _ESCAPES.sub("", text)
    return _HARMFUL.sub(lambda found: found[0] if found[0] in keep else "", plain)


# --- Code of plugins ------------------------------------------------------------------------


class _Results:
    """Standard output, which holds results and nothing else while a command guards it.

    Attributes:
        guarded: Whether it is: a program that embeds the kernel keeps its streams as they are.
        descriptor: A copy of descriptor 1 while that leads to standard error.
    """

    def __init__(self) -> None:
        self.guarded = False
        self.descriptor: int | None = None
        self._lock = threading.Lock()
        self._inside = 0
        self._stream: Any = None
        self._left: list[Any] = []

    def turn_aside(self) -> None:
        """Let what is printed go to standard error, for Python and for C, until `turn_back`."""
        with self._lock:
            self._inside += 1
            if self._inside > 1:
                return
            self._stream, sys.stdout = sys.stdout, sys.stderr
            with contextlib.suppress(OSError, ValueError, AttributeError):  # it has no descriptor
                if self._stream.fileno() == 1:
                    self.descriptor = os.dup(1)
                    os.dup2(2, 1)

    def turn_back(self) -> None:
        """The last to leave restores standard output."""
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            if sys.stdout is not sys.stderr:
                self._left.append(sys.stdout)  # a wrapper of stderr: collected, it would close it
            sys.stdout, descriptor, self.descriptor = self._stream, self.descriptor, None
            if descriptor is not None:
                os.dup2(descriptor, 1)
                os.close(descriptor)


RESULTS = _Results()
"""The process has one standard output, so this is one for all kernels."""


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """For a command: in the block, nothing that `aside` holds is printed to standard output."""
    before, RESULTS.guarded = RESULTS.guarded, True
    try:
        yield
    finally:
        RESULTS.guarded = before


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """In the block, what is printed is no result: it goes to standard error, if that is guarded."""
    if not RESULTS.guarded:
        yield
        return
    RESULTS.turn_aside()
    try:
        yield
    finally:
        RESULTS.turn_back()


@contextlib.contextmanager
def foreign() -> Iterator[list[int]]:
    """For code of a plugin that is imported or declares: what it prints goes `aside`.

    Yields:
        The signals of Ctrl-C that came: without one, a KeyboardInterrupt is the plugin's own.
    """
    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        before(number, frame)  # type: ignore[operator, misc]  # it was asked whether it can be called

    with aside():
        if not callable(before) or threading.current_thread() is not threading.main_thread():
            yield came  # no other thread gets a signal
            return
        signal.signal(signal.SIGINT, note)
        try:
            yield came
        finally:
            if signal.getsignal(signal.SIGINT) is note:
                signal.signal(signal.SIGINT, before)
