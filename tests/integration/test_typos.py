"""Typing mistakes in recipes and settings: each is refused, with exactly what was meant."""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from llamahome_core import ConfigError, Kernel
from llamahome_core.config import path_text

BASES = runpy.run_path(str(Path(__file__).with_name("wrong_recipes.py")))["BASES"]
CORPUS = tomllib.loads(Path(__file__).with_name("typos.toml").read_text(encoding="utf-8"))
TYPOS = [(place, *typo) for place, found in CORPUS.items() for typo in found["typos"]]


def refused(made: Callable[..., Kernel], tmp_path: Path, place: str, text: str) -> ConfigError:
    """What is said of *text*, typed in *place*."""
    recipe, environ, assignments = tmp_path / "recipe.toml", {}, []
    recipe.write_text(BASES["toml"], encoding="utf-8")
    (tmp_path / ".config").mkdir()
    (tmp_path / "user").mkdir()
    if place == "environment":
        name, _, value = text.partition("=")
        environ = {name: value}
    elif place == "--set":
        assignments = [text]
    else:
        path = tmp_path / place
        text = text.replace("§", BASES.get(path.suffix[1:], ""))
        path.write_text(text, encoding="utf-8")
        recipe = path if path.stem == "recipe" else recipe
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, environ=environ).plan(recipe, assignments=assignments)
    return caught.value


@pytest.mark.parametrize(("place", "text", "key", "advice"), TYPOS)
def test_each_typing_mistake_is_refused_with_what_was_meant(
    place: str, text: str, key: str, advice: str, with_acme: Callable[..., Kernel], tmp_path: Path
) -> None:
    error = refused(with_acme, tmp_path, place, text)

    (problem,) = error.problems
    assert error.exit_code == 2
    assert (path_text(problem.path), problem.advice) == (key, advice)


def test_the_corpus_is_large_and_covers_every_place() -> None:
    assert len({(place, text) for place, text, _, _ in TYPOS}) == len(TYPOS) >= 101
    assert len(CORPUS) == 10
