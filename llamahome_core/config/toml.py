"""Reads TOML to plain values and remembers where each key and value stands.

tomlkit does the parsing; it keeps no positions, so `_Parser` notes them on the way. The values are
assembled here, not taken from tomlkit's tree: only so can a table defined twice name both places.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, frozen
from tomlkit.exceptions import ParseError, TOMLKitError
from tomlkit.items import Array, InlineTable, Item, Key, String, StringType, Table
from tomlkit.parser import Parser
from tomlkit.source import Source

from llamahome_core.config.document import Document, Lines, Mark, Path, Span
from llamahome_core.config.problems import ConfigError, duplicate, problem_in

if TYPE_CHECKING:
    from llamahome_core.config.toml_errors import Explanation


def parse_toml(text: str, *, layer: str, name: str, path: pathlib.Path | None = None) -> Document:
    """Read *text*.

    Raises:
        ConfigError: C107 for a syntax error, C108 for a key or table that is defined twice.
    """
    parser = _Parser(text)
    document = Document(layer, name, path, text, parser.data, parser.marks)
    try:
        parser.parse()
    except _DuplicateError as error:
        code, found = "C108", _explain_duplicate(error, parser.lines)
    except TOMLKitError as error:
        offset = parser.stopped_at(error)
        # Only a wrong file pays for the words about it.
        from llamahome_core.config.toml_errors import explain

        code, found = "C107", explain(str(error), offset, text, parser.openings, parser.phase)
    else:
        return document
    span = parser.lines.span(found.start, found.end)
    raise ConfigError([problem_in(document, code, found.message, span, fix=found.fix)])


@define
class _DuplicateError(Exception):
    path: Path
    first: Span | None
    start: int
    end: int


def _explain_duplicate(error: _DuplicateError, lines: Lines) -> Explanation:
    from llamahome_core.config.toml_errors import Explanation

    line, _ = lines.position(error.start)
    message, fix = duplicate(error.path, error.first, line)
    return Explanation(message, error.start, error.end, fix)


@frozen
class _Fragment:
    """One part of a dotted key, ``text[start:end]``."""

    name: str
    start: int
    end: int


@define
class _Frame:
    """A list or inline table that is being read."""

    path: Path
    next_index: int | None


class _Source(Source):
    """tomlkit counts form feeds and Unicode separators as line ends; editors do not."""

    def _to_linecol(self) -> tuple[int, int]:
        before = self[: self.idx]
        return before.count("\n") + 1, self.idx - (before.rfind("\n") + 1)


_Kind = Literal["value", "header", "implied", "dotted", "array"]


class _Parser(Parser):
    """tomlkit's parser, which also fills `data` and `marks`."""

    def __init__(self, text: str) -> None:
        super().__init__("")
        self._src = _Source(text)
        self.lines = Lines(text)
        self.data: dict[str, Any] = {}
        self.marks: dict[Path, Mark] = {(): Mark(None, Span(1, 1, 1))}
        self.openings: list[tuple[str, int]] = []
        self.phase: tuple[str, int] = ("key", 0)
        self._kinds: dict[Path, _Kind] = {}
        self._sizes: dict[Path, int] = {}
        self._frames: list[_Frame] = []
        self._fragments: list[_Fragment] = []
        self._table: Path = ()
        self._setting: Path = ()
        self._in_header = False
        self._peeking = False

    def stopped_at(self, error: TOMLKitError) -> int:
        """The offset that *error* is about; not all of tomlkit's errors know it."""
        if not isinstance(error, ParseError):
            return self._idx
        return len(self.lines.cut(Span(1, 1, error.col + 1, error.line)))

    # --- keys

    def _parse_simple_key(self) -> Key:
        start = self._idx
        key = super()._parse_simple_key()
        raw = self._src[start : self._idx]
        begin = start + len(raw) - len(raw.lstrip(" \t"))
        self._fragments.append(_Fragment(key.key, begin, begin + len(raw.strip(" \t"))))
        return key

    def _parse_key(self) -> Key:
        self._fragments = []
        in_header, self._in_header = self._in_header, False
        if self._peeking:
            return super()._parse_key()
        self.phase = ("header" if in_header else "key", self._idx)
        is_array = self._src[max(self._idx - 2, 0) : self._idx] == "[["
        key = super()._parse_key()
        if in_header:
            self._open_table(is_array=is_array)
        else:
            self._open_setting()
        return key

    def _open_table(self, *, is_array: bool) -> None:
        path: Path = ()
        *parents, last = self._fragments
        for fragment in parents:
            path = self._into((*path, fragment.name), fragment, "implied", "value")
        path += (last.name,)
        kind = self._kinds.get(path)
        if kind is not None and kind != ("array" if is_array else "implied"):
            self._refuse(path, last)
        self._kinds[path] = "array" if is_array else "header"
        if is_array:
            self._note_key(path, last)
            self._sizes[path] = self._sizes.get(path, 0) + 1
            path += (self._sizes[path] - 1,)
        self.marks[path] = Mark(key=self.lines.span(last.start, last.end))
        self._container(path)
        self._table = path

    def _open_setting(self) -> None:
        path = self._frames[-1].path if self._frames else self._table
        *parents, last = self._fragments
        for fragment in parents:
            closed = ("value", "header", "implied", "array")
            path = self._into((*path, fragment.name), fragment, "dotted", *closed)
        path += (last.name,)
        if path in self._kinds:
            self._refuse(path, last)
        self._kinds[path] = "value"
        self._note_key(path, last)
        self._setting = path

    def _into(self, path: Path, fragment: _Fragment, kind: _Kind, *closed: str) -> Path:
        found = self._kinds.setdefault(path, kind)
        if found in closed:
            self._refuse(path, fragment)
        self._note_key(path, fragment)
        return (*path, self._sizes[path] - 1) if found == "array" else path

    def _note_key(self, path: Path, fragment: _Fragment) -> None:
        self.marks.setdefault(path, Mark(key=self.lines.span(fragment.start, fragment.end)))

    def _refuse(self, path: Path, fragment: _Fragment) -> None:
        first = self.marks[path].key if path in self.marks else None
        raise _DuplicateError(path, first, fragment.start, fragment.end)

    # --- values

    def _parse_value(self) -> Item:
        path, key = self._setting, None
        if self._frames and (index := self._frames[-1].next_index) is not None:
            path = (*self._frames[-1].path, index)
            self._frames[-1].next_index = index + 1
        elif path in self.marks:
            key = self.marks[path].key
        start = self._idx
        self.phase = ("value", start)
        self._setting = path
        item = super()._parse_value()
        length = len(self._src[start : self._idx].rstrip(" \t"))
        self.marks[path] = Mark(key, self.lines.span(start, start + length))
        self.phase = ("after", self._idx)
        if not self._frames:
            self._container(path[:-1])[path[-1]] = item.unwrap()
        return item

    def _parse_array(self) -> Array:
        self.openings.append(("list", self._idx))
        self._frames.append(_Frame(self._setting, 0))
        array = super()._parse_array()
        self._frames.pop()
        self.openings.pop()
        return array

    def _parse_inline_table(self) -> InlineTable:
        self.openings.append(("table", self._idx))
        self._frames.append(_Frame(self._setting, None))
        table = super()._parse_inline_table()
        self._frames.pop()
        self.openings.pop()
        return table

    def _parse_string(self, delim: StringType) -> String:
        self.openings.append(("text", self._idx))
        string = super()._parse_string(delim)
        self.openings.pop()
        return string

    def _container(self, path: Path) -> Any:
        """The table at *path*, made if it is new."""
        here: Any = self.data
        for depth, part in enumerate(path, start=1):
            if isinstance(part, str):
                is_array = self._kinds.get(path[:depth]) == "array"
                here = here.setdefault(part, [] if is_array else {})
            else:
                here.extend({} for _ in range(len(here), part + 1))
                here = here[part]
        return here

    # --- tables

    def _parse_table(self, parent_name: Key | None = None, parent: Table | None = None) -> Any:
        self._in_header = True
        return super()._parse_table(parent_name, parent)

    def _peek_table(self) -> tuple[bool, Key]:
        self._peeking = True
        try:
            return super()._peek_table()
        finally:
            self._peeking = False
