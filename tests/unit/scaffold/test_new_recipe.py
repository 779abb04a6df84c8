"""A new recipe says the main things, each with a comment, and can be checked at once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from llamahome_scaffold.recipes import render


def test_it_can_be_checked_at_once(new, run_cli, kernel):
    """As it was written."""
    result = new("recipe", "support-bot")
    checked = run_cli("check", "support-bot.toml", over=kernel)

    assert (result.code, result.out) == (0, "support-bot.toml\n")
    assert result.err == "next: llamahome check support-bot.toml\n"
    assert (checked.code, checked.out) == (0, "support-bot.toml: ok\n")


def test_it_runs_when_model_and_data_are_there(new, kernel, tiny_model, rows):
    """The values are ones to begin with, and not ones to be put right first."""
    assert new("recipe", "first", "--model", str(tiny_model), "--data", str(rows)).code == 0

    outcome = kernel.run("first.toml", parameters={"train": {"epochs": 1}})

    assert outcome.error is None
    assert outcome.version.label == "first:v1"


def test_every_setting_has_its_comment(new):
    """From the docstring of the setting; none is too long for a screen."""
    new("recipe")
    lines = Path("recipe.toml").read_text().splitlines()

    assert [line for line in lines if line and not re.search(r"  # \w.{5,}[^.]$", line)] == []
    assert max(map(len, lines)) <= 120


def test_the_tables_are_the_main_ones(new):
    """A model and data that were asked for, and the rest with the defaults."""
    new("recipe", "x", "--model", "hub:acme/small", "--data", "my rows.jsonl")
    recipe = tomllib.loads(Path("x.toml").read_text())

    assert recipe["model"] == {"from": "hub:acme/small"}
    assert recipe["data"] == [{"use": "jsonl", "path": "my rows.jsonl"}]
    assert recipe["adapter"] == {"use": "lora", "rank": 16}
    assert recipe.keys() >= {"batch", "objective", "optimizer", "schedule", "train", "evaluate"}
    assert recipe.keys() >= {"sample", "checkpoint", "publish", "schema", "name", "seed"}


def test_it_can_be_printed(new):
    """Nothing is written, and nothing but the recipe is on standard output."""
    result = new("recipe", "-")

    assert tomllib.loads(result.out)["name"] == "recipe"
    assert (result.err, list(Path.cwd().iterdir())) == ("", [])


def test_nothing_is_written_over_without_force(new):
    """What is there may be somebody's work."""
    Path("mine.toml").write_text("mine")

    refused, forced = new("recipe", "mine"), new("recipe", "mine.toml", "--force")

    assert (refused.code, forced.code) == (2, 0)
    assert "--force" in refused.err
    assert tomllib.loads(Path("mine.toml").read_text())["name"] == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.yaml"], "try x.toml"),
        ([""], "no name"),
        (["."], "is a folder"),
        (["x", "--dialect", "axolotl"], "there is no --from"),
        (["x", "--from", "a.yml", "--model", "m"], "edit the recipe"),
        (["x", "--from", "a.yml", "--dialect", "trl"], "'axolotl', 'llama-factory'"),
    ],
)
def test_wrong_words_are_refused(new, words, said):
    """With what to do."""
    result = new("recipe", *words)

    assert result.code == 2
    assert said in " ".join(result.err.split())


def test_whatever_the_values_the_text_is_toml():
    """Quotes, newlines, escapes and odd keys, in values and in comments."""
    odd = 'a "b"\n\\ \x1b[2J é'
    tables = {"name": odd, "t": {"k k": [odd, 1.5, True]}, "d": [{"x": odd}, {"z": []}]}

    text = render(tables, {"name": odd, "t": odd, "t.k k": odd, "d.0.x": odd})

    assert tomllib.loads(text) == tables
