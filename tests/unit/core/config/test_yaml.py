"""YAML is read by the core schema of 1.2: no surprise of 1.1 reaches a recipe."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamahome_core.config import ConfigError, Document, Span
from llamahome_core.config.document import Lines
from llamahome_core.config.yaml import parse_yaml


def parse(text: str) -> Document:
    return parse_yaml(text, layer="recipe", name="smol.yaml")


def refusal(text: str) -> Any:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1e-4", 1e-4),
        ("1.5E+3", 1500.0),
        (".5", 0.5),
        ("+3", 3),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 17),
        ("12:30:00", "12:30:00"),
        ("2024-05-01", "2024-05-01"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("null", None),
        ("~", None),
        (".inf", float("inf")),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("! 1", "1"),
        ("!!int 1", 1),
        ("!!float 1.0", 1.0),
        ("9" * 5000, "9" * 5000),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_a_scalar_means_what_it_looks_like(text, value):
    found = parse(f"a: {text}").data["a"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "---\n# x\n...\n"])
def test_an_empty_file_holds_no_settings(text):
    assert parse(text).data == {}


def test_keys_and_values_have_their_places_also_after_wide_characters():
    marks = parse("é: {x: '😀', y: [1, 22]} # c\nb:\n  - c: |\n      t\n").marks

    assert marks["é",].value == Span(1, 4, 24)
    assert marks["é", "y", 1].value == Span(1, 20, 22)
    assert marks["b", 0, "c"].key == Span(3, 5, 6)
    assert marks["b",].value == Span(3, 3, 1, 5)


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abé :#", max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _check(value: Any, path: Any, document: Document, lines: Lines) -> None:
    span = document.marks[path].value
    assert span is not None
    assert json.loads(lines.cut(span)) == value
    for key, item in _items(value):
        _check(item, (*path, key), document, lines)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("abé", max_size=3), JSON_VALUES, max_size=3))
def test_json_is_read_as_yaml_and_each_span_holds_its_value(data):
    text = json.dumps(data, indent=1, ensure_ascii=False)

    document = parse(text)

    assert document.data == data
    _check(data, (), document, Lines(text))


def test_an_alias_stands_for_its_anchor_and_a_merge_key_gives_way_to_what_is_beside_it():
    document = parse(
        "base: &b {x: 1, y: {z: 2}}\nover:\n  <<: *b\n  x: 3\n"
        "list: {<<: [{q: 1}, {q: 2, r: 3}]}\nz: *b"
    )

    assert document.data["over"] == {"x": 3, "y": {"z": 2}}
    assert document.data["list"] == {"q": 1, "r": 3}
    assert document.data["z"] == {"x": 1, "y": {"z": 2}}
    assert document.marks["over", "y", "z"].value == Span(1, 24, 25)
    assert document.marks["over", "x"].value == Span(4, 6, 7)


def test_aliases_that_would_grow_without_bound_are_refused_at_once():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]

    problem = refusal("\n".join(lines))

    assert "aliases make this grow beyond 100,000 values" in problem.message


def test_deep_nesting_is_refused():
    assert "100 levels" in refusal("a: " + "[" * 150 + "]" * 150).message


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("a: \x01", Span(1, 4, 5), "U+0001 is not allowed"),
        ("a: é\nb: \x7f", Span(2, 4, 5), "U+007F"),
        ('a: "\\ud800"', Span(1, 7, 8), "no character of Unicode"),
        ("a: !!bool yes", Span(1, 4, 14), "`!!bool`"),
        ("a: !!timestamp 2024-01-01", Span(1, 4, 26), "`!!timestamp`"),
        ("? [a]\n: 1", Span(1, 3, 6), "a key must be text"),
        ("a: *x", Span(1, 4, 6), "no anchor `&x`"),
        ("<<: 1", Span(1, 5, 6), "merges tables only"),
        ("a: 1\n<<: [1]", Span(2, 6, 7), "merges tables only"),
        ("just text", Span(1, 1, 2), "`key: value` lines"),
        ("a: 'x", Span(1, 4, 5), "add the closing '"),
        ("a: [1 2", Span(1, 4, 5), "is not closed"),
        ("a: [b: 1 c: 2]", Span(1, 11, 12), "`,` or `]` is missing"),
        ("a: 1\nbc\nd: 2", Span(2, 1, 3), "`bc` is not a setting"),
        ("a: >x\n  b", Span(1, 5, 6), "begin on the next line"),
        ("%FOO\na: 1", Span(1, 5, 1, 2), "no lines that begin with `%`"),
        ("- a\nb: 1", Span(2, 1, 2), "begins with `- `"),
        ("a: ]", Span(1, 4, 5), "a value is missing"),
        ("a: 'it's'", Span(1, 8, 9), "one pair of quotes"),
        ("%YAML 9.1\n---\na: 1", Span(1, 1, 2), "`%`"),
        ("a: &x &y 1", Span(1, 7, 8), "nothing but a comment"),
        ('"a" "b": 1', Span(1, 5, 6), "nothing but a comment"),
    ],
)
def test_what_cannot_be_read_is_explained_at_its_place(text, span, words):
    problem = refusal(text)

    assert problem.code == "C107"
    assert problem.span == span
    assert words in f"{problem.message} {problem.fix}"


def test_equal_keys_are_refused_also_where_one_is_quoted():
    problem = refusal("a: 1\n'a': 2")

    assert (problem.code, problem.span) == ("C108", Span(2, 1, 4))
