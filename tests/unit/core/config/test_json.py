"""JSON is read as the standard library reads it, more strictly, and with positions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamahome_core.config import ConfigError, Document, Span
from llamahome_core.config.document import Lines
from llamahome_core.config.json import parse_json

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def parse(text: str) -> Document:
    return parse_json(text, layer="recipe", name="smol.json")


def refusal(text: str) -> Any:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    (problem,) = caught.value.problems
    return problem


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _check(value: Any, path: Any, document: Document, lines: Lines) -> None:
    mark = document.marks[path]
    assert mark.value is not None
    assert json.loads(lines.cut(mark.value)) == value
    if path and isinstance(path[-1], str):
        assert mark.key is not None
        assert json.loads(lines.cut(mark.key)) == path[-1]
    for key, item in _items(value):
        _check(item, (*path, key), document, lines)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.text(max_size=3), VALUES, max_size=4),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_what_is_read_is_what_json_reads_and_each_span_holds_its_value(data, indent, ascii_only):
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)

    document = parse(text)

    assert document.data == data
    _check(data, (), document, Lines(text))


@settings(max_examples=300, deadline=None)
@given(st.text('{}[]",: \n\\0123456789.eE+-truefalsnN/#', max_size=40))
def test_no_text_is_read_otherwise_than_json_reads_it(text):
    try:
        found = parse(text).data
    except ConfigError:
        return

    assert json.loads(text) == found


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("", Span(1, 1, 1), "one object"),
        ("{,}", Span(1, 2, 3), "a key is expected"),
        ('{"a": [,]}', Span(1, 8, 9), "a value is missing"),
        ('{"a" "b"}', Span(1, 6, 7), "`:` is missing"),
        ('{"a": 1.}', Span(1, 7, 9), "`1.` is not a number"),
        ('{"a": +1}', Span(1, 7, 9), "write 1"),
        ('{"a": 0x1}', Span(1, 7, 10), "`0x1` is not a number"),
        ('{"a": ' + "9" * 5000 + "}", Span(1, 7, 5007), "too many digits"),
        ("{\"a\": 'x'}", Span(1, 7, 8), "double quotes"),
        ('{"a": "\\u12"}', Span(1, 8, 10), "escape"),
        ('{"a": /* b */ 1}', Span(1, 7, 17), "no comments"),
        ('{"a":' + "[" * 150, Span(1, 105, 106), "100 levels"),
        ('{"a": "x', Span(1, 7, 9), "is not closed"),
        ('{"a": 1 ', Span(1, 1, 2), "not closed before the end of the file"),
        ('{"a": 1,', Span(1, 1, 2), "not closed before the end of the file"),
        ('{"a":', Span(1, 6, 6), "a value is missing"),
    ],
)
def test_what_cannot_be_read_is_explained_at_its_place(text, span, words):
    problem = refusal(text)

    assert problem.code == "C107"
    assert problem.span == span
    assert words in f"{problem.message} {problem.fix}"
