"""Edits of a list that has a line for each element: what is said beside them stays."""

from __future__ import annotations

import re
from typing import Any

from llamahome_core.config.document import Path
from llamahome_core.config.edits import Editor, RefusedError

_BEFORE = re.compile(r"[ \t]*(?:-[ \t]+)?")
_BEHIND = re.compile(r"[ \t]*(,?)[ \t]*(?:#.*)?")


def change(editor: Editor, path: Path, old: list[Any], new: list[Any]) -> str:
    """The text with *new* at *path*; one element more or less is one line more or less.

    Raises:
        RefusedError: Comments in it would be lost.
    """
    rows = [_row(editor, (*path, n)) for n in range(len(old))]
    if old and None not in rows and len(set(rows)) == len(rows):
        if new[:-1] == old:
            return _append(editor, (*path, len(old) - 1), new[-1])
        gone = [n for n in range(len(old)) if old[:n] + old[n + 1 :] == new]
        if gone and new:
            return _remove(editor, path, gone[0], len(old))
    if editor.comments and "#" in _between(editor, path, len(old)):
        raise RefusedError("there are comments in the list")
    return editor.replace(path, new)


def _row(editor: Editor, path: Path) -> int | None:
    """The line of an element that shares it with nothing but a comma and a comment."""
    start, end = editor.value(path)
    line = editor.text.split("\n")[editor.line(start)]
    has_own = (
        editor.line(end) == editor.line(start)
        and _BEFORE.fullmatch(line[: editor.column(start)])
        and _BEHIND.fullmatch(line[editor.column(end) :])
    )
    return editor.line(start) if has_own else None


def _comma(editor: Editor, path: Path) -> bool:
    end = editor.value(path)[1]
    found = _BEHIND.match(editor.text, end)
    return bool(found and found[1])


def _append(editor: Editor, last: Path, value: Any) -> str:
    start, end = editor.value(last)
    lines = editor.text.split("\n")
    row = editor.line(start)
    head, has_comma = lines[row][: editor.column(start)], _comma(editor, last)
    opening = editor.text[editor.value(last[:-1])[0]]
    if opening == "[" and not has_comma:
        lines[row] = f"{lines[row][: editor.column(end)]},{lines[row][editor.column(end) :]}"
    lines.insert(row + 1, f"{head}{editor.literal(value)}{',' if has_comma else ''}")
    return "\n".join(lines)


def _remove(editor: Editor, path: Path, index: int, count: int) -> str:
    row = editor.line(editor.value((*path, index))[0])
    lines = editor.text.split("\n")
    if index == count - 1 and not _comma(editor, (*path, index)):
        # The one before is the last now, and JSON has no comma behind that.
        end = editor.value((*path, index - 1))[1]
        before = lines[editor.line(end)]
        column = editor.column(end)
        lines[editor.line(end)] = before[:column] + before[column:].replace(",", "", 1)
    return "\n".join(lines[:row] + lines[row + 1 :])


def _between(editor: Editor, path: Path, count: int) -> str:
    """The text of the list without its elements."""
    place, end = editor.value(path)
    text = ""
    for index in range(count):
        first, last = editor.value((*path, index))
        text, place = text + editor.text[place:first], last
    return text + editor.text[place:end]
