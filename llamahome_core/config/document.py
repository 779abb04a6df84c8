"""A configuration document: plain values, and where in the text each of them stands."""

from __future__ import annotations

import bisect
import pathlib
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

Path: TypeAlias = tuple[str | int, ...]
"""Keys and list indices from the top of a document down to one value."""

At: TypeAlias = Literal["key", "value"]
"""Which half of ``key = value`` is meant."""

LAYERS = (
    "default",
    "plugin",
    "user",
    "project",
    "profile",
    "dotenv",
    "environment",
    "recipe",
    "runtime",
    "command line",
)
"""Names of the layers, weakest first. ``profile`` is ``.config/<LLAMAHOME_ENV>.*``."""


@frozen
class Span:
    """A stretch of text. Lines and columns count from 1, columns in characters.

    Attributes:
        line: Line of the first character.
        column: Column of the first character.
        end_column: Column after the last character.
        end_line: Line of the last character, where that is another line.
    """

    line: int
    column: int
    end_column: int
    end_line: int | None = None


@frozen
class Mark:
    """Where a setting's key and its value stand; ``None`` for what the text does not contain."""

    key: Span | None = None
    value: Span | None = None


def nest(path: Path, value: Any) -> dict[Any, Any]:
    """*value* as a tree of tables with one leaf."""
    for part in reversed(path):
        value = {part: value}
    tree: dict[Any, Any] = value
    return tree


class Lines:
    """Turns offsets into a text to lines and columns. Only a line feed ends a line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        for line in text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of the character at *offset*."""
        line = bisect.bisect_right(self._starts, min(max(offset, 0), len(self.text)))
        return line, min(offset, len(self.text)) - self._starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        """The span of ``text[start:end]``."""
        line, column = self.position(start)
        end_line, end_column = self.position(max(start, end))
        return Span(line, column, end_column, None if end_line == line else end_line)

    def offsets(self, span: Span) -> tuple[int, int]:
        """Where *span* begins and ends: the inverse of `span`."""
        start = self._starts[span.line - 1] + span.column - 1
        return start, self._starts[(span.end_line or span.line) - 1] + span.end_column - 1

    def cut(self, span: Span) -> str:
        """The text under *span*."""
        start, end = self.offsets(span)
        return self.text[start:end]


@frozen(eq=False)
class Document:
    """One file, environment variable or ``--set`` as read, before it is merged with others.

    Attributes:
        layer: Which layer it belongs to, one of `LAYERS`.
        name: What people call it: a file name, ``environment variable …`` or ``--set …``.
        path: The file, if it is one.
        text: What was read, with line feeds for line ends.
        data: Plain values. In a document made by `environment` or `overrides` an integer key stands
            for an element of the list below it.
        marks: Where each key and value stands in *text*; tables and lists included.
        extended: The ``extends`` that names this document, if it is the base of a recipe.
    """

    layer: str
    name: str
    path: pathlib.Path | None
    text: str = field(repr=False)
    data: dict[Any, Any] = field(repr=False)
    marks: dict[Path, Mark] = field(repr=False)
    extended: Origin | None = field(default=None, repr=False)

    @property
    def syntax(self) -> str:
        """``toml``, ``yaml``, ``json``, ``env``, ``set`` or ``python``: how to spell an edit."""
        if self.layer == "dotenv":
            return "env"
        if self.path is not None:
            suffix = self.path.suffix.lower()
            return {".yaml": "yaml", ".yml": "yaml", ".json": "json"}.get(suffix, "toml")
        return {"environment": "env", "command line": "set"}.get(self.layer, "python")


@frozen(eq=False)
class Origin:
    """Where a value comes from.

    Attributes:
        document: The document that set it.
        mark: Where in that document.
        shadowed: The weaker origins that it hides, the strongest of them first.
    """

    document: Document
    mark: Mark = Mark()
    shadowed: tuple[Origin, ...] = ()

    @property
    def layer(self) -> str:
        """The layer of the document."""
        return self.document.layer

    @property
    def name(self) -> str:
        """What people call the document."""
        return self.document.name

    @property
    def path(self) -> pathlib.Path | None:
        """The file, if the document is one."""
        return self.document.path

    def span(self, at: At = "value") -> Span | None:
        """The span of the key or the value, or of the other one if there is no such span."""
        first, second = self.mark.value, self.mark.key
        if at == "key":
            first, second = second, first
        return first or second

    def place(self, at: At = "value") -> str:
        """``smol.toml:14:1`` for a file, and the document's name for all else."""
        span = self.span(at)
        if self.path is None or span is None:
            return self.name
        return f"{self.name}:{span.line}:{span.column}"
