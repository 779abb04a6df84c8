"""A recipe is validated whole, bound to components, and its paths are those of its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from llamahome_core import (
    Component,
    ConfigError,
    RequirementError,
    UnavailableError,
    hookimpl,
)
from llamahome_core.discovery import Policy


@frozen(kw_only=True)
class Inner:
    path: Path
    also: list[Path]


@frozen(kw_only=True)
class DeepConfig:
    by_name: dict[str, Path]
    inner: Inner


def problems(kernel: Any, recipe: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        kernel.plan(recipe, **more)
    return [(p.code, ".".join(map(str, p.path))) for p in caught.value.problems]


# --- What a recipe chooses


def test_what_is_not_said_has_a_default(make_kernel, tables):
    """All but [model] and [[data]]; the kernel's own tables too."""
    recipe = make_kernel().plan(tables).recipe

    assert {kind: s.name for kind, s in recipe.chosen.items()} == {
        "objective": "sft",
        "adapter": "full",
        "optimizer": "adamw",
        "schedule": "cosine",
        "trainer": "torch",
        "cache": "lru",
        "store": "local",
    }
    assert recipe.chosen["optimizer"].plugin == "parts"
    assert recipe.monitors == recipe.transforms == ()
    assert recipe.batch.step_tokens == 4096
    assert recipe.publish_name == "small"


class Others:
    """A third party's plugin."""

    @hookimpl
    def llamahome_caches(self) -> Any:
        yield Component(name="lru", summary="Another.", factory="lh_fakes:build")
        yield Component(name="absent", summary="", factory="a:b", needs=("lh_no",), extra="train")

    @hookimpl
    def llamahome_monitors(self) -> Any:
        yield Component(name="bell", summary="", factory="lh_fakes:build")


def test_a_third_party_can_replace_a_component_by_its_full_name(make_kernel, tables):
    """The bare name is an error only where it is used, even by default."""
    kernel = make_kernel(Others())

    plan = kernel.plan(tables | {"cache": {"use": "others:lru"}, "monitor": [{"use": "bell"}]})

    assert plan.recipe.chosen["cache"].plugin == "others"
    assert [s.name for s in plan.recipe.monitors] == ["bell"]
    assert plan.resolved["cache"] == {"use": "others:lru"}
    assert problems(kernel, tables) == [("C106", "cache.use")]


class Ours:
    """Stands for a plugin of LlamaHome's own distribution."""

    @hookimpl
    def llamahome_caches(self) -> Any:
        yield Component(name="lru", summary="Ours.", factory="lh_fakes:build")

    @hookimpl
    def llamahome_data_sources(self) -> Any:
        yield Component(name="rows", summary="Ours.", factory="lh_fakes:build")


def test_of_two_that_offer_a_name_our_own_is_offered_first(make_kernel, tables):
    """With the table to write it in; the others are in the message."""
    kernel = make_kernel(Others(), Ours())
    kernel.plugins.active["ours"].origin = "llamahome 1.0"

    with pytest.raises(ConfigError) as caught:
        kernel.plan(tables | {"cache": {"use": "lru"}})

    fixes = {p.path: p.fix for p in caught.value.problems}
    assert fixes["cache", "use"] == 'write in [cache]: use = "ours:lru"'
    assert fixes["data", 0, "use"] == 'write in [[data]]: use = "ours:rows"'


class Fails:
    """A plugin that cannot say what it offers."""

    @hookimpl
    def llamahome_caches(self) -> Any:
        raise RuntimeError("boom")


