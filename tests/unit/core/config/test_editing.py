"""One setting is changed in the text of a file, and every other line stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llamahome_core.config import ConfigError, Document, parse
from llamahome_core.config.editing import change, child, depth, keep_line_ends, remove, settle

# --- Random files, with comments and every form of table

KEYS = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.one_of(
    st.integers(-(10**9), 10**9),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=9),
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)
TREES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda inner: st.dictionaries(KEYS, VALUES | inner | st.lists(inner, min_size=1, max_size=2)),
    max_leaves=8,
)
COMMENTS = st.sampled_from(["", "", "# a = 1", "#", "# c: [", "   # deep"])


@st.composite
def toml(draw: st.DrawFn) -> str:
    """Sections, sub-sections, lists of tables, dotted keys and tables in braces."""
    lines: list[str] = []

    def settings(prefix: str) -> None:
        for key in draw(st.lists(KEYS, unique=True, max_size=3)):
            form = draw(st.sampled_from(["{k} = {v}", "{k} = {v}  # c", "{k}.x = {v}", "{k}={v}"]))
            form = draw(st.sampled_from([form, "{k} = {{ x = {v} }}", "{k} = [\n  {v}, # c\n]"]))
            value = json.dumps(draw(SCALARS), ensure_ascii=False).replace("\x7f", "")
            lines.append(draw(COMMENTS))
            lines.append(prefix + form.format(k=key, v=value))

    settings("")
    for _ in range(draw(st.integers(0, 3))):
        name = ".".join(draw(PATHS)[:2])
        lines.append(draw(COMMENTS))
        lines.append(draw(st.sampled_from(["[{}]", "[ {} ] # c", "[[{}]]", "  [{}]"])).format(name))
        settings(draw(st.sampled_from(["", "  "])))
    lines.append(draw(COMMENTS))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@st.composite
def yaml(draw: st.DrawFn) -> str:
    """Blocks, flow tables and lists, with comments between and behind."""
    lines: list[str] = []

    def block(tree: dict[str, Any], indent: int, lead: str = "") -> None:
        for key, value in tree.items():
            if comment := draw(COMMENTS).strip():
                lines.append(" " * indent + comment) if not lead else None
            head = f"{lead or ' ' * indent}{key}:"
            lead = ""
            flow = json.dumps(value, ensure_ascii=False)
            if not isinstance(value, dict | list) or not value or draw(st.booleans()):
                lines.append(f"{head} {flow}{draw(st.sampled_from(['', '  # c']))}")
            elif isinstance(value, dict):
                lines.append(head + draw(st.sampled_from(["", "  # c"])))
                block(value, indent + draw(st.sampled_from([2, 4])))
            else:
                lines.append(head)
                for item in value:
                    if isinstance(item, dict) and item:
                        block(item, indent + 2, " " * indent + "- ")
                    else:
                        lines.append(f"{' ' * indent}- {json.dumps(item, ensure_ascii=False)}")

    block(draw(TREES), 0)
    lines.append(draw(COMMENTS))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@st.composite
def json_text(draw: st.DrawFn) -> str:
    indent = draw(st.sampled_from([None, 2, 4, "\t"]))
    return json.dumps(draw(TREES), indent=indent, ensure_ascii=False) + draw(
        st.sampled_from(["", "\n"])
    )


def read(text: str, name: str) -> Document:
    return parse(text, Path(f"settings.{name}"), "project")


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = child(data, part)
    return data


def changed_lines(old: str, new: str) -> int:
    """How many of the old lines are not there any more, before and after what is new."""
    a, b = old.split("\n"), new.split("\n")
    head = next((i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1]), None)
    head = min(len(a), len(b)) if head is None else head
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    return len(a) - head - tail


@pytest.mark.parametrize("name", ["toml", "yaml", "json"])
@given(data=st.data())
def test_what_is_set_is_there_and_nothing_else_changes(name, data):
    """A new setting costs no line, or changes the one line of its braces; unset undoes it."""
    text = data.draw({"toml": toml, "yaml": yaml, "json": json_text}[name]())
    try:
        document = read(text, name)
    except ConfigError:
        assume(False)  # a table twice, for example
    path, value = data.draw(PATHS), data.draw(VALUES)
    found = depth(path, document.data)
    table = at(document.data, path[:found])
    assume(found < len(path) and isinstance(table, dict))

    new = change(document, path, value)

    after = read(new, name)
    assert at(after.data, path) == value
    assert type(at(after.data, path)) is type(value)
    assert changed_lines(text, new) <= 1
    back = remove(after, path)
    if table or not found:
        assert back == text or (name == "json" and not document.data)
    else:  # an empty table goes with its last setting
        assert depth(path, read(back, name).data) < len(path)


@pytest.mark.parametrize("name", ["toml", "yaml", "json"])
@given(data=st.data())
def test_a_value_is_replaced_in_its_place(name, data):
    """Comments behind it stay, and so do all lines but its own."""
    text = data.draw({"toml": toml, "yaml": yaml, "json": json_text}[name]())
    try:
        document = read(text, name)
    except ConfigError:
        assume(False)  # a table twice, for example
    paths = [p for p in document.marks if p and not isinstance(at(document.data, p), dict | list)]
    assume(paths)
    path, value = data.draw(st.sampled_from(paths)), data.draw(SCALARS)
    span = document.marks[path].value
    assert span is not None

    new = change(document, path, value)

    assert at(read(new, name).data, path) == value
    assert changed_lines(text, new) <= 1
    lines, old = new.split("\n"), text.split("\n")
    assert lines[span.line - 1].startswith(old[span.line - 1][: span.column - 1])
    assert lines[span.line - 1].endswith(old[span.line - 1][span.end_column - 1 :])
    if isinstance(path[-1], str):
        try:
            gone = remove(document, path)
        except ConfigError as error:
            assert "its line" in str(error) or "comment" in str(error)  # noqa: PT017  # some may
        else:
            assert depth(path, read(gone, name).data) < len(path)
            assert changed_lines(gone, text) <= 1


# --- Where it goes


@pytest.mark.parametrize(
    ("old", "path", "new"),
    [
        ("", "train.steps", "[train]\nsteps = 5\n"),
        ("# mine\n", "train.steps", "# mine\n\n[train]\nsteps = 5\n"),
        ("[train] # t\n# c\n", "train.steps", "[train] # t\nsteps = 5\n# c\n"),
        ("[t]\nclip = 1 # c\n\n[x]\n", "t.steps", "[t]\nclip = 1 # c\nsteps = 5\n\n[x]\n"),
        ("# mine\n\n# t\n[train]\n", "seed", "# mine\nseed = 5\n\n# t\n[train]\n"),
        ("train.clip = 1\n", "train.steps", "train.clip = 1\ntrain.steps = 5\n"),
        ("train = {} # c\n", "train.steps", "train = {steps = 5} # c\n"),
        ("train = { a = 1 }\n", "train.b.c", "train = { a = 1, b.c = 5 }\n"),
        ("train = { b.a = 1 }\n", "train.b.c", "train = { b.a = 1, b.c = 5 }\n"),
        ("[a.b]\nx = 1\n", "a.y", "[a.b]\nx = 1\n\n[a]\ny = 5\n"),
        ("[[d]]\nx = 1\n[[d]]\nx = 2\n", "d.0.y", "[[d]]\nx = 1\ny = 5\n[[d]]\nx = 2\n"),
        ("[train]\n  steps = 4 # c\n", "train.steps", "[train]\n  steps = 5 # c\n"),
        ("x = [\n 1, # one\n 2,\n]\n", "x.1", "x = [\n 1, # one\n 5,\n]\n"),
    ],
)  # fmt: skip
def test_toml_is_written_as_people_write_it(old, path, new):
    document = read(old, "toml")
    parts = tuple(int(p) if p.isdigit() else p for p in path.split("."))
    assert change(document, settle(parts, document.data), 5) == new


@pytest.mark.parametrize(
    ("old", "path", "new"),
    [
        ("", "train.steps", "train:\n  steps: 5\n"),
        ("t:\n    clip: 1 # c\nx: 2\n", "t.steps", "t:\n    clip: 1 # c\n    steps: 5\nx: 2\n"),
        ("train:\n  # c: 1\nx: 2\n", "train.steps", "train:\n  steps: 5\n  # c: 1\nx: 2\n"),
        ("train:\n  # c: 1\n", "seed", "train:\n  # c: 1\nseed: 5\n"),
        ("train: {clip: 1} # c\n", "train.steps", "train: {clip: 1, steps: 5} # c\n"),
        ("d:\n- x: 1\n- x: 2\n", "d.0.z", "d:\n- x: 1\n  z: 5\n- x: 2\n"),
        ("t: |\n  a\n\n  b\n# c\n", "t", "t: 5\n# c\n"),
        ("t:\n- a\n- b\n# c\n", "t", "t: 5\n# c\n"),
        ("t:\n# c\n", "t", "t: 5\n# c\n"),
        ("a: &x {b: 1}\nc: *x\n", "c.b", None),
        ("a: &x 1\nb: *x\n", "a", None),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "c.b", None),
        ("a: {\n  b: 1, # one\n}\n", "a.c", None),
        ("no: 1\n", "yes", 'no: 1\n"yes": 5\n'),
    ],
)  # fmt: skip
def test_yaml_is_written_as_people_write_it_or_not_at_all(old, path, new):
    document = read(old, "yaml")
    parts = settle(tuple(int(p) if p.isdigit() else p for p in path.split(".")), document.data)
    if new is not None:
        assert change(document, parts, 5) == new
        return
    with pytest.raises(ConfigError) as caught:
        change(document, parts, 5)
    assert caught.value.problems[0].code == "C111"


@pytest.mark.parametrize(
    ("old", "path", "new"),
    [
        ("{}\n", "a.b", '{\n  "a": {\n    "b": 5\n  }\n}\n'),
        ('{"a": 1}', "b", '{"a": 1, "b": 5}'),
        ('{\n\t"a": {}\n}', "a.b", '{\n\t"a": {\n\t\t"b": 5\n\t}\n}'),
        ('{\n  "a": 1\n}', "b.c", '{\n  "a": 1,\n  "b": {\n    "c": 5\n  }\n}'),
    ],
)
def test_json_is_written_as_people_write_it(old, path, new):
    assert change(read(old, "json"), tuple(path.split(".")), 5) == new


@pytest.mark.parametrize(
    ("name", "old", "path", "new"),
    [
        ("toml", "a = 1\n\n[t]\nx = 1 # c\n", "t.x", "a = 1\n"),
        ("toml", "# about t\n[t]\nx = 1\n", "t.x", "# about t\n[t]\n"),
        ("toml", "[t] # about\nx = 1\n", "t.x", "[t] # about\n"),
        ("toml", "[t]\n# y = 2\nx = 1\n", "t.x", "[t]\n# y = 2\n"),
        ("toml", "[[t]]\nx = 1\ny = 2\n", "t.0.x", "[[t]]\ny = 2\n"),
        ("toml", "t = { x = 1, y = 2 }\n", "t.x", "t = { y = 2 }\n"),
        ("toml", "t = { x = 1, y.z = 2 }\n", "t.y.z", "t = { x = 1 }\n"),
        ("toml", "x = '''\na\nb''' # c\ny = 1\n", "x", "y = 1\n"),
        ("yaml", "t:\n  x: 1 # c\ny: 2\n", "t.x", "y: 2\n"),
        ("yaml", "t: # about\n  x: 1\n", "t.x", "t: # about\n"),
        ("yaml", "t:\n  x: 1\n  # y: 2\n", "t.x", "t:\n  # y: 2\n"),
        ("yaml", "t:\n  x:\n  y: 2\n", "t.y", "t:\n  x:\n"),
        ("yaml", "x: |\n  a\n\n  b\n\n# c\ny: 1\n", "x", "\n# c\ny: 1\n"),
        ("json", '{"a": {"b": 1}, "c": 2}', "a.b", '{"c": 2}'),
        ("json", '{\n  "a": {\n    "b": 1\n  }\n}\n', "a.b", "{}\n"),
    ],
)
def test_what_is_removed_takes_nothing_along(name, old, path, new):
    """A table that holds nothing more goes too, unless there is a comment of it."""
    document = read(old, name)
    parts = tuple(int(p) if p.isdigit() else p for p in path.split("."))
    assert remove(document, settle(parts, document.data)) == new


@pytest.mark.parametrize(
    ("name", "text", "path", "words"),
    [
        ("toml", "[t]\nx = 1\n", ("t",), "a table"),
        ("toml", "[[t]]\nx = 1\n", ("t",), "a list of tables"),
        ("toml", "t = [1]\n", ("t", 3), "`t.3` is not there"),
        ("toml", "t = 1\n", ("t", "x"), "`t.x` is not there"),
        ("yaml", "? a\n: 1\n", ("a", "b"), "is not there"),
    ],
)
def test_what_cannot_be_edited_is_told(name, text, path, words):
    with pytest.raises(ConfigError) as caught:
        change(read(text, name), path, 5)
    (problem,) = caught.value.problems
    assert words in problem.message
    assert (problem.code, problem.fix) == ("C111", "change it in an editor")


def test_what_shares_its_line_with_another_is_not_removed():
    """The dash of a list's element would go with it."""
    with pytest.raises(ConfigError, match="it shares its line with another"):
        remove(read("t:\n- x: 1\n  y: 2\n", "yaml"), ("t", 0, "x"))


# --- Line ends


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@given(
    lines=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["\n", "\r\n"])), min_size=1, max_size=6
    ),
    ends=st.booleans(),
    place=st.integers(0, 6),
    new=st.sampled_from([[], ["x"], ["x", "y"]]),
    gone=st.integers(0, 2),
)
def test_every_line_that_stays_keeps_its_end(mark, lines, ends, place, new, gone):
    """Also where line ends are mixed, and with a byte order mark before the first."""
    raw = "".join(word + end for word, end in lines)
    raw = raw if ends else raw.removesuffix(lines[-1][1])
    before = raw.replace("\r\n", "\n")
    parts = before.split("\n")
    place = min(place, len(parts) - 1)
    after = "\n".join([*parts[:place], *new, *parts[place + gone :]])

    found = keep_line_ends(mark + raw.encode(), before, after)

    assert found.startswith(mark)
    text = found.removeprefix(mark).decode()
    assert text.replace("\r\n", "\n") == after
    if before == after:
        assert text == raw
    if {end for _, end in lines} == {"\r\n"} and "\n" in raw:
        assert text == after.replace("\n", "\r\n")
