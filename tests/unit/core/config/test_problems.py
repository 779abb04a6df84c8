"""What is wrong is shown as a person wants to read it, and told to programs in full."""

from __future__ import annotations

import copy
import pathlib

import pytest

from llamahome_core.config import (
    CODES,
    ConfigError,
    Document,
    Mark,
    Origin,
    Path,
    Problem,
    Span,
    environment,
    merge,
    overrides,
    path_text,
    read,
    read_dotenv,
    render,
    to_json,
)
from llamahome_core.config.toml import parse_toml


def located(
    text: str, path: Path, code: str = "C102", *, name: str = "smol.toml", **more: str
) -> Problem:
    document = parse_toml(text, layer="recipe", name=name, path=pathlib.Path(name))
    (problem,) = merge([document]).locate([Problem(code, "it is wrong", path, **more)])  # type: ignore[arg-type]  # all are text
    return problem


def test_two_errors_are_shown_as_the_manual_shows_them():
    text = '[optimizer]\nlearning_rate = "2e-4"\n\n[adapter]\nrnak = 16\n'
    document = parse_toml(text, layer="recipe", name="smol.toml", path=pathlib.Path("smol.toml"))
    problems = merge([document]).locate(
        [
            Problem(
                "C101",
                "unknown key `rnak` in [adapter]",
                ("adapter", "rnak"),
                "key",
                "did you mean `rank`?",
            ),
            Problem(
                "C102",
                '`optimizer.learning_rate` must be a number, got the text "2e-4"',
                ("optimizer", "learning_rate"),
                fix="remove the quotes",
                edit="2e-4",
            ),
        ]
    )

    shown = render(ConfigError(problems).problems, color=False)

    assert shown == (
        'error[C102]: `optimizer.learning_rate` must be a number, got the text "2e-4"\n'
        "  --> smol.toml:2:17\n"
        "  |\n"
        "1 | [optimizer]\n"
        '2 | learning_rate = "2e-4"\n'
        "  |                 ^^^^^^ remove the quotes: learning_rate = 2e-4\n"
        "  = docs: llamahome explain C102\n"
        "\n"
        "error[C101]: unknown key `rnak` in [adapter]\n"
        "  --> smol.toml:5:1\n"
        "  |\n"
        "4 | [adapter]\n"
        "5 | rnak = 16\n"
        "  | ^^^^ did you mean `rank`?\n"
        "  = docs: llamahome explain C101\n"
        "\n"
        "2 errors in smol.toml; nothing was loaded."
    )


def test_the_page_that_explains_a_code_is_named_once():
    problem = located("a = 1", ("a",))

    assert render([problem, problem], color=False).count("llamahome explain C102") == 1


def test_a_variable_and_a_set_are_shown_as_they_were_typed():
    documents = [*environment({"LLAMAHOME_TRAIN__STEPS": "x"}), *overrides(["train.stpes=5"])]
    problems = merge(documents).locate(
        [
            Problem("C102", "wrong", ("train", "steps")),
            Problem("C101", "unknown", ("train", "stpes"), "key"),
        ]
    )

    shown = render(problems, color=False)

    assert (
        "--> environment variable LLAMAHOME_TRAIN__STEPS\n"
        "  |\n"
        "  | LLAMAHOME_TRAIN__STEPS=x\n"
        "  |                        ^\n"
    ) in shown
    assert "--> --set train.stpes=5\n  |\n  | train.stpes=5\n  | ^^^^^^^^^^^\n" in shown
    assert shown.endswith(
        "2 errors in environment variable LLAMAHOME_TRAIN__STEPS and --set train.stpes=5;"
        " nothing was loaded."
    )


@pytest.mark.parametrize(
    ("text", "source", "indent", "carets"),
    [
        ("\ta = 7", "    a = 7", 8, 1),
        ("  \ta = 7", "    a = 7", 8, 1),
        ('"日本" = 7', '"日本" = 7', 9, 1),
        ('"e\u0301" = 7', '"e\u0301" = 7', 6, 1),
        ('a = "日本"', 'a = "日本"', 4, 6),
        ('a = "x\ty"', 'a = "x  y"', 4, 6),
        ('a = """x\ny"""', 'a = """x', 4, 4),
        ("a = 7 # \x85\u202e x", "a = 7 # \ufffd\ufffd x", 4, 1),
    ],
)
def test_the_caret_stands_under_the_value_on_the_screen(text, source, indent, carets):
    document = parse_toml(text, layer="recipe", name="x.toml", path=pathlib.Path("x.toml"))
    key = next(iter(document.data))

    lines = render(merge([document]).locate([Problem("C102", "no", (key,))]), color=False).split(
        "\n"
    )

    at = next(i for i, line in enumerate(lines) if "^" in line)
    assert lines[at - 1] == f"1 | {source}"
    assert lines[at] == f"  | {' ' * indent}{'^' * carets}"