def test_a_name_that_nobody_offers_names_the_plugins_that_did_not_load(make_kernel, tables):
    """Blocked or broken, one of them may have brought it; what is near is still the hint."""
    policy = Policy(blocked=frozenset({"others"}))
    kernel = make_kernel(Others(), Fails(), policy=policy)

    def told(name: str) -> tuple[str, str | None]:
        with pytest.raises(ConfigError) as caught:
            kernel.plan(tables | {"cache": {"use": name}})
        (problem,) = caught.value.problems
        return problem.message, problem.fix

    message, fix = told("absent")
    assert message.endswith("these plugins did not load: fails (embedded: RuntimeError: boom)")
    assert fix == "llamahome plugins check fails"
    assert told("lruu") == ("no cache is called 'lruu'", "did you mean 'lru'?")
    kernel = make_kernel(Others(), policy=policy)
    assert told("absent") == (
        "no cache is called 'absent'",
        "plugins that are blocked may offer it: others (embedded): the program blocks it",
    )


@frozen(kw_only=True)
class Filed:
    """Settings with a path."""

    path: Path
    """Words."""


class Sieves:
    """Two transforms, one with a setting."""

    @hookimpl
    def llamahome_transforms(self) -> Any:
        yield Component(name="sieve", summary="", factory="lh_fakes:build")
        yield Component(name="mill", summary="", factory="lh_fakes:build", config=Filed)


def test_transforms_are_a_list_in_the_recipes_order(make_kernel, tables):
    """Another order is another recipe; a resolved one keeps it."""
    chosen = [
        {"use": "mill", "path": "x"},
        {"use": "sieve"},
        {"use": "sieves:mill", "path": "y"},
    ]

    plan = make_kernel(Sieves()).plan(tables | {"transform": chosen})

    assert [s.name for s in plan.recipe.transforms] == ["mill", "sieve", "sieves:mill"]
    assert {s.plugin for s in plan.recipe.transforms} == {"sieves"}
    assert [entry["use"] for entry in plan.resolved["transform"]] == [
        "mill",
        "sieve",
        "sieves:mill",
    ]
    assert plan.resolved["transform"][0]["path"] == str(Path.cwd() / "x")
    assert make_kernel(Sieves()).plan(dict(plan.resolved)).resolved == plan.resolved


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("mill", ("C102", "transform")),
        ({"use": "mill"}, ("C102", "transform")),
        ([{}], ("C103", "transform.0")),
        ([{"use": "sieve"}, {"use": "mil"}], ("C106", "transform.1.use")),
        ([{"use": "sieve", "path": "x"}], ("C101", "transform.0.path")),
        ([{"use": "sieve", "role": "train"}], ("C101", "transform.0.role")),
        ([{"use": "mill", "path": 3}], ("C102", "transform.0.path")),
    ],
)
def test_a_wrong_transform_is_refused_with_its_place(make_kernel, tables, given, found):
    assert problems(make_kernel(Sieves()), tables | {"transform": given}) == [found]


def test_a_component_that_is_not_installed_gives_the_pip_command(make_kernel, tables):
    with pytest.raises(ConfigError) as caught:
        make_kernel(Others()).plan(tables | {"cache": {"use": "absent"}})

    (problem,) = caught.value.problems
    assert problem.code == "P204"
    assert problem.message == (
        "'absent' needs lh_no, which is not installed (from others (embedded))"
    )
    assert problem.fix == "pip install 'llamahome[train]'"


def test_work_outside_a_run_needs_no_component_that_it_does_not_build(make_kernel, workspace):
    """Versions can be listed where torch is not installed; what is built says what it lacks."""
    (workspace.config / "llamahome.toml").write_text('[cache]\nuse = "absent"\n')

    context = make_kernel(Others()).context()

    assert context.build("store")
    with pytest.raises(UnavailableError, match="'absent' needs lh_no"):
        context.build("cache")


