"""Reads YAML to plain values, without the surprises of YAML 1.1, and remembers where each stands.

Built on PyYAML's event stream and not on its loader: the loader resolves ``no`` to false, ``1e-4``
to text, ``12:30`` to 750 and ``2024-01-01`` to a date, takes the last of two equal keys in silence,
and lets a few lines of aliases grow to gigabytes.
"""

from __future__ import annotations

import pathlib
from typing import Any, NoReturn

import yaml
from attrs import define, evolve, frozen

from llamahome_core.config.document import Document, Lines, Mark, Path, Span
from llamahome_core.config.problems import ConfigError, duplicate, problem_in
from llamahome_core.config.yaml_errors import explain
from llamahome_core.config.yaml_scalars import resolve

MAX_DEPTH = 100
"""Deepest nesting that is read."""

MAX_NODES = 100_000
"""Most values in a document once every alias is written out."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"


def parse_yaml(text: str, *, layer: str, name: str, path: pathlib.Path | None = None) -> Document:
    """Read *text*: one document, a mapping with text keys, or nothing at all.

    Raises:
        ConfigError: C107 for a syntax error or what is not read of YAML, C108 for a duplicate key.
    """
    lines = Lines(text)
    document = Document(layer, name, path, text, {}, {(): Mark(None, Span(1, 1, 1))})
    if found := yaml.reader.Reader.NON_PRINTABLE.search(text):
        message = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
        raise _error(
            document,
            "C107",
            message,
            *found.span(),
            "remove it, or write it as an escape in double quotes",
        )
    try:
        root = _Composer(text).compose()
    except yaml.MarkedYAMLError as error:
        refused = explain(error, text)
        raise _error(
            document, "C107", refused.message, refused.start, refused.end, refused.fix
        ) from None
    except _RefusedError as error:
        raise _error(document, "C107", error.message, error.start, error.end, error.fix) from None
    if root is not None:
        _Builder(document, lines).build_root(root)
    return document


def _error(
    document: Document, code: str, message: str, start: int, end: int, fix: str | None = None
) -> ConfigError:
    span = Lines(document.text).span(start, end)
    return ConfigError([problem_in(document, code, message, span, fix=fix)])


@define
class _RefusedError(Exception):
    message: str
    start: int
    end: int
    fix: str | None = None


@frozen(eq=False)
class _Node:
    """A value before it is built: text, a list of nodes, or a list of (key, value) nodes.

    Attributes:
        kind: ``scalar``, ``list`` or ``table``.
        content: What it holds.
        start: Offset of its first character.
        end: Offset after its last character.
        tag: An explicit tag; ``None`` if there is none.
        plain: Whether a scalar stands without quotes.
        size: Number of values in it, aliases written out.
    """

    kind: str
    content: Any
    start: int
    end: int
    tag: str | None = None
    plain: bool = True
    size: int = 1


class _Composer:
    """Builds nodes from events, with bounds on depth and on what aliases grow to."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._loader = _Loader(text)
        self._anchors: dict[str, _Node] = {}

    def compose(self) -> _Node | None:
        """The only document, or ``None`` if there is none."""
        try:
            self._loader.get_event()
            if self._loader.check_event(yaml.StreamEndEvent):
                return None
            self._loader.get_event()
            root = self._node(0)
            self._loader.get_event()
            event = self._loader.get_event()
        finally:
            self._loader.dispose()
        if not isinstance(event, yaml.StreamEndEvent):
            start = event.start_mark.index
            message = "a second document begins here; a configuration file holds one"
            raise _RefusedError(message, start, start + 3, "put it in a file of its own")
        return root

    def _node(self, depth: int) -> _Node:
        event = self._loader.get_event()
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, start, end)
        if depth > MAX_DEPTH:
            message = f"this is nested more than {MAX_DEPTH} levels deep"
            raise _RefusedError(message, start, start + 1)
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)  # a list that holds itself finds no anchor
        node = self._content(event, start, end, depth)
        if node.size > MAX_NODES:
            message = f"aliases make this grow beyond {MAX_NODES:,} values"
            raise _RefusedError(
                message, start, start + 1, "write the values out, or use fewer aliases"
            )
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, anchor: str | None, start: int, end: int) -> _Node:
        if anchor is None or anchor not in self._anchors:
            raise _RefusedError(f"no anchor `&{anchor}` is complete before this alias", start, end)
        node = self._anchors[anchor]
        return _Node(node.kind, node.content, start, end, node.tag, node.plain, node.size)

    def _content(self, event: Any, start: int, end: int, depth: int) -> _Node:
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "")
            return _Node("scalar", event.value, start, end, event.tag, plain)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not self._loader.check_event(yaml.SequenceEndEvent):
                items.append(self._node(depth + 1))
            size = 1 + sum(item.size for item in items)
            return _Node("list", items, start, self._end(items), event.tag, size=size)
        pairs: list[tuple[_Node, _Node]] = []
        while not self._loader.check_event(yaml.MappingEndEvent):
            pairs.append((self._node(depth + 1), self._node(depth + 1)))
        size = 1 + sum(value.size for _, value in pairs)
        return _Node("table", pairs, start, self._end([v for _, v in pairs]), event.tag, size=size)

    def _end(self, nodes: list[_Node]) -> int:
        """Where a collection ends; a block's own end mark lies behind the blank lines after it."""
        end: int = self._loader.get_event().end_mark.index
        if nodes and self._text[end - 1 : end] not in ("]", "}"):
            return nodes[-1].end
        return end


