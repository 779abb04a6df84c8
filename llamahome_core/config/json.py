"""Reads JSON to plain values and remembers where each key and value stands.

The standard library's reader keeps no positions, takes the last of two equal keys in silence and
reads NaN.
"""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any, NoReturn

from attrs import define

from llamahome_core.config.document import Document, Lines, Mark, Path, Span
from llamahome_core.config.problems import ConfigError, duplicate, problem_in

MAX_DEPTH = 100
"""Deepest nesting that is read."""

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_WORDS = {"true": True, "false": False, "null": None}
_MEANT = {"True": "true", "False": "false", "None": "null", "yes": "true", "no": "false"}


def parse_json(text: str, *, layer: str, name: str, path: pathlib.Path | None = None) -> Document:
    """Read *text*, an object.

    Raises:
        ConfigError: C107 for a syntax error, C108 for a duplicate key.
    """
    lines = Lines(text)
    document = Document(layer, name, path, text, {}, {})
    try:
        document.data.update(_Scanner(text, lines, document.marks).scan())
    except _RefusedError as error:
        span = lines.span(error.start, error.end)
        problem = problem_in(document, error.code, error.message, span, fix=error.fix)
        raise ConfigError([problem]) from None
    return document


@define
class _RefusedError(Exception):
    message: str
    start: int
    end: int
    fix: str | None = None
    code: str = "C107"


