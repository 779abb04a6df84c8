"""Edits of TOML files."""

from __future__ import annotations

from typing import Any

from llamahome_core.config.document import Path
from llamahome_core.config.edits import Editor, RefusedError
from llamahome_core.config.kinds import literal
from llamahome_core.config.problems import quote_key


class Edits(Editor):
    """Edits of one file."""

    def literal(self, value: Any) -> str:
        """*value* in TOML."""
        if isinstance(value, dict):
            pairs = ", ".join(f"{quote_key(k)} = {self.literal(v)}" for k, v in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        if isinstance(value, list):
            return f"[{', '.join(map(self.literal, value))}]"
        return literal(value)

    def pair(self, keys: Path, value: Any, indent: str | None) -> str:
        """``a.b = value``."""
        del indent
        return f"{'.'.join(quote_key(str(key)) for key in keys)} = {self.literal(value)}"

    def add(self, path: Path, found: int, value: Any) -> str:
        """In the section of the table, or in a new one at the end."""
        at, keys = path[:found], path[found:]
        if braces := self._braces(at):
            return self.add_in_braces(braces, path[len(braces) :], value)
        section = self._section(at)
        is_list = any(isinstance(part, int) for part in at)
        if section == at and (len(keys) == 1 or is_list):
            return self._add_line(section, self._body(section), keys, value)
        if section != at and self._is_dotted(at):
            near = [where for where in self._body(section) if where[: len(at)] == at]
            return self._add_line(section, near, path[len(section) :], value)
        head = ".".join(quote_key(str(key)) for key in path[:-1])
        gap = [""] if self.text else []
        return self.append([*gap, f"[{head}]", self.pair(path[-1:], value, None)])

    def _add_line(self, section: Path, values: list[Path], keys: Path, value: Any) -> str:
        """After the last of *values*, indented like it; or right below the header."""
        line = self.pair(keys, value, None)
        lines = self.text.split("\n")
        if values:
            last = max(self.end(where) for where in values)
            start = min(self.key(where) for where in values)
            before = lines[self.line(start)]
            indent = before[: len(before) - len(before.lstrip(" \t"))]
            return self.insert(self.line(last) + 1, [indent + line])
        if section:
            return self.insert(self.line(self.key(section)) + 1, [line])
        # Before the first header and the comment that belongs to it.
        index = min(self._headers(), default=len(lines) - (not lines[-1]))
        while index and self._headers() and lines[index - 1].lstrip().startswith("#"):
            index -= 1
        while index and self._headers() and not lines[index - 1].strip():
            index -= 1
        return self.insert(index, [line])

    def remove(self, path: Path) -> str:
        """The text without the setting, and without a section that held nothing else."""
        if braces := self._braces(path[:-1]):
            entry = path[: len(braces) + 1]
            if entry != path and len(self._values(entry)) > 1:
                raise RefusedError("it shares a table with another")
            return self.remove_in_braces(entry)
        self.value(path)
        first, last = self._setting_lines(path)
        section = self._section(path[:-1])
        lines = self.text.split("\n")
        if section and isinstance(section[-1], str):
            header, end = self._bounds(section)
            rest = lines[header + 1 : first] + lines[last + 1 : end]
            about = lines[header - 1].strip() if header else ""
            if not any(line.strip() for line in [*rest, about]) and "#" not in lines[header]:
                first = max(header - 1, 0)
        return self.cut_lines(first, last)

    def _setting_lines(self, path: Path) -> tuple[int, int]:
        """A line of TOML holds one setting; the key may have parts before its last one."""
        end = self.value(path)[1]
        if not isinstance(path[-1], str):
            raise RefusedError("it is an element of a list: set the whole list")
        return self.line(self.key(path)), self.line(end)

    def _braces(self, path: Path) -> Path:
        """The longest part of *path* that is a table in braces; empty if there is none."""
        while path and not self.in_braces(path):
            path = path[:-1]
        return path

    # --- sections

    def _headers(self) -> list[int]:
        """The lines with a header."""
        lines = self.text.split("\n")
        spans = [mark.key for mark in self.marks.values() if mark.key and not mark.value]
        return [s.line - 1 for s in spans if lines[s.line - 1].lstrip().startswith("[")]

    def _section(self, path: Path) -> Path:
        """The longest part of *path* that has a header of its own; the top has none."""
        while path and not self._has_header(path):
            path = path[:-1]
        return path

    def _has_header(self, path: Path) -> bool:
        mark = self.marks.get(path)
        if mark is None or mark.key is None or mark.value is not None:
            return False
        behind = self.text[self.lines.offsets(mark.key)[1] :].lstrip(" \t")
        is_list = path + (0,) in self.marks  # noqa: RUF005  # [[path]] is no section, path.0 is
        return self.line(self.key(path)) in self._headers() and behind[:1] == "]" and not is_list

    def _bounds(self, section: Path) -> tuple[int, int]:
        """The line of the header, -1 for the top, and the line of the next one."""
        header = self.line(self.key(section)) if section else -1
        after = [line for line in self._headers() if line > header]
        return header, min(after, default=self.text.count("\n") + 1)

    def _body(self, section: Path) -> list[Path]:
        """The settings of a section."""
        first, end = self._bounds(section)
        values = self._values(section)
        return [where for where in values if first < self.line(self.key(where)) < end]

    def _values(self, path: Path) -> list[Path]:
        """The settings below the table *path*, however deep."""
        return [
            where
            for where, mark in self.marks.items()
            if where[: len(path)] == path and where != path and mark.value and mark.key
        ]

    def _is_dotted(self, path: Path) -> bool:
        """Whether the table is made by keys such as ``train.steps``."""
        mark = self.marks.get(path)
        return bool(mark and mark.key) and self.line(self.key(path)) not in self._headers()