def test_what_could_steer_the_terminal_is_made_visible():
    document = Document("recipe", "a\x1b[31m.toml", pathlib.Path("a.toml"), "a = \x1b[2J", {}, {})
    origin = Origin(document, Mark(None, Span(1, 5, 9)))

    shown = render([Problem("C107", "bad \x1b]0;x\x07", origin=origin, fix="\x1b")], color=False)

    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "␛[2J" in shown


def test_a_long_line_is_cut_around_the_caret():
    text = f"a = [{', '.join(['1'] * 100)}, 'x', {', '.join(['2'] * 100)}]"

    shown = render([located(text, ("a", 100))], color=False)

    lines = shown.split("\n")
    at = next(i for i, line in enumerate(lines) if "^" in line)
    assert len(lines[at - 1]) < 110
    assert lines[at].rstrip().endswith("^^^")
    assert lines[at - 1][lines[at].index("^") :].startswith("'x', 2, 2")
    assert lines[at - 1].startswith("1 | …")
    assert lines[at - 1].endswith("…")


def test_a_long_value_is_cut():
    shown = render([located(f"a = '{'x' * 500}'", ("a",), fix="shorten it " * 9)], color=False)

    assert max(len(line) for line in shown.split("\n")) < 120
    assert "= fix: shorten it" in shown


