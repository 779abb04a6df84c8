"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from llamahome_core.errors import LlamaHomeError

if TYPE_CHECKING:
    from llamahome_core.cli.main import State


def use_color(mode: str, stream: Any = None) -> bool:
    """Whether to colour: the option, then FORCE_COLOR, NO_COLOR, TERM=dumb, then the terminal."""
    if mode != "auto":
        return mode == "always"
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool((stream or sys.stderr).isatty())


def say(text: str = "") -> None:
    """A line for people, to stderr."""
    click.echo(text, err=True)


def print_json(thing: str, **fields: Any) -> None:
    """One JSON document to stdout, with its schema."""
    document = {"schema": f"llamahome.{thing}/1", **fields}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns to stdout; on a terminal the last column is cut rather than wrapped."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        line = line.rstrip()
        click.echo(line if limit is None or len(line) <= limit else line[: limit - 1] + "…")


def report(error: LlamaHomeError, state: State) -> int:
    """Show a foreseen error on stderr; returns the exit code."""
    from llamahome_core.config import ConfigError, render

    if state.verbosity > -2:  # noqa: PLR2004  # -qq says nothing
        color = use_color(state.color)
        if isinstance(error, ConfigError):
            say(render(error.problems, color=color))
        else:
            head = click.style(f"error[{error.code}]", fg="red", bold=True) if color else ""
            say(f"{head or f'error[{error.code}]'}: {error.message}")
            if error.hint:
                say(f"  fix: {error.hint}")
            say(f"  docs: llamahome explain {error.code}")
        if state.verbosity > 0:
            say("".join(traceback.format_exception(error)))
    return error.exit_code


def crash(error: Exception, state: State) -> int:
    """Show an error that nobody foresaw: one line, and a report with the traceback."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="llamahome-crash-", suffix=".txt", delete=False
    ) as file:
        file.write(text)
    say(f"error[X900]: {type(error).__name__}: {error}")
    say(f"  this is a mistake in LlamaHome or in a plugin; the report is {file.name}")
    if state.verbosity > 0:
        say(text)
    return 70
