"""Edits of JSON files."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from llamahome_core.config.document import Path
from llamahome_core.config.edits import Editor


class Edits(Editor):
    """Edits of one file."""

    comments: ClassVar[bool] = False

    def literal(self, value: Any) -> str:
        """*value* in JSON."""
        return json.dumps(value, ensure_ascii=False)

    def pair(self, keys: Path, value: Any, indent: str | None) -> str:
        """``"a": {"b": value}``."""
        head = f"{json.dumps(keys[0], ensure_ascii=False)}: "
        if len(keys) == 1:
            return head + self.literal(value)
        if indent is None:
            return f"{head}{{{self.pair(keys[1:], value, None)}}}"
        deeper = indent + self._unit
        return f"{head}{{\n{deeper}{self.pair(keys[1:], value, deeper)}\n{indent}}}"

    @property
    def _unit(self) -> str:
        """What one level is indented by."""
        found = re.search(r"\n([ \t]+)\S", self.text)
        return found[1] if found else "  "

    def add(self, path: Path, found: int, value: Any) -> str:
        """The text with a new setting."""
        return self.add_in_braces(path[:found], path[found:], value)

    def first(self, at: Path, keys: Path, value: Any) -> str:
        """On a line of its own, unless all the file is one line."""
        start, end = self.value(at)
        inner = self.text[start + 1 : end - 1]
        if (inner and "\n" not in inner) or (at and "\n" not in self.text.strip()):
            return super().first(at, keys, value)
        line = self.text[start - self.column(start) :]
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        deeper = indent + self._unit
        return f"\n{deeper}{self.pair(keys, value, deeper)}\n{indent}"

    def only(self, path: Path, start: int, end: int) -> tuple[int, int]:
        """With its line, if it has one."""
        first, last = self.value(path[:-1])
        is_line = "\n" in self.text[first:start]
        return (first + 1, last - 1) if is_line else (start, end)

    def remove(self, path: Path) -> str:
        """The text without the setting, and without objects that held nothing else."""
        while len(path) > 1 and isinstance(path[-2], str) and len(self.children(path[:-1])) == 1:
            path = path[:-1]
        return self.remove_in_braces(path)
