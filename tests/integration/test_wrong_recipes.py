"""A hundred wrong recipes and settings: each is refused with its place and its remedy."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import ConfigError, Kernel, Workspace

_CORPUS = runpy.run_path(str(Path(__file__).with_name("wrong_recipes.py")))
CASES, BASES = _CORPUS["CASES"], _CORPUS["BASES"]
HEAVY = ("torch", "transformers", "numpy", "peft", "rich", "safetensors", "tokenizers")
MARKER = ".config/llamahome.toml"


def everything(folder: Path) -> dict[str, bytes | None]:
    """All paths below *folder*, with what the files hold."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


@pytest.fixture
def absent(tmp_path: Path) -> Kernel:
    """A kernel whose workspace does not exist yet, deaf to this machine's settings."""
    from llamahome_core.discovery import Policy

    return Kernel(
        policy=Policy(strict=True),
        workspace=Workspace(tmp_path / "absent"),
        environ={},
        user_file=tmp_path / "no-user-file.toml",
    )


def problem_of(error: ConfigError) -> Any:
    """The only problem of *error*."""
    assert len(error.problems) == 1, [p.message for p in error.problems]
    return error.problems[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_wrong_recipe_is_refused_with_its_place_and_its_remedy(
    case: Any, absent: Kernel, tmp_path: Path
) -> None:
    path = tmp_path / f"recipe.{case.suffix}"
    path.write_text(case.text, encoding="utf-8")
    before = everything(tmp_path)

    with pytest.raises(ConfigError) as caught:
        absent.plan(path)

    problem = problem_of(caught.value)
    assert caught.value.exit_code == 2
    assert (problem.code, problem.span.line, problem.span.column) == (case.code, *case.place)
    assert case.words in f"{problem.message} {problem.advice}"
    assert everything(tmp_path) == before


def test_the_corpus_has_a_hundred_recipes_and_thirty_of_each_format() -> None:
    assert len({case.text for case in CASES}) == len(CASES) >= 100
    for suffix in BASES:
        assert sum(case.suffix == suffix for case in CASES) >= 30