@define
class _Scanner:
    text: str
    lines: Lines
    marks: dict[Path, Mark]
    offset: int = 0

    def scan(self) -> dict[str, Any]:
        """Read all of the text."""
        self._skip()
        if self._peek() != "{":
            message = "a JSON configuration file is one object, `{ … }`"
            self._refuse(message, self.offset, self.offset + 1)
        value: dict[str, Any] = self._value((), None)
        self._skip()
        if self.offset < len(self.text):
            self._refuse("nothing may follow the closing `}`", self.offset, self.offset + 1)
        return value

    def _peek(self) -> str:
        return self.text[self.offset : self.offset + 1]

    def _skip(self) -> None:
        self.offset = _SPACE.match(self.text, self.offset).end()  # type: ignore[union-attr]  # always matches
        if self._peek() == "#" or self.text.startswith(("//", "/*"), self.offset):
            end = self.text.find("\n", self.offset)
            fix = "remove it, or use a .toml or .yaml file"
            self._refuse(
                "JSON has no comments", self.offset, end if end > 0 else len(self.text), fix
            )

    def _value(self, path: Path, key: Span | None) -> Any:
        start, first = self.offset, self._peek()
        if first in "{[" and first and len(path) >= MAX_DEPTH:
            self._refuse(f"this is nested more than {MAX_DEPTH} levels deep", start, start + 1)
        value: Any
        if first == "{":
            value = self._object(path)
        elif first == "[":
            value = self._array(path)
        elif first == '"':
            value = self._string()
        elif number := _NUMBER.match(self.text, start):
            value = self._number(number)
        else:
            value = self._word()
        self.marks[path] = Mark(key, self.lines.span(start, self.offset))
        return value

    def _object(self, path: Path) -> dict[str, Any]:
        table: dict[str, Any] = {}
        opened = self.offset
        while self._next_item("}", opened, is_first=not table):
            start = self.offset
            name = self._key(opened)
            here, span = (*path, name), self.lines.span(start, self.offset)
            if name in table:
                message, fix = duplicate(here, self.marks[here].key, span.line)
                raise _RefusedError(message, start, self.offset, fix, "C108")
            self._colon()
            table[name] = self._value(here, span)
        return table

    def _array(self, path: Path) -> list[Any]:
        items: list[Any] = []
        opened = self.offset
        while self._next_item("]", opened, is_first=not items):
            items.append(self._value((*path, len(items)), None))
        return items

    def _next_item(self, close: str, opened: int, *, is_first: bool) -> bool:
        """Step over the opening or the comma; false once the closing is behind us."""
        if is_first:
            self.offset += 1
        self._skip()
        if self._peek() == close:
            self.offset += 1
            return False
        if is_first:
            self._check_open(close, opened)
            return True
        if self._peek() != ",":
            self._check_open(close, opened)
            message = f"`,` or `{close}` is missing before this"
            self._refuse(message, self.offset, self.offset + 1)
        comma = self.offset
        self.offset += 1
        self._skip()
        if self._peek() == close:
            message = f"JSON has no comma before `{close}`"
            self._refuse(message, comma, comma + 1, "remove the comma")
        self._check_open(close, opened)
        return True

    def _check_open(self, close: str, opened: int) -> None:
        if self.offset < len(self.text):
            return
        line, _ = self.lines.position(opened)
        kind = "object" if close == "}" else "list"
        message = f"the {kind} opened on line {line} is not closed before the end of the file"
        self._refuse(message, opened, opened + 1, f"add the closing {close}")

    def _key(self, opened: int) -> str:
        if self._peek() == '"':
            return self._string()
        self._check_quotes()
        if word := _WORD.match(self.text, self.offset):
            fix = f"put it in quotes: {json.dumps(word[0], ensure_ascii=False)}"
            self._refuse("a key of JSON stands in double quotes", *word.span(), fix)
        line, _ = self.lines.position(opened)
        message = f"a key is expected in the object opened on line {line}"
        return self._refuse(message, self.offset, self.offset + 1)

    def _colon(self) -> None:
        self._skip()
        if self._peek() != ":":
            fix = "write `:`" if self._peek() == "=" else None
            message = "`:` is missing between key and value"
            self._refuse(message, self.offset, self.offset + 1, fix)
        self.offset += 1
        self._skip()

    def _string(self) -> str:
        start = self.offset
        match = _STRING.match(self.text, start)
        if match is None:
            self._refuse_string(start)
        self.offset = match.end()
        value: str = json.loads(match[0])
        if any("\ud800" <= character <= "\udfff" for character in value):
            self._refuse("half of a surrogate pair is no character", start, self.offset)
        return value

    def _refuse_string(self, start: int) -> NoReturn:
        good = re.compile(_STRING.pattern[:-1]).match(self.text, start)
        end = good.end() if good else start + 1
        stop = self.text[end : end + 1]
        if stop == "\\":
            message = f"`{self.text[end : end + 2]}` is not an escape sequence of JSON"
            self._refuse(message, end, end + 2, "double the backslash")
        if stop and stop != "\n":
            message = f"the character U+{ord(stop):04X} is not allowed inside text"
            self._refuse(message, end, end + 1, f"write it as \\u{ord(stop):04x}")
        line, _ = self.lines.position(start)
        message = f"the text opened on line {line} is not closed"
        self._refuse(message, start, end, 'add the closing "')

    def _number(self, match: re.Match[str]) -> int | float:
        start, raw = self.offset, match[0]
        self.offset = match.end()
        if rest := _WORD.match(self.text, self.offset):
            wrong = raw + rest[0]
            fix = f"write {wrong.lstrip('0')}" if wrong.lstrip("0").isdigit() else None
            self._refuse(f"`{wrong}` is not a number", start, rest.end(), fix)
        try:
            return float(raw) if match[1] or match[2] else int(raw)
        except ValueError:  # more digits than Python converts
            return self._refuse("this number has too many digits", start, self.offset)

    def _word(self) -> bool | None:
        self._check_quotes()
        match = _WORD.match(self.text, self.offset)
        if match is None:
            self._refuse("a value is missing here", self.offset, self.offset + 1)
        word = match[0]
        self.offset = match.end()
        if word in _WORDS:
            return _WORDS[word]
        if word in _MEANT:
            message = f"JSON has no `{word}`"
            self._refuse(message, *match.span(), f"write {_MEANT[word]}")
        if word.lstrip("+-") in ("NaN", "nan", "Infinity", "inf"):
            self._refuse(
                f"`{word}` is not a number of JSON", *match.span(), "write a finite number"
            )
        if re.match(r"[+-]?\.?[0-9]", word):
            fix = f"write {word.lstrip('+').replace('.', '0.', 1)}"
            self._refuse(f"`{word}` is not a number", *match.span(), fix)
        fix = f"put it in quotes: {json.dumps(word, ensure_ascii=False)}"
        return self._refuse(f"the text `{word}` needs quotes", *match.span(), fix)

    def _check_quotes(self) -> None:
        if self._peek() == "'":
            message = "text of JSON stands in double quotes, not single ones"
            self._refuse(message, self.offset, self.offset + 1, 'write " instead')

    def _refuse(self, message: str, start: int, end: int, fix: str | None = None) -> NoReturn:
        raise _RefusedError(message, start, end, fix)
