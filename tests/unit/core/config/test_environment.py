"""Environment variables, .env files, --set and runtime parameters are documents like files."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from llamahome_core.config import (
    ConfigError,
    Span,
    environment,
    overrides,
    parse_value,
    read_dotenv,
    runtime,
)


def problems(error: pytest.ExceptionInfo[ConfigError]) -> list[tuple[str, str]]:
    return [(problem.code, problem.message) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100", 100),
        ("2e-4", 2e-4),
        ("true", True),
        ("True", "True"),
        ("[1, 'a']", [1, "a"]),
        ("[1, 2", "[1, 2"),
        ("{a = 1}", {"a": 1}),
        ('"7"', "7"),
        ("hub:org/name", "hub:org/name"),
        ("2024-05-01", "2024-05-01"),
        ("07:30:00", "07:30:00"),
        ("", ""),
        (" 7 ", 7),
        ("a = 1\nb = 2", "a = 1\nb = 2"),
        ("1\nb = 2", "1\nb = 2"),
        ("tanh", "tanh"),
        ("nan?", "nan?"),
    ],
)
def test_a_value_is_toml_where_it_can_be_and_text_elsewhere(text, value):
    found = parse_value(text)

    assert found == value
    assert type(found) is type(value)


@given(st.text())
def test_any_text_is_some_value(text):
    assert parse_value(text) is not None


def test_variables_become_settings_by_name():
    documents = environment(
        {
            "LLAMAHOME_TRAIN__STEPS": "100",
            "LLAMAHOME_SEED": "7",
            "LLAMAHOME_DATA__0__PATH": "x.jsonl",
            "LLAMAHOME_HOME": "/reserved",
            "HF_TOKEN": "not ours",
        }
    )

    assert [document.data for document in documents] == [
        {"data": {0: {"path": "x.jsonl"}}},
        {"seed": 7},
        {"train": {"steps": 100}},
    ]
    assert documents[2].name == "environment variable LLAMAHOME_TRAIN__STEPS"
    assert documents[2].marks["train", "steps"].value == Span(1, 24, 27)


def test_reserved_names_can_be_given():
    assert environment({"LLAMAHOME_MINE": "1"}, reserved={"LLAMAHOME_MINE"}) == []


def test_every_variable_that_names_no_setting_is_reported():
    with pytest.raises(ConfigError) as error:
        environment({"LLAMAHOME_": "1", "LLAMAHOME_A____B": "1", "LLAMAHOME_0__A": "1"})

    assert problems(error) == [
        ("C111", "`LLAMAHOME_` names no setting"),
        ("C111", "`LLAMAHOME_0__A` names no setting"),
        ("C111", "`LLAMAHOME_A____B` names no setting"),
    ]


def dotenv(tmp_path: pathlib.Path, text: str) -> dict[str, str]:
    path = tmp_path / ".env"
    path.write_text(text, encoding="utf-8")
    return read_dotenv(path)[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=b", "b"),
        ("A = b c  # note", "b c"),
        ("export A=b", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ("A= # only a note", ""),
        ("A='b # \\n $HOME'", "b # \\n $HOME"),
        ('A="b\\n\\"c\\" \\\\ \\q" # note', 'b\n"c" \\ \\q'),
        ("A='two\nlines'", "two\nlines"),
        ("\n # x\n\n\tA=b", "b"),
        ("A=$HOME/x", "$HOME/x"),
        ("A=b=c", "b=c"),
    ],
)
def test_a_line_of_a_dotenv_file_is_read_as_shells_write_it(tmp_path, text, value):
    assert dotenv(tmp_path, text) == {"A": value}


def test_all_that_is_wrong_in_a_dotenv_file_is_reported_at_its_place(tmp_path):
    text = "A=1\njust text\nA=2\nB='x\nC='y' z\nLLAMAHOME__X=1"

    with pytest.raises(ConfigError) as error:
        dotenv(tmp_path, text)

    found = [(p.code, p.span.line, p.span.column) for p in error.value.problems if p.span]
    assert found == [("C107", 2, 1), ("C108", 3, 1), ("C107", 5, 4)]
    assert "first on line 1" in error.value.problems[1].message


def test_an_unclosed_quote_in_a_dotenv_file_is_reported(tmp_path):
    with pytest.raises(ConfigError) as error:
        dotenv(tmp_path, 'A="x\nB=1')

    assert problems(error) == [("C107", "the text opened on line 1 is not closed")]


def test_a_setting_of_a_dotenv_file_needs_a_name(tmp_path):
    with pytest.raises(ConfigError) as error:
        dotenv(tmp_path, "LLAMAHOME_TRAIN__=1")

    assert problems(error) == [("C111", "`LLAMAHOME_TRAIN__` names no setting")]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("train.steps=5", {"train": {"steps": 5}}),
        ("data.0.path=a=b", {"data": {0: {"path": "a=b"}}}),
        ('labels."a.b"=1', {"labels": {"a.b": 1}}),
        ("labels.'0'=1", {"labels": {"0": 1}}),
        ('labels."\\u00e9"=1', {"labels": {"é": 1}}),
        ('labels."\\q"=1', {"labels": {"\\q": 1}}),
        (" train . steps = 5 ", {"train": {"steps": 5}}),
        ('name=""', {"name": ""}),
        ("tags=['a']", {"tags": ["a"]}),
        ("a.01=1", {"a": {"01": 1}}),
    ],
)
def test_set_takes_toml_keys_and_values(text, data):
    assert overrides([text])[0].data == data


def test_set_remembers_where_key_and_value_stand():
    (document,) = overrides(["train.steps = 5"])

    mark = document.marks["train", "steps"]
    assert (mark.key, mark.value) == (Span(1, 1, 12), Span(1, 14, 16))
    assert document.name == "--set train.steps = 5"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("train.steps", Span(1, 1, 12)),
        ("=5", Span(1, 1, 2)),
        ("train.=5", Span(1, 7, 8)),
        ("train steps=5", Span(1, 7, 8)),
        ("0.a=5", Span(1, 4, 5)),
        ("name=", Span(1, 1, 6)),
        ("name= ", Span(1, 1, 7)),
        ("data.-1.path=x", Span(1, 6, 8)),
        ("", Span(1, 1, 1)),
    ],
)
def test_what_is_no_setting_and_value_is_refused(text, span):
    with pytest.raises(ConfigError) as error:
        overrides([text, "a=1"])

    (problem,) = error.value.problems
    assert (problem.code, problem.span) == ("C111", span)
    assert "write --set" in str(problem.fix)


def test_a_value_that_is_missing_and_one_that_is_empty_are_two_things():
    with pytest.raises(ConfigError) as error:
        overrides(["name="])

    (problem,) = error.value.problems
    assert problem.message == "the value after `=` is missing"
    assert problem.fix == "write --set name=VALUE, or --set 'name=\"\"' where it may be empty"


def test_elements_are_counted_from_the_first_alone():
    with pytest.raises(ConfigError) as error:
        overrides(["hub.-1.token=hunter2"])

    (problem,) = error.value.problems
    assert problem.message == "there is no element -1: elements of a list are counted from 0"
    assert str(problem.fix).startswith("write --set hub.0.token=VALUE for the first")


def test_what_is_no_text_and_what_is_no_mapping_is_refused():
    given_: Any = ["a=1", 5]
    with pytest.raises(ConfigError) as error:
        overrides(given_)
    assert problems(error) == [("C111", "an assignment must be text, got int")]
    for given_ in (5, "abc", [1]):
        with pytest.raises(ConfigError, match="runtime parameters must be a mapping, got"):
            runtime(given_)


def test_runtime_parameters_are_taken_as_a_file_would_hold_them():
    @frozen(kw_only=True)
    class Config:
        path: pathlib.Path = pathlib.Path("x")
        rank: int | None = None

    given_: dict[str, Any] = {
        "train": {"steps": 5},
        "tags": ("a", "b"),
        "out": pathlib.Path("o"),
        "model": Config(),
        "day": dt.date(2024, 5, 1),
    }

    document = runtime(given_)

    assert document.data == {
        "train": {"steps": 5},
        "tags": ["a", "b"],
        "out": "o",
        "model": {"path": "x"},
        "day": dt.date(2024, 5, 1),
    }


def test_runtime_parameters_that_hold_themselves_are_refused():
    """Or are nested deeper than any file may be."""
    tables: dict[str, Any] = {"name": "x"}
    tables["train"] = tables

    with pytest.raises(ConfigError, match="nested more than 100 levels deep"):
        runtime(tables)


def test_runtime_parameters_that_no_file_could_hold_are_all_refused():
    with pytest.raises(ConfigError) as error:
        runtime({"a": {1: 2}, "b": [object()], "c": 1j})

    assert problems(error) == [
        ("C111", "a key must be text, got 1"),
        ("C111", "`b.0` cannot be a object"),
        ("C111", "`c` cannot be a complex"),
    ]
