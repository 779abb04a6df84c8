"""What comes from outside kept in bounds: text for a terminal, and what plugins print."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

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


# --- Results --------------------------------------------------------------------------------

RESULTS: ContextVar[TextIO | None] = ContextVar("results", default=None)
"""Where a command prints its results; None in a program that embeds the kernel."""


def keep_results_apart() -> None:
    """For a process that is the command: what it prints as a result is all that is on stdout.

    Descriptor 1 leads to standard error from now on, to the process's end: what a library in C
    prints, or a child process, is no result. Results have a descriptor of their own.
    """
    stream = sys.stdout
    stream.flush()
    if stream.fileno() == 1:  # else it was closed, and leads nowhere
        unbuffered = getattr(stream, "write_through", False)
        sys.stdout = sys.__stdout__ = io.TextIOWrapper(  # type: ignore[misc]  # shutil asks it for the width
            os.fdopen(os.dup(1), "wb", 0 if unbuffered else -1),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=bool(stream.line_buffering),
            write_through=unbuffered,
        )
        os.dup2(2, 1)
    RESULTS.set(sys.stdout)


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """In the block, Python's `print` is no result: it goes to standard error, in a command."""
    if RESULTS.get() is None:  # another program's streams are its own
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def forget(stream: TextIO | None) -> None:
    """Let what *stream* still holds go nowhere; Python would complain of it at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]  # a replaced stream may lack it


def flush(stream: TextIO) -> None:
    """Write what *stream* holds, or drop it: at its end Python would complain and exit with 120."""
    try:
        stream.flush()
    except (OSError, ValueError):
        forget(stream)