def test_all_problems_come_at_once_in_file_order(make_kernel, tmp_path):
    """Of the kernel's tables, of components, of what is missing; with line and column."""
    path = tmp_path / "r.toml"
    path.write_text(
        """seeed = 3
[optimizer]
use = "adamw"
learning_rate = "2e-4"
[train]
steps = 0
rate = 3
[[data]]
use = "rows"
limit = 0
[[data]]
use = "rowz"
[[data]]
path = "x"
role = ["train"]
[[data]]
use = 5
[cache]
use = "lru"
max_length = 3
"""
    )

    with pytest.raises(ConfigError) as caught:
        make_kernel().plan(path)

    found = [
        (p.code, ".".join(map(str, p.path)), p.span.line if p.span else 0)
        for p in caught.value.problems
    ]
    assert found == [
        ("C101", "seeed", 1),
        ("C103", "model", 1),
        ("C102", "optimizer.learning_rate", 4),
        ("C104", "train.steps", 6),
        ("C101", "train.rate", 7),
        ("C103", "data.0.path", 8),
        ("C104", "data.0.limit", 10),
        ("C106", "data.1.use", 12),
        ("C103", "data.2", 13),
        ("C105", "data.2.role", 15),
        ("C102", "data.3.use", 17),
        ("C101", "cache.max_length", 20),
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": {}}, ("C103", "model")),
        ({"model": {"form": "x"}}, ("C103", "model")),
        ({"model": {"from": ""}}, ("C102", "model.from")),
        ({"model": {"from": 5}}, ("C102", "model.from")),
        ({"model": {"from": "m", "froom": 1}}, ("C101", "model.froom")),
        ({"model": {"from": "m", "other": 1}}, ("C101", "model.other")),
        ({"model": {"from": "m", "hubb": {}}}, ("C106", "model.hubb.use")),
        ({"model": "name"}, ("C102", "model")),
        ({"data": []}, ("C103", "data")),
        ({"data": {"use": "rows"}}, ("C102", "data")),
        ({"data": ["rows"]}, ("C102", "data.0")),
        ({"monitor": "bell"}, ("C102", "monitor")),
        ({"monitor": [{}]}, ("C103", "monitor.0")),
        ({"schema": 2}, ("C105", "schema")),
        ({"name": "../x"}, ("C104", "name")),
        ({"seed": -1}, ("C104", "seed")),
        ({"batch": {"tokens": 5, "rows": 5}}, ("C104", "batch")),
        ({"cache": {"use": 5}}, ("C102", "cache.use")),
    ],
)
def test_what_cannot_be_meant_is_refused(make_kernel, tables, change, problem):
    """Each with a code and its place."""
    assert problem in problems(make_kernel(), tables | change)


def test_a_model_source_takes_settings_of_its_own(make_kernel, tables):
    """``[model.hub]``, for the sources that the model's name leads to."""
    tables["model"] = {"from": "hub:a/b", "hub": {"learning_rate": 0.5}}
    plan = make_kernel().plan(tables)

    assert plan.recipe.chosen["model:hub"].config.learning_rate == 0.5
    assert plan.resolved["model"] == {"from": "hub:a/b", "hub": {"learning_rate": 0.5}}


def test_a_data_source_may_be_for_evaluation_alone(make_kernel, tables):
    """But there must be something to train on."""
    held_out = {"use": "rows", "path": "held.jsonl", "role": "evaluate"}
    plan = make_kernel().plan(tables | {"data": [*tables["data"], held_out]})

    assert [selection.role for selection in plan.recipe.data] == ["train", "evaluate"]
    assert [table["role"] for table in plan.resolved["data"]] == ["train", "evaluate"]
    assert problems(make_kernel(), tables | {"data": [held_out]}) == [("C103", "data")]


# --- Alternatives


@pytest.mark.parametrize(
    ("below", "above", "wanted"),
    [
        ({"batch": {"tokens": 64}}, {"batch": {"rows": 3}}, (3, None)),
        ({"batch": {"rows": 3}}, {"batch": {"tokens": 64}}, (None, 64)),
        ({"batch": {"rows": 3}}, {"batch": {"max_length": 9}}, (3, None)),
        ({"batch": {"tokens": 64}}, {"batch": {"rows": None}}, (None, 64)),
    ],
)
def test_of_alternatives_the_stronger_layer_decides(make_kernel, tables, below, above, wanted):
    """A recipe that counts rows is not in conflict with a project that counts tokens."""
    plan = make_kernel().plan(tables | below, parameters=above)

    assert (plan.recipe.batch.rows, plan.recipe.batch.tokens) == wanted


