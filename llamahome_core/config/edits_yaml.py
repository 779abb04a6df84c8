"""Edits of YAML files."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from llamahome_core.config.document import Path
from llamahome_core.config.edits import Editor, RefusedError
from llamahome_core.config.yaml_scalars import resolve

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# What other readers, of YAML 1.1, take for true or false.
_WORDS = {"y", "n", "yes", "no", "on", "off"}


class Edits(Editor):
    """Edits of one file."""

    def literal(self, value: Any) -> str:
        """*value* in the JSON that YAML includes."""
        if isinstance(value, float) and not math.isfinite(value):
            raise RefusedError("it must be a finite number")
        return json.dumps(value, ensure_ascii=False)

    def _key(self, name: object) -> str:
        text = str(name)
        plain = _BARE.fullmatch(text) and isinstance(resolve(text), str)
        return text if plain and text.lower() not in _WORDS else self.literal(text)

    def pair(self, keys: Path, value: Any, indent: str | None) -> str:
        """``a: {b: value}``."""
        rest = keys[1:]
        inner = f"{{{self.pair(rest, value, indent)}}}" if rest else self.literal(value)
        return f"{self._key(keys[0])}: {inner}"

    def replace(self, path: Path, value: Any) -> str:
        """In the place of the old one; behind the key, where that one stood below it."""
        start, end = self.value(path)
        key = self.marks[path].key
        behind = self.lines.offsets(key)[1] if key else start
        gap = self.text[behind:start]
        if key and gap.strip() == ":" and ("\n" in gap or start == end):
            return f"{self.text[:behind]}: {self.literal(value)}{self.text[end:]}"
        if start == end:  # no value, after what may be a comment
            place = self.text.index(":", behind) + 1
            return f"{self.text[:place]} {self.literal(value)}{self.text[place:]}"
        return super().replace(path, value)

    def add(self, path: Path, found: int, value: Any) -> str:
        """After the last setting of the table; below the key of a table that is empty."""
        at = path[:found]
        if at in self.marks and self.in_braces(at):
            return self.add_in_braces(at, path[found:], value)
        if (*at, path[found]) in self.marks:  # `train:`, and nothing or comments below it
            key = self.key((*at, path[found]))
            new = self._block(path[found + 1 :], value, self.column(key) + 2)
            return self.insert(self.line(key) + 1, new)
        if not (children := self.children(at)):
            return self.append(self._block(path[found:], value, 0))
        indent = self.column(self.key(children[0]))
        last = max(self.end(children[-1]), self.key(children[-1]))
        new = self._block(path[found:], value, indent)
        return self.insert(self._after_comments(self.line(last) + 1, indent), new)

    def _after_comments(self, index: int, indent: int) -> int:
        """The line after the comments, from the line *index* on, that are deeper than *indent*."""
        for line in self.text.split("\n")[index:]:
            depth = len(line) - len(line.lstrip(" "))
            if depth <= indent or not line.lstrip().startswith("#"):
                break
            index += 1
        return index

    def _block(self, keys: Path, value: Any, indent: int) -> list[str]:
        levels = [f"{' ' * (indent + 2 * n)}{self._key(k)}:" for n, k in enumerate(keys)]
        levels[-1] += f" {self.literal(value)}"
        return levels

    def remove(self, path: Path) -> str:
        """The text without the setting, and without tables that held nothing else."""
        while len(path) > 1 and isinstance(path[-2], str) and self._holds_only(path):
            path = path[:-1]
        if self.in_braces(path[:-1]):
            return self.remove_in_braces(path)
        return self.cut_lines(*self.own_lines(path))

    def own_lines(self, path: Path) -> tuple[int, int]:
        """A key without a value has its line too."""
        key = self.marks[path].key if path in self.marks else None
        if key and self.end(path) <= self.lines.offsets(key)[1] + 1:
            return key.line - 1, key.line - 1
        return super().own_lines(path)

    def _holds_only(self, path: Path) -> bool:
        """Whether the table around *path* holds nothing else, and no comment either."""
        table = path[:-1]
        if len(self.children(table)) > 1:
            return False
        start, key = self.key(table), self.key(path)
        last = self.line(max(self.end(path), key))
        after = self.text.split("\n")[last + 1 :]
        following = next((line for line in after if line.strip()), "").expandtabs()
        is_inside = len(following) - len(following.lstrip()) > self.column(start)
        is_comment = following.lstrip().startswith("#") and is_inside
        return "#" not in self.text[start:key] and not is_comment
