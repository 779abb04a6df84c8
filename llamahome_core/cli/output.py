"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import click

from llamahome_core.errors import StorageError
from llamahome_core.secrets import redact, redacted
from llamahome_core.terminal import clean, forget

LINES = "\n\t"
"""What stays of the control characters where text has several lines."""


def use_color(mode: str, stream: Any = None) -> bool:
    """Whether to colour: the option, then FORCE_COLOR, NO_COLOR, TERM=dumb, then the terminal."""
    if mode != "auto":
        return mode == "always"
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool((stream or sys.stderr).isatty())


def write(text: str) -> None:
    """*text* and a newline to stdout, as it is.

    Raises:
        BrokenPipeError: Whoever read it has gone.
        StorageError: It cannot be written.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def unwritable(error: OSError) -> StorageError:
    """What to say of *error*, which came from writing to stdout; what is left of it is dropped."""
    forget(sys.stdout)
    return StorageError(
        f"cannot write standard output: {error.strerror or error}",
        hint="send it to a file or a pipe that can be written",
    )


def echo(text: str = "") -> None:
    """Lines for people, to stdout, without what a terminal would obey; never for JSON."""
    write(redact(clean(text, keep=LINES)))


def say(text: str = "", *, styled: bool = False) -> None:
    """Lines for people, to stderr; whether anybody reads them changes nothing.

    Args:
        text: The lines; what a terminal would obey is dropped.
        styled: *text* is clean already, and coloured.
    """
    text = redact(text if styled else clean(text, keep=LINES))
    try:
        # Colour was decided before: click would take it off again where stderr is no terminal.
        click.echo(text, err=True, color=True)
    except OSError:
        forget(sys.stderr)


def warn(text: str) -> None:
    """A warning, to stderr."""
    say(f"warning: {text}")


def open_closed() -> None:
    """Let a standard stream that was closed lead nowhere, as git does.

    The next file that is opened would have its descriptor, and get what is meant for the stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
        if descriptor == number:
            os.set_inheritable(descriptor, True)
        mode = "w" if number else "r"
        setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def print_json(thing: str, **fields: Any) -> None:
    """One JSON document to stdout, with its schema."""
    document = {"schema": f"llamahome.{thing}/1", **redacted(fields)}
    text = json.dumps(document, indent=2, ensure_ascii=False, default=lambda v: redact(str(v)))
    # Half a surrogate pair, of a damaged line or a file's name, has no UTF-8; JSON can escape it.
    write(text.encode(errors="backslashreplace").decode())


def value_text(value: Any) -> str:
    """A plain value on one line, as people write it: ``a, b``; ``yes``; ``12 345``."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ") if abs(value) > 9999 else str(value)  # noqa: PLR2004  # 1024 needs no space
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {value_text(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or "none"
    return one_line(value)


def one_line(value: object) -> str:
    """The text of *value* on one line, harmless for a terminal."""
    return clean(" ".join(str(value).split("\n")))


def pairs(rows: Sequence[tuple[str, Any]], indent: str = "") -> None:
    """Labels and values to stdout, one on each line, the values below each other."""
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        echo(f"{indent}{label.ljust(width)}  {value_text(value)}".rstrip())


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns to stdout; on a terminal a long row is cut rather than wrapped."""
    cells = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(_width(row[i]) for row in cells) for i in range(len(header))]
    limit = _columns()
    for row in cells:
        line = "  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True))
        write(_cut(redact(line.rstrip()), limit))


def _columns() -> int | None:
    """Columns of the terminal that stdout is; None if it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _width(text: str) -> int:
    """Cells that *text* takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _cut(line: str, limit: int | None) -> str:
    if limit is None or _width(line) <= limit:
        return line
    while _width(line) > limit - 1:
        line = line[:-1]
    return f"{line}…"