def test_the_length_of_training_has_three_alternatives(make_kernel, tables):
    plan = make_kernel().plan(
        tables | {"train": {"epochs": 2.0}},
        parameters={"train": {"steps": 5}},
        assignments=["train.tokens=100"],
    )

    train = plan.recipe.train
    assert (train.epochs, train.steps, train.tokens) == (None, None, 100)
    assert ("train", "steps") not in plan.merged.origins


def test_two_alternatives_of_one_layer_are_an_error(make_kernel, tables):
    recipe = tables | {"train": {"epochs": 2.0, "steps": 5}}

    assert problems(make_kernel(), recipe) == [("C104", "train")]


# --- Paths and names


def test_paths_in_tables_and_lists_are_made_absolute_too(make_kernel, tables, tmp_path):
    """Wherever a settings class has one."""

    class Deep:
        @hookimpl
        def llamahome_monitors(self) -> Any:
            yield Component(name="deep", summary="", factory="a:b", config=DeepConfig)

    path = tmp_path / "r.json"
    monitor = {"use": "deep", "by_name": {"a": "x"}, "inner": {"path": "y", "also": ["z"]}}
    path.write_text(json.dumps(tables | {"monitor": [monitor]}))

    (selection,) = make_kernel(Deep()).plan(path).recipe.monitors

    assert selection.config.by_name == {"a": tmp_path / "x"}
    assert selection.config.inner == Inner(path=tmp_path / "y", also=[tmp_path / "z"])


def test_a_relative_path_is_relative_to_the_file_it_stands_in(
    make_kernel, tmp_path, workspace, monkeypatch
):
    """The recipe's, the project's or, on the command line, the working directory."""
    monkeypatch.chdir(workspace.root)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "bot.toml"
    path.write_text(
        '[model]\nfrom = "../m"\n'
        '[[data]]\nuse = "rows"\npath = "a.jsonl"\nalso = ["b.jsonl", "/c", "~/d", "~nobody-x/e"]\n'
        '[[data]]\nuse = "rows"\npath = "x"\n'
    )

    recipe = make_kernel().plan(path, assignments=["data.1.path=here.jsonl"]).recipe

    assert recipe.model == str(tmp_path / "m")
    first, second = (selection.config for selection in recipe.data)
    assert first.path == tmp_path / "deep" / "a.jsonl"
    assert first.also == (
        tmp_path / "deep" / "b.jsonl",
        Path("/c"),
        tmp_path / "home" / "d",
        tmp_path / "deep" / "~nobody-x" / "e",
    )
    assert second.path == workspace.root / "here.jsonl"
    assert recipe.folder == tmp_path / "deep"


@pytest.mark.parametrize("name", ["~nobody-x/m", "hub:a/b", "name:tag", "plain"])
def test_a_model_that_is_no_path_keeps_its_name(make_kernel, tables, name):
    """A user who is not there is no traceback."""
    model = make_kernel().plan(tables | {"model": {"from": name}}).recipe.model

    assert model == (str(Path.cwd() / name) if name[0] == "~" else name)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("bot.toml", "bot"),
        ("my bot (2).toml", "my-bot-2"),
        ("_x_.toml", "x"),
        ("…….toml", "run"),
        (f"{'a' * 120}.toml", "a" * 100),
    ],
)
def test_a_recipe_without_a_name_has_that_of_its_file(make_kernel, tmp_path, file, name):
    """Even if the model comes from elsewhere; the name can be that of a folder and a version."""
    path = tmp_path / file
    path.write_text('[[data]]\nuse = "rows"\npath = "x"\n')

    assert make_kernel().plan(path, assignments=["model.from=m"]).recipe.name == name


def test_tables_without_a_name_are_called_run(make_kernel, tables):
    del tables["name"]

    assert make_kernel().plan(tables).recipe.name == "run"