def test_a_secret_is_not_shown_where_it_is_wrong_nor_beside_it():
    text = "[hub]\napi_key = 'hunter2'\nuse = 3"

    for path in (("hub", "api_key"), ("hub", "use")):
        shown = render([located(text, path)], color=False)

        assert "hunter2" not in shown
        assert "api_key = •••••••••" in shown


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.toml", "[model.hub]\ntoken = hf_canary\n"),
        ("x.json", '{"model": {"hub": {\n"token": hf_canary\n}}}'),
        ("x.yaml", "model:\n  hub:\n    token: hf_canary: more\n"),
    ],
)
def test_a_secret_without_its_quotes_is_quoted_by_no_message(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        read(path, "recipe")

    (problem,) = caught.value.problems
    assert problem.code == "C107"
    excerpt = render(caught.value.problems, color=False)
    shown = f"{caught.value} {problem.message} {problem.fix} {excerpt}"
    assert "canary" not in shown


def test_a_secret_on_the_command_line_is_in_no_report():
    problems = merge(overrides(["hub.token=hunter2"])).locate(
        [Problem("C102", "no", ("hub", "token"))]
    )

    for shown in (
        render(problems, color=False),
        str(to_json(problems)),
        str(ConfigError(problems)),
    ):
        assert "hunter2" not in shown


def test_the_line_above_is_left_out_when_it_is_empty():
    shown = render([located("a = 1\n\nb = 2", ("b",))], color=False)

    assert "1 | " not in shown
    assert "2 | " not in shown


def test_line_numbers_of_two_digits_are_aligned():
    shown = render([located("\n" * 8 + "a = 1\nb = 2", ("b",))], color=False)

    assert "   --> smol.toml:10:5\n   |\n 9 | a = 1\n10 | b = 2\n   |     ^" in shown


def test_what_has_no_place_is_shown_without_one():
    assert render([Problem("C109", "no", fix="do")], color=False) == (
        "error[C109]: no\n  = fix: do\n  = docs: llamahome explain C109\n\n"
        "1 error; nothing was loaded."
    )


def test_the_top_of_a_file_is_shown_without_a_caret():
    problem = located("", ("model",), "C103", fix="add [model]")

    assert "--> smol.toml:1:1\n  = fix: add [model]\n" in render([problem], color=False)


def test_many_places_are_counted():
    problems = [located("a = 1", ("a",), name=f"{i}.toml") for i in range(3)]

    assert render(problems, color=False).endswith(
        "3 errors in 0.toml and 2 other places; nothing was loaded."
    )


def test_colour_only_repeats_what_the_words_say():
    import re

    problem = located("a = 1", ("a",), fix="mend it")

    assert "\x1b[1;31merror[C102]\x1b[0m" in render([problem], color=True)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", render([problem], color=True))
    assert plain == render([problem], color=False)


@pytest.mark.parametrize(
    ("name", "layer", "path", "words"),
    [
        ("a.toml", "recipe", ("t", "a b"), 'write: "a b" = 2'),
        ("a.yaml", "recipe", ("t", "a"), "write: a: 2"),
        ("a.json", "recipe", ("t", "a"), 'write: "a": 2'),
        ("a.toml", "recipe", ("t", 0), "write: 2"),
        (".env", "dotenv", ("t", "a"), "write: LLAMAHOME_T__A=2"),
        (None, "environment", ("t", 0, "a"), "write: LLAMAHOME_T__0__A=2"),
        (None, "command line", ("t", "a"), "write: --set t.a=2"),
        (None, "runtime", ("t", "a"), "write: a = 2"),
    ],
)
def test_an_edit_is_spelled_as_its_place_spells_it(name, layer, path, words):
    document = Document(layer, name or layer, pathlib.Path(name) if name else None, "", {}, {})

    problem = Problem("C102", "no", path, fix="write", edit="2", origin=Origin(document))

    assert problem.advice == words


def test_quotes_survive_the_shell_in_an_edit():
    document = Document("command line", "--set a=2", None, "", {}, {})

    problem = Problem("C102", "no", ("a",), fix="write", edit='"2"', origin=Origin(document))

    assert problem.advice == "write: --set 'a=\"2\"'"


def test_the_error_has_the_first_code_and_all_problems_weakest_layer_and_first_line_first(tmp_path):
    dotenv = tmp_path / ".env"
    dotenv.write_text("LLAMAHOME_E=1")
    documents = [
        parse_toml("b = 1\na = 1", layer="recipe", name="r.toml", path=pathlib.Path("r.toml")),
        parse_toml("c = 1", layer="user", name="u.toml", path=pathlib.Path("u.toml")),
        parse_toml("d = 1", layer="mine", name="m.toml", path=pathlib.Path("m.toml")),
        *read_dotenv(dotenv)[0],
        *overrides(["f=1"]),
    ]
    problems = merge(documents).locate(
        [Problem("C101" if key == "c" else "C102", key, (key,)) for key in "fabcde"]
    )

    error = ConfigError([Problem("C109", "nowhere"), *problems])

    assert [problem.message for problem in error.problems] == [*"cebafd", "nowhere"]
    assert (error.code, error.exit_code) == ("C101", 2)
    assert str(error) == "u.toml:1:5: c (and 6 more problems)"


def test_an_error_without_problems_is_our_own_mistake():
    with pytest.raises(ValueError, match="at least one problem"):
        ConfigError([])


def test_one_more_problem_is_no_plural():
    assert (
        ConfigError([Problem("C109", "a"), Problem("C109", "b")]).message
        == "a (and 1 more problem)"
    )


def test_an_error_can_be_copied():
    error = ConfigError([Problem("C109", "a", fix="b")])

    assert copy.copy(error).problems == error.problems
    assert error.hint == "b"


def test_every_code_is_named():
    assert list(CODES) == [f"C{number}" for number in range(101, 112)]


def test_programs_are_told_the_same_facts():
    problem = located('[t]\n"a b" = """x\ny"""', ("t", "a b"), fix="mend")

    assert to_json([problem, Problem("C109", "no")]) == [
        {
            "code": "C102",
            "message": "it is wrong",
            "path": 't."a b"',
            "at": "value",
            "fix": "mend",
            "layer": "recipe",
            "source": "smol.toml",
            "file": "smol.toml",
            "line": 2,
            "column": 9,
            "end_line": 3,
            "end_column": 5,
            "extended": [],
        },
        {
            "code": "C109",
            "message": "no",
            "path": "",
            "at": "value",
            "fix": None,
            "layer": None,
            "source": None,
            "file": None,
            "line": None,
            "column": None,
            "end_line": None,
            "end_column": None,
            "extended": [],
        },
    ]


def test_paths_are_written_as_set_reads_them():
    for path in (("a", "b"), ("a", 0, "b c"), ("a", "0"), ("é", 'x"y')):
        (document,) = overrides([f"{path_text(path)}=1"])

        assert next(iter(document.marks)) == path
