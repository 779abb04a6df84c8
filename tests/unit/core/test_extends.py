"""A recipe extends another: the nearest word counts, and mistakes are told where they stand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from llamahome_core import ConfigError, PackagedRecipe, hookimpl
from llamahome_core.config import render, to_json

BASE = """\
name = "base"
[model]
from = "./model"
[[data]]
use = "rows"
path = "a.jsonl"
[[data]]
use = "rows"
path = "b.jsonl"
[train]
epochs = 2
clip = 0.5
"""


@pytest.fixture
def write(tmp_path: Path):
    def make(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


def problems_of(kernel, recipe):
    with pytest.raises(ConfigError) as caught:
        kernel.plan(recipe)
    return caught.value.problems


def test_tables_merge_and_lists_replace(make_kernel, write, tmp_path):
    """Relative paths are those of the file that names them; every value knows its file."""
    write("bases/base.toml", BASE)
    recipe = write(
        "mine.yaml",
        "extends: bases/base.toml\nname: mine\ntrain: {clip: 0.7}\n"
        "data: [{use: rows, path: mine.jsonl}]\n",
    )

    plan = make_kernel().plan(recipe)

    assert plan.recipe.name == "mine"
    assert (plan.recipe.train.clip, plan.recipe.train.epochs) == (0.7, 2)
    assert [s.config.path for s in plan.recipe.data] == [tmp_path / "mine.jsonl"]
    assert plan.recipe.model == str(tmp_path / "bases" / "model")
    origins = {row["key"]: row["origin"] for row in plan.origins()}
    base = tmp_path / "bases" / "base.toml"
    assert origins["train.epochs"] == f"recipe {base}:11:10"
    assert origins["train.clip"] == f"recipe {recipe}:3:15 (over recipe {base}:12:8)"


def test_a_chain_goes_over_three_formats_and_a_home(make_kernel, write, tmp_path, monkeypatch):
    write("home/one.json", json.dumps({"model": {"from": "m"}, "train": {"clip": 0.1}, "seed": 1}))
    write("two.yaml", "extends: ~/one.json\ntrain: {clip: 0.2}\n")
    recipe = write("three.toml", 'extends = "two.yaml"\n[[data]]\nuse = "rows"\npath = "x"\n')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    plan = make_kernel().plan(recipe)

    assert (plan.recipe.seed, plan.recipe.train.clip, plan.recipe.name) == (1, 0.2, "three")
    assert [base.path.name for base in plan.bases if base.path] == ["two.yaml", "one.json"]


def test_another_way_to_say_the_length_replaces_that_of_the_base(make_kernel, write):
    """``steps`` and ``epochs`` exclude each other in one file, and not along a chain."""
    write("base.toml", BASE)
    steps = write("steps.toml", 'extends = "base.toml"\n[train]\nsteps = 7\n')
    tokens = write("tokens.toml", 'extends = "steps.toml"\n[train]\ntokens = 900\n')
    both = write("both.toml", 'extends = "base.toml"\n[train]\nsteps = 7\ntokens = 9\n')

    kernel = make_kernel()

    assert kernel.plan(steps).recipe.train.steps == 7
    assert kernel.plan(tokens).recipe.train.tokens == 900
    (problem,) = problems_of(kernel, both)
    assert "cannot both be set" in problem.message


def test_a_mistake_in_a_base_is_shown_there_and_from_where_it_was_extended(make_kernel, write):
    write("base.toml", BASE.replace("clip", "clpi"))
    write("two.toml", '\nextends = "base.toml"\n')
    recipe = write("mine.toml", 'extends = "two.toml"\n[train]\nsteps = "x"\n')

    problems = problems_of(make_kernel(), recipe)

    assert [(p.place or "").rpartition("/")[2] for p in problems] == [
        "base.toml:12:1",
        "mine.toml:3:9",
    ]
    text = render(problems, color=False)
    first = text[: text.index("error[C102]")]
    assert first.index("note: extended in") < first.index("two.toml:2:11")
    assert first.index("two.toml:2:11") < first.index("mine.toml:1:11")
    assert "note" not in text[len(first) :]
    places = to_json(problems)[0]["extended"]
    assert [place.rpartition("/")[2] for place in places] == ["two.toml:2:11", "mine.toml:1:11"]


@pytest.mark.parametrize(
    ("base", "code", "place", "words"),
    [
        ("[train\n", "C107", "base.toml:1:1", ""),
        ("a = 1\na = 2\n", "C108", "base.toml:2:1", "set twice"),
        (None, "C109", "mine.toml:1:11", "there is no "),
        ('extends = "../mine.toml"\n', "C104", "base.toml:1:11", "in a circle: "),
        ('extends = "base.toml"\n', "C104", "base.toml:1:11", "in a circle: "),
        ("extends = 3\n", "C102", "base.toml:1:11", "must be the path of a recipe, got 3"),
        ('extends = " "\n', "C102", "base.toml:1:11", "must be the path of a recipe"),
        ('extends = "nonesuch"\n', "C106", "base.toml:1:11", "no packaged recipe 'nonesuch'"),
        ('extends = "/x/y.txt"\n', "C109", "base.toml:1:11", "format"),
    ],
)
def test_a_base_that_cannot_be_used_is_told_with_its_place(
    make_kernel, write, base, code, place, words
):
    if base is not None:
        write("bases/base.toml", base)
    recipe = write("mine.toml", 'extends = "bases/base.toml"\n')

    (problem,) = problems_of(make_kernel(), recipe)

    assert (problem.code, (problem.place or "").rpartition("/")[2]) == (code, place)
    assert words in problem.message
    if "circle" in words:
        names = [name.rpartition("/")[2] for name in problem.message.split(" -> ")]
        assert names == ["mine.toml", "base.toml", "mine.toml" if "mine" in base else "base.toml"]


def test_a_packaged_recipe_is_extended_by_its_name(make_kernel, write, tmp_path, monkeypatch):
    class Brings:
        @hookimpl
        def llamahome_recipes(self):
            yield PackagedRecipe(name="start", summary="x", package="lh_start", file="r.toml")

    write("lh_start/__init__.py", "")
    write("lh_start/r.toml", BASE)
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = write("mine.toml", 'extends = "start"\nname = "mine"\n')

    plan = make_kernel(Brings()).plan(recipe)

    assert plan.recipe.train.epochs == 2
    assert plan.recipe.data[0].config.path == tmp_path / "lh_start" / "a.jsonl"


@pytest.mark.parametrize("where", ["settings", "variable", "parameter", "assignment", "hidden"])
def test_only_a_recipe_extends(make_kernel, write, workspace, where):
    """Anywhere else it would be passed over in silence."""
    write("base.toml", BASE)
    recipe = write("mine.toml", 'extends = "base.toml"\n' if where == "hidden" else BASE)
    if where in ("settings", "hidden"):
        (workspace.config / "llamahome.toml").write_text('extends = "base.toml"\n')
    kernel = make_kernel(environ={"LLAMAHOME_EXTENDS": "b"} if where == "variable" else {})
    parameters = {"extends": "b"} if where == "parameter" else {}
    assignments = ["extends=b"] if where == "assignment" else []

    with pytest.raises(ConfigError) as caught:
        kernel.plan(recipe, parameters=parameters, assignments=assignments)

    (problem,) = caught.value.problems
    assert problem.message == "only a recipe extends another"


def test_a_resolved_recipe_can_be_extended(make_kernel, write, workspace):
    """It holds every value, so settings are added to neither."""
    kernel = make_kernel()
    resolved = write("resolved.toml", kernel.plan(write("base.toml", BASE)).resolved_toml())
    (workspace.config / "llamahome.toml").write_text("[train]\nlog_every = 9\n")
    recipe = write("mine.toml", f'extends = "{resolved.name}"\n[train]\nclip = 0.1\n')

    plan = kernel.plan(recipe)

    assert (plan.recipe.train.log_every, plan.recipe.train.clip) == (1, 0.1)


def test_a_run_keeps_the_recipe_and_its_bases_and_needs_them_no_more(make_kernel, write):
    """``resolved.toml`` alone gives the same recipe."""
    bases = [write("one/base.toml", BASE), write("base.toml", 'extends = "one/base.toml"')]
    recipe = write("mine.toml", '# mine\nextends = "base.toml"\nname = "mine"\n')
    kernel = make_kernel()
    plan = kernel.plan(recipe)

    kernel.run(plan)

    (directory,) = kernel.workspace.runs.iterdir()
    assert (directory / "recipe.toml").read_text() == recipe.read_text()
    kept = {path.name: path.read_text() for path in (directory / "bases").iterdir()}
    assert kept == {"1-base.toml": bases[1].read_text(), "2-base.toml": bases[0].read_text()}
    for path in (recipe, *bases):
        path.unlink()
    again = kernel.plan(directory / "resolved.toml")
    assert "extends" not in tomllib.loads((directory / "resolved.toml").read_text())
    assert dict(again.resolved) == dict(plan.resolved)


def test_a_recipe_of_plain_tables_extends_a_file(make_kernel, write, monkeypatch, tmp_path):
    write("base.toml", BASE)
    monkeypatch.chdir(tmp_path)

    plan = make_kernel().plan({"extends": "base.toml", "name": "mine"})

    assert plan.recipe.train.clip == 0.5
    assert [base.path for base in plan.bases] == [Path("base.toml")]