@pytest.mark.parametrize("name", ["data", "model"])
def test_a_path_that_cannot_be_followed_is_a_problem_of_its_table(
    make_kernel, tables, tmp_path, monkeypatch, name
):
    """Whatever Python raises at it: here a circle of links, as before Python 3.13."""
    kernel = make_kernel()

    def circle(*_: Any, **__: Any) -> Path:
        raise RuntimeError(f"Symlink loop from {tmp_path}")

    change = {"data": [{"use": "rows", "path": "x"}], "model": {"from": "./x"}}
    monkeypatch.setattr(Path, "resolve", circle)
    with pytest.raises(ConfigError) as caught:
        kernel.plan(tables | {name: change[name]})

    found = [p for p in caught.value.problems if p.path[0] == name]
    assert [p.code for p in found] == ["C104"]
    assert "a path cannot be followed: Symlink loop" in found[0].message


def test_a_path_with_a_nul_is_no_path(make_kernel, tables):
    """In a setting and in a model's name."""
    data = {"data": [{"use": "rows", "path": "a\0b"}]}
    assert problems(make_kernel(), tables | data) == [("C102", "data.0.path")]
    assert problems(make_kernel(), tables | {"model": {"from": "./a\0b"}}) == [
        ("C104", "model.from")
    ]


# --- required


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("lh-not-there>=1", "lh-not-there is not installed", "pip install 'lh-not-there>=1'"),
        ("attrs>=999", "attrs>=999, and .* is installed", "pip install --upgrade 'attrs>=999'"),
    ],
)
def test_what_a_recipe_requires_is_checked_before_its_components(
    make_kernel, tables, text, message, hint
):
    """The missing distribution may be the one that brings the unknown name."""
    recipe = tables | {"required": ["attrs>=20", text], "cache": {"use": "from-there"}}

    with pytest.raises(RequirementError, match=message) as caught:
        make_kernel().plan(recipe)
    assert caught.value.hint == hint


def test_what_is_no_requirement_is_shown_where_it_stands(make_kernel, tmp_path):
    """With all else that is wrong, for no installation can mend it."""
    path = tmp_path / "r.toml"
    path.write_text('required = ["attrs", "!!"]\n[model]\nfrom = "x"\n')

    with pytest.raises(ConfigError) as caught:
        make_kernel().plan(path)

    second, first = caught.value.problems
    assert (first.code, first.path, first.place) == ("C104", ("required", 1), f"{path}:1:22")
    assert first.message.startswith("'!!' is no requirement: ")
    assert "llamahome-foo>=1.2" in str(first.fix)
    assert (second.code, second.path) == ("C103", ("data",))


# --- What a plan tells


def test_the_resolved_recipe_gives_the_same_plan(make_kernel, tables, tmp_path):
    """Every value is in it, and the file says how to use it."""
    tables["publish"] = {"name": "other", "tags": ["a", "b"]}
    tables["models"] = {"tiny": {"source": "hub:a/b"}}
    kernel = make_kernel(Others(), policy=Policy.parse(["no:others"], strict=True))
    first = kernel.plan(tables)
    path = tmp_path / "resolved.toml"
    path.write_text(first.resolved_toml())

    again = kernel.plan(path)

    assert again.resolved == first.resolved
    assert again.resolved["resolved"] is True
    assert path.read_text().startswith("# Every value of this run.")
    assert again.text == path.read_text()
    assert (again.suffix, first.suffix, first.text) == (".toml", ".toml", None)
    assert again.folder == tmp_path


def test_origins_are_told_and_secrets_are_not(make_kernel, tables):
    plan = make_kernel().plan(tables, assignments=["train.clip=2.0"])

    found = {row["key"]: (row["value"], row["origin"]) for row in plan.origins()}
    assert found["train.clip"] == (2.0, "--set train.clip=2.0")
    assert found["name"][0] == "small"
