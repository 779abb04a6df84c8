"""TOML is read as the standard library reads it, and every key and value has its place."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamahome_core.config import ConfigError, Document, Mark, Path, Span
from llamahome_core.config.document import Lines
from llamahome_core.config.toml import parse_toml


def parse(text: str) -> Document:
    return parse_toml(text, layer="recipe", name="smol.toml")


def refusal(text: str) -> Any:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    (problem,) = caught.value.problems
    return problem


KEYS = st.sampled_from(["a", "b", "rank", '"q.x"', "d-e", "'l l'", '"é"'])
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(".".join)
SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "0x1F",
        "1_000",
        "true",
        "'x # y'",
        '"é\\n\\u00e9 = 1"',
        '"日本"',
        '"""\nm = 1\n[x]"""',
        "'''a\nb'''",
        "1979-05-27",
        "1979-05-27 07:32:00",
        "07:32:00",
    ]
)


def _list(items: list[str]) -> str:
    return "[ # c ]\n" + ",\n\t".join(items) + "\n]" if len(items) > 2 else f"[{', '.join(items)}]"


def _table(pairs: list[tuple[str, str]]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(_list),
        st.lists(st.tuples(KEYS, inner), max_size=3, unique_by=lambda p: p[0]).map(_table),
    ),
    max_leaves=6,
)
LINES = st.one_of(
    st.tuples(DOTTED, VALUES, st.sampled_from(["", " # note", "\t"])).map(
        lambda parts: f"{parts[0]} = {parts[1]}{parts[2]}"
    ),
    DOTTED.map("[{}]".format),
    DOTTED.map(" [[ {} ]] # many".format),
)
TEXTS = st.lists(LINES, max_size=8).map("\n".join)


def _check_marks(value: Any, path: Path, document: Document, lines: Lines) -> None:
    mark = document.marks[path]
    if path and mark.value is not None:
        assert tomllib.loads(f"v = {lines.cut(mark.value)}")["v"] == value
    if path and isinstance(path[-1], str):
        assert mark.key is not None
        assert list(tomllib.loads(f"{lines.cut(mark.key)} = 1")) == [path[-1]]
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _check_marks(item, (*path, key), document, lines)
    else:
        assert mark.value is not None


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_what_is_read_is_what_tomllib_reads_and_every_span_parses_back_to_its_value(text):
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(ConfigError):
            parse(text)
        return

    try:
        document = parse(text)
    except ConfigError as error:
        # tomllib lets a dotted key extend the parent of a table; TOML 1.0 forbids it, and so do we.
        if error.problems[0].code != "C108":
            raise
        return

    assert document.data == expected
    _check_marks(document.data, (), document, Lines(text))


def test_values_are_plain_python_values():
    data = parse("a = [1, 2.0, 'x', true, {b = 1979-05-27}]\n[t]\n'k' = 1").data

    assert [type(item) for item in data["a"]] == [int, float, str, bool, dict]
    assert type(data["a"][4]["b"]).__module__ == "datetime"
    assert all(type(key) is str for key in (*data, *data["t"], *data["a"][4]))


def test_a_setting_is_found_under_the_table_its_header_opens():
    marks = parse("[a.b]\nc = 1\n[[d]]\n[d.e]\nf = 'x'\n[[d]]\n[[d.g]]\nh = 2").marks

    assert marks["a", "b", "c"] == Mark(Span(2, 1, 2), Span(2, 5, 6))
    assert marks["d", 0, "e", "f"].value == Span(5, 5, 8)
    assert marks["d", 1].key == Span(6, 3, 4)
    assert marks["d", 1, "g", 0, "h"].value == Span(8, 5, 6)


def test_a_value_over_several_lines_has_its_last_line():
    assert parse('a = """x\ny"""').marks["a",].value == Span(1, 5, 5, 2)


def test_columns_count_characters_not_bytes():
    assert parse('"日本" = "é" # x').marks["日本",].value == Span(1, 8, 11)


def test_form_feeds_and_line_separators_inside_text_do_not_shift_the_line_of_an_error():
    problem = refusal("a = '\u2028\u0085'\nb = '\u2029'\nc = x")

    assert problem.span == Span(3, 5, 6)


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        (
            "a = [[1, 2]\nb = 2",
            Span(1, 5, 6),
            "the list opened on line 1 is not closed before line 2",
        ),
        ("a = {b = [1,\n2", Span(1, 10, 11), "the list opened on line 1"),
        ("a = {b = 1\n\n[t]", Span(1, 5, 6), "the table opened on line 1"),
        ("[[t]\nx = 1", Span(1, 1, 5), "the table name is not closed"),
        ("[]", Span(1, 1, 3), "the table has no name"),
        ("[ ]", Span(1, 1, 4), "the table has no name"),
        ("a = [\n'b',\n\n[t]\nx = 1", Span(1, 5, 6), "the list opened on line 1"),
        ("a = [\n [1 2],\n]", Span(2, 5, 6), "`,` or `]` is missing"),
        ("a = {, b = 1}", Span(1, 6, 7), "`,` is not expected here"),
        ("a = {b}", Span(1, 6, 7), "`b` is not a setting"),
        ("a = 1979-13-45", Span(1, 5, 15), "no date and no time"),
        ("a = “x”", Span(1, 5, 8), 'write "x"'),
        ("a =\u00a01", Span(1, 4, 5), "U+00A0"),
        ("[a b]", Span(1, 5, 6), "invalid key"),
        ("a = 1 = 2", Span(1, 7, 10), "nothing but a comment"),
        ("[t] x = 1", Span(1, 5, 10), "may follow the name of a table"),
        ("= 1", Span(1, 1, 2), "the key is missing"),
        ("a b = 1", Span(1, 1, 4), "`a b` is not a key"),
        ("é = 1", Span(1, 1, 2), 'put it in quotes: "é"'),
        ("a.. b = 1", Span(1, 3, 4), "a part of the key is missing"),
        ("a = = 1", Span(1, 5, 6), "one `=` is enough"),
        ("a = 1 2", Span(1, 7, 8), "nothing but a comment may follow a value"),
        ("a = 1,", Span(1, 6, 7), "no comma"),
        ("a = {b = 1 c = 2}", Span(1, 12, 13), "`,` or `}`"),
        ("a = 0123", Span(1, 5, 9), "write 123"),
        ("a = .5", Span(1, 5, 7), "write 0.5"),
        ("a = 5.", Span(1, 5, 7), "write 5.0"),
        ("a = 1__0", Span(1, 5, 9), "write 10"),
        ("a = '\x01'", Span(1, 6, 7), "U+0001"),
        ('a = "\\ud800"', Span(1, 6, 8), "not an escape"),
        ('a = "\\', Span(1, 5, 7), "is not closed"),
        ("train:\n", Span(1, 6, 7), "write [train]"),
        ('{"a": 1}', Span(1, 1, 2), "not JSON"),
        ("- a", Span(1, 1, 3), "a list is written"),
        ("a = " + "[" * 101, Span(1, 105, 106), "100 levels"),
        (".".join(["a"] * 101) + " = 1", Span(1, 200, 201), "100 levels"),
        ("[train", Span(1, 1, 7), "add the closing ]"),
        ("[", Span(1, 1, 2), "is not closed"),
        ("a = 1 \r b = 2", Span(1, 8, 14), "nothing but a comment"),
        ("a = 99999999999999999999e", Span(1, 5, 26), "is not a number"),
        (".a = 1", Span(1, 1, 2), "a part of the key is missing"),
        ("a. = 1", Span(1, 3, 4), "a part of the key is missing"),
        ("a = 1 # \x01", Span(1, 9, 10), "U+0001"),
        ("# \x01\n", Span(1, 3, 4), "U+0001"),
    ],
)
def test_what_cannot_be_parsed_is_explained_in_words(text, span, words):
    problem = refusal(text)

    assert problem.code == "C107"
    assert problem.span == span
    assert words in f"{problem.message} {problem.fix}"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("[a]\n[a]", Span(2, 2, 3)),
        ("[[a]]\n[a]", Span(2, 2, 3)),
        ("[a]\n[[a]]", Span(2, 3, 4)),
        ("a = []\n[[a]]", Span(2, 3, 4)),
        ("a = 1\na.b = 2", Span(2, 1, 2)),
        ("a.b = 1\na.b.c = 2", Span(2, 3, 4)),
        ("[a.b]\n[a]\nb.c = 1", Span(3, 1, 2)),
        ("a.b = 1\n[a]", Span(2, 2, 3)),
        ("a = {}\n[a.b]", Span(2, 2, 3)),
        ("a = {b = 1, b.c = 2}", Span(1, 13, 14)),
    ],
)
def test_what_is_defined_twice_is_refused_at_its_second_place(text, span):
    problem = refusal(text)

    assert (problem.code, problem.span) == ("C108", span)
    assert "twice" in problem.message


def test_a_table_below_a_table_set_by_dotted_keys_is_refused_where_tomllib_allows_it():
    assert refusal("[a.b.c]\n[a]\nb.d = 1").code == "C108"
