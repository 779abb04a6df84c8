"""No text makes a reader fail in any other way than by telling what is wrong, and where."""

from __future__ import annotations

import pathlib
import runpy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamahome_core.config import ConfigError, Problem, merge, render, show_origins
from llamahome_core.config.json import parse_json
from llamahome_core.config.toml import parse_toml
from llamahome_core.config.yaml import parse_yaml

CASES = runpy.run_path(str(pathlib.Path(__file__).with_name("corpus.py")))["CASES"]
PARSERS: dict[str, Any] = {"toml": parse_toml, "yaml": parse_yaml, "json": parse_json}
NOISE = st.text("[]{}()\"'=:,.#-_ \n\t\r\\|>&*!%@`~019eE+ax日\u2028\u0301\x00\x1b😀", max_size=4)


def read_and_show(suffix: str, text: str) -> None:
    path = pathlib.Path(f"x.{suffix}")
    try:
        document = PARSERS[suffix](text, layer="recipe", name=path.name, path=path)
    except ConfigError as error:
        check_shown(error.problems, text.split("\n"))
    else:
        show_origins(merge([document]))


def check_shown(problems: tuple[Problem, ...], lines: list[str]) -> None:
    (problem,) = problems
    assert problem.span is not None
    assert 1 <= problem.span.line <= len(lines)
    assert 1 <= problem.span.column <= len(lines[problem.span.line - 1]) + 1
    assert problem.message
    assert render(problems, color=False)


@pytest.mark.parametrize("suffix", PARSERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_text_with_parts_cut_out_and_noise_put_in_is_read_or_explained(suffix, data):
    texts = [case.text for case in CASES if case.suffix == suffix]
    text = data.draw(st.sampled_from(texts)) + "\n" + data.draw(st.sampled_from(texts))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 4)))

    read_and_show(suffix, text[:start] + data.draw(NOISE) + text[end:])


@pytest.mark.parametrize("suffix", PARSERS)
@settings(max_examples=150, deadline=None)
@given(text=st.lists(NOISE, max_size=12).map("".join))
def test_noise_is_read_or_explained(suffix, text):
    read_and_show(suffix, text)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (
            "toml",
            "\n".join(f"[t{i}]\nkey_{i} = {{ a = [1, 2, 'x'], b = 1.5 }}" for i in range(1000)),
        ),
        ("yaml", "\n".join(f"t{i}:\n  key_{i}: {{a: [1, 2, x], b: 1.5}}" for i in range(1000))),
        (
            "json",
            "{"
            + ",\n".join(f'"t{i}": {{"k": {{"a": [1, 2, "x"], "b": 1.5}}}}' for i in range(1000))
            + "}",
        ),
    ],
)
@pytest.mark.timeout(20)
def test_a_thousand_tables_are_read_and_merged_in_linear_time(suffix, text):
    document = PARSERS[suffix](text, layer="recipe", name="x", path=None)

    merged = merge([document, document])

    assert len(merged.data) == 1000
