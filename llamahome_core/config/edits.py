"""What edits of the three formats share: offsets, lines, and what stands in braces."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Any, ClassVar

from llamahome_core.config.document import Document, Lines, Path

_COMMENT = re.compile(r"[ \t]*(#.*)?")


class RefusedError(Exception):
    """The text cannot be edited safely; the message says why."""


class Editor:
    """Makes new texts of one document.

    Attributes:
        comments: Whether the format has comments, which begin with ``#``.
    """

    comments: ClassVar[bool] = True

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.lines = Lines(document.text)
        self.marks = document.marks

    # --- what each format does in its own way

    @abstractmethod
    def literal(self, value: Any) -> str:
        """*value* as the format spells it, on one line."""

    @abstractmethod
    def pair(self, keys: Path, value: Any, indent: str | None) -> str:
        """A setting as it stands in braces; below *indent* if it has lines of its own."""

    @abstractmethod
    def add(self, path: Path, found: int, value: Any) -> str:
        """The text with a new setting; the first *found* parts of *path* lead to a table."""

    @abstractmethod
    def remove(self, path: Path) -> str:
        """The text without the setting at *path*."""

    def replace(self, path: Path, value: Any) -> str:
        """The text with another value at *path*."""
        start, end = self.value(path)
        return self.text[:start] + self.literal(value) + self.text[end:]

    # --- places

    def key(self, path: Path) -> int:
        """Where the key of *path* begins."""
        span = self.marks[path].key if path in self.marks else None
        if span is None:
            raise RefusedError("it has no line of its own")
        return self.lines.offsets(span)[0]

    def value(self, path: Path) -> tuple[int, int]:
        """Where the value at *path* begins and ends, without the line feeds after it."""
        span = self.marks[path].value if path in self.marks else None
        if span is None:
            raise RefusedError("it is a table or a list of tables")
        start, end = self.lines.offsets(span)
        return start, start + len(self.text[start:end].rstrip())

    def end(self, path: Path) -> int:
        """Where the value at *path* ends, or the last one in the table that it is."""
        below = [where for where, mark in self.marks.items() if where[: len(path)] == path]
        return max((self.value(w)[1] for w in below if self.marks[w].value), default=0)

    def line(self, offset: int) -> int:
        """Index of the line of the character at *offset*."""
        return self.lines.position(offset)[0] - 1

    def column(self, offset: int) -> int:
        """Characters before *offset* on its line."""
        return self.lines.position(offset)[1] - 1

    def in_braces(self, path: Path) -> bool:
        """Whether the value at *path* is a table that stands in braces."""
        span = self.marks[path].value if path in self.marks else None
        return span is not None and self.lines.cut(span).startswith("{")

    def children(self, path: Path) -> list[Path]:
        """The settings that stand in the table at *path*, in the order of the text."""
        start, end = self.value(path)
        found = [
            where
            for where, mark in self.marks.items()
            if where[:-1] == path and len(where) > len(path) and mark.key is not None
        ]
        return sorted((w for w in found if start <= self.key(w) < max(end, 1)), key=self.key)

    # --- lines

    def insert(self, index: int, new: list[str]) -> str:
        """The text with the lines *new* before the line *index*."""
        lines = self.text.split("\n")
        return "\n".join([*lines[:index], *new, *lines[index:]])

    def append(self, new: list[str]) -> str:
        """The text with the lines *new* at its end."""
        count = self.text.count("\n") + 1
        return self.insert(count - 1 if self.text.endswith("\n") or not self.text else count, new)

    def cut_lines(self, first: int, last: int) -> str:
        """The text without the lines from *first* to *last*, both included."""
        lines = self.text.split("\n")
        return "\n".join(lines[:first] + lines[last + 1 :])

    def own_lines(self, path: Path) -> tuple[int, int]:
        """First and last line of a setting that shares them with no other."""
        start, end = self.key(path), max(self.end(path), self.key(path))
        line = self.text.split("\n")[self.line(end)]
        begin = self.text[start - self.column(start) : start]
        if end == start or begin.strip(" \t") or not _COMMENT.fullmatch(line[self.column(end) :]):
            raise RefusedError("it shares its line with another")
        return self.line(start), self.line(end)

    # --- tables in braces

    def add_in_braces(self, at: Path, keys: Path, value: Any) -> str:
        """The text with one more setting in the table at *at*."""
        start, end = self.value(at)
        if children := self.children(at):
            key, place = self.key(children[-1]), self.end(children[-1])
            if self.text[place : end - 1].strip():
                raise RefusedError("there is a comma or a comment before its closing brace")
            indent = self.text[key - self.column(key) : key]
            has_line = not indent.strip()
            new = "," + ("\n" + indent if has_line else " ")
            new += self.pair(keys, value, indent if has_line else None)
            return self.text[:place] + new + self.text[place:]
        return self.text[: start + 1] + self.first(at, keys, value) + self.text[end - 1 :]

    def first(self, at: Path, keys: Path, value: Any) -> str:
        """What comes between the braces at *at*, which hold nothing."""
        start, end = self.value(at)
        return self.pair(keys, value, None) + self.text[start + 1 : end - 1]

    def remove_in_braces(self, path: Path) -> str:
        """The text without a setting that stands in braces, and without its comma."""
        siblings = self.children(path[:-1])
        start, end = self.key(path), self.end(path)
        index = siblings.index(path)
        first, last = start, end
        if index:
            first = self.end(siblings[index - 1])
        elif siblings[1:]:
            last = self.key(siblings[1])
        else:
            first, last = self.only(path, start, end)
        if self.comments and "#" in self.text[first:start] + self.text[end:last]:
            raise RefusedError("there is a comment in its way")
        return self.text[:first] + self.text[last:]

    def only(self, path: Path, start: int, end: int) -> tuple[int, int]:
        """What to cut for the only setting in braces."""
        del path
        return start, end
