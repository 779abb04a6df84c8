"""Every error code that anything raises has a page, and a page is easy to come by."""

from __future__ import annotations

import ast
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from llamahome_core import errors
from llamahome_core.cli.explain import pages
from llamahome_core.config import CODES
from llamahome_core.discovery import discover

OURS = "llamahome "


def packages() -> list[Path]:
    """The kernel's folder and those of its own plugins, in a checkout and where it is installed."""
    own = {
        p.entry.module.partition(".")[0]
        for p in discover()
        if p.entry and p.origin.startswith(OURS)
    }
    specs = [find_spec(name) for name in ("llamahome_core", *sorted(own))]
    return [Path(str(spec.origin)).parent for spec in specs if spec]


def codes_in(path: Path) -> set[str]:
    """Texts in the source that look like a code, docstrings apart."""
    found = {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in found if re.fullmatch(r"[CPMDTRSWX]\d{3}", text)}


def test_every_code_in_the_source_has_a_page() -> None:
    folders = packages()
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    used = {code: path.name for path in sources for code in codes_in(path)}

    assert len(folders) > 7
    assert len(sources) > 100
    assert len(used) > 25
    assert {code: name for code, name in used.items() if code not in pages()} == {}


def test_every_class_of_error_and_every_problem_of_a_recipe_has_a_page() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    codes = {c.code for c in classes if issubclass(c, errors.LlamaHomeError)}

    assert codes | CODES.keys() <= pages().keys()
    for code, words in CODES.items():
        assert pages()[code][0] == words


@pytest.mark.parametrize("code", pages())
def test_each_page_says_more_than_its_title(code: str) -> None:
    title, text = pages()[code]

    assert title == title.lower() or code.startswith("C")
    assert len(text.split()) >= 10


@pytest.mark.parametrize("word", ["C101", "c101", "[C101]", " c101 "])
def test_a_code_may_be_copied_as_it_was_printed(cli, word: str) -> None:
    result = cli("explain", word)

    assert result.code == 0
    assert result.out.startswith("C101: unknown key\n\n")
    assert max(map(len, result.out.splitlines())) <= 88


def test_a_page_is_also_json(cli) -> None:
    page = json.loads(cli("explain", "R602", "--json").out)

    assert (page["code"], page["title"]) == ("R602", "no such run")
    assert "llamahome runs list" in page["text"]


def test_an_unknown_code_is_answered_with_a_close_one_and_exit_4(cli) -> None:
    result = cli("explain", "C1O1")

    assert (result.code, result.out) == (4, "")
    assert "did you mean C1" in result.err


def test_all_codes_are_listed(cli) -> None:
    lines = cli("explain").out.splitlines()
    listed = json.loads(cli("explain", "--json").out)["errors"]

    assert [line[:4] for line in lines] == list(pages()) == [entry["code"] for entry in listed]