class _Builder:
    """Fills a document from nodes."""

    def __init__(self, document: Document, lines: Lines) -> None:
        self._document = document
        self._lines = lines

    def build_root(self, root: _Node) -> None:
        if root.kind == "scalar" and self._scalar(root) is None:
            return
        if root.kind != "table":
            message = "a configuration file holds `key: value` lines at its top level"
            self._refuse(message, root.start, root.start + 1)
        self._document.data.update(self._value(root, (), None))

    def _value(self, node: _Node, path: Path, key: Span | None) -> Any:
        self._document.marks[path] = Mark(key, self._lines.span(node.start, node.end))
        if node.tag is not None and not node.tag.startswith(_TAG) and node.tag != "!":
            fix = "write a plain value"
            self._refuse(f"the tag `{node.tag}` is not read", node.start, node.start + 1, fix)
        if node.kind == "scalar":
            return self._scalar(node)
        if node.kind == "list":
            return [self._value(item, (*path, i), None) for i, item in enumerate(node.content)]
        return self._table(node, path)

    def _table(self, node: _Node, path: Path) -> dict[str, Any]:
        table: dict[str, Any] = {}
        merged: list[_Node] = []
        for key, value in node.content:
            if key.plain and key.content == "<<":
                merged += value.content if value.kind == "list" else [value]
                continue
            name = self._key(key)
            here = (*path, name)
            span = self._lines.span(key.start, key.end)
            if name in table:
                message, fix = duplicate(here, self._document.marks[here].key, span.line)
                raise _error(self._document, "C108", message, key.start, key.end, fix)
            table[name] = self._value(value, here, span)
        for weaker in merged:
            self._merge(weaker, path, table)
        return table

    def _merge(self, node: _Node, path: Path, table: dict[str, Any]) -> None:
        """Add what ``<<`` brings in; its marks are those of its anchor."""
        if node.kind != "table":
            self._refuse("`<<` merges tables only", node.start, node.end)
        weaker = _Builder(evolve(self._document, data={}, marks={path: Mark()}), self._lines)
        values = weaker._table(node, path)
        new = {name: value for name, value in values.items() if name not in table}
        table.update(new)
        for where, mark in weaker._document.marks.items():
            if len(where) > len(path) and where[len(path)] in new:
                self._document.marks[where] = mark

    def _key(self, node: _Node) -> str:
        if node.kind == "scalar" and (not node.plain or isinstance(self._scalar(node), str)):
            return str(node.content)
        fix = f'put it in quotes: "{node.content}"' if node.kind == "scalar" else None
        return self._refuse("a key must be text", node.start, node.end, fix)

    def _scalar(self, node: _Node) -> Any:
        text: str = node.content
        kind = node.tag.removeprefix(_TAG) if node.tag else None
        if kind in ("str", "!") or (kind is None and not node.plain):
            return text
        value = resolve(text)
        expected = {"int": int, "float": float, "bool": bool, "null": type(None)}
        if kind is None or (kind in expected and type(value) is expected[kind]):
            return value
        return self._refuse(f"`{text}` cannot be read as `!!{kind}`", node.start, node.end)

    def _refuse(self, message: str, start: int, end: int, fix: str | None = None) -> NoReturn:
        raise _error(self._document, "C107", message, start, end, fix)
