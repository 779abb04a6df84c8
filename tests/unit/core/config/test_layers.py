"""Layers merge by one rule, and every value knows where it comes from and what it hides."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from llamahome_core.config import (
    Document,
    Merged,
    Path,
    Problem,
    environment,
    merge,
    origin_text,
    overrides,
    runtime,
    show_origins,
)
from llamahome_core.config.redaction import cover, is_secret
from llamahome_core.config.toml import parse_toml
from llamahome_core.config.yaml import parse_yaml


def toml(text: str, layer: str = "recipe", name: str = "smol.toml") -> Document:
    import pathlib

    return parse_toml(text, layer=layer, name=name, path=pathlib.Path(name))


def origin(merged: Merged, *path: str | int) -> str:
    found = merged.origin(path)
    assert found is not None
    return origin_text(found)


def test_tables_merge_and_lists_replace():
    merged = merge(
        [
            toml("tags = ['a', 'b']\n[train]\nsteps = 1\nclip = 1.0", "user", "user.toml"),
            toml("tags = ['c']\n[train]\nsteps = 2"),
        ]
    )

    assert merged.data == {"tags": ["c"], "train": {"steps": 2, "clip": 1.0}}
    assert merged.problems == ()


def test_a_value_knows_its_place_and_what_it_hides_strongest_first():
    merged = merge(
        [
            toml("[train]\nsteps = 1", "user", "user.toml"),
            toml("[train]\nsteps = 2", "project", "project.toml"),
            *environment({"LLAMAHOME_TRAIN__STEPS": "3"}),
            toml("train.steps = 4"),
            runtime({"train": {"steps": 5}}),
            *overrides(["train.steps=6"]),
        ]
    )

    assert merged.data == {"train": {"steps": 6}}
    assert origin(merged, "train", "steps") == (
        "--set train.steps=6 (over runtime parameters, recipe smol.toml:1:15, "
        "environment variable LLAMAHOME_TRAIN__STEPS, project project.toml:2:9, user user.toml:2:9)"
    )


def test_what_is_merged_is_a_copy():
    document = toml("tags = ['a']")

    merge([document]).data["tags"].append("b")

    assert document.data == {"tags": ["a"]}


def test_another_use_drops_the_settings_of_the_one_below():
    below = toml("[optimizer]\nuse = 'adamw'\nbetas = [1, 2]\nx = {y = 1}", "user", "user.toml")

    merged = merge([below, toml("[optimizer]\nuse = 'sgd'\nmomentum = 0.9")])

    assert merged.data == {"optimizer": {"use": "sgd", "momentum": 0.9}}
    assert not [path for path in merged.origins if "betas" in path or "y" in path]


def test_the_same_use_or_none_keeps_them():
    below = toml("[optimizer]\nuse = 'adamw'\neps = 1", "user", "user.toml")

    assert merge([below, toml("[optimizer]\nuse = 'adamw'")]).data["optimizer"]["eps"] == 1
    assert merge([below, toml("[optimizer]\nlr = 2")]).data["optimizer"]["eps"] == 1


def test_an_index_edits_that_element_and_the_next_one_appends():
    merged = merge(
        [
            toml("[[data]]\npath = 'a'\nweight = 1\n[[data]]\npath = 'b'"),
            *environment({"LLAMAHOME_DATA__0__WEIGHT": "2"}),
            *overrides(["data.2.path=c", "data.2.weight=3", "tags.0=x", "tags.1=y"]),
        ]
    )

    assert merged.data["data"] == [
        {"path": "a", "weight": 2},
        {"path": "b"},
        {"path": "c", "weight": 3},
    ]
    assert merged.data["tags"] == ["x", "y"]
    assert origin(merged, "data", 0, "path") == "recipe smol.toml:2:8"
    assert origin(merged, "data", 0, "weight").startswith("environment variable")
    assert origin(merged, "data", 2, "path") == "--set data.2.path=c"


def test_an_index_in_an_index_makes_lists_of_lists():
    merged = merge(overrides(["data.0.parts.0.path=a", "data.0.parts.1.path=b"]))

    assert merged.data == {"data": [{"parts": [{"path": "a"}, {"path": "b"}]}]}


def test_a_number_is_a_plain_key_where_there_is_a_table():
    merged = merge([toml("[labels]\na = 1"), *overrides(["labels.0=2"])])

    assert merged.data == {"labels": {"a": 1, "0": 2}}
    assert origin(merged, "labels", "0") == "--set labels.0=2"


def test_an_element_that_is_not_there_is_refused():
    merged = merge([toml("[[data]]\npath = 'a'"), *overrides(["data.5.path=b", "tags.1=x"])])

    assert [(p.code, p.message, p.fix) for p in merged.problems] == [
        (
            "C111",
            "`data` has no element 5: it has 1 element, counted from 0",
            "write data.1 to add one",
        ),
        (
            "C111",
            "`tags` has no element 1: it has no elements, counted from 0",
            "write tags.0 to add one",
        ),
    ]


def test_a_table_against_a_value_is_a_conflict_that_names_both_places():
    merged = merge(
        [
            toml("[train]\nsteps = 1\n[[data]]\npath = 'a'\n[model]\nx = 1", "user", "user.toml"),
            toml("train = 5\n[data]\npath = 'b'\n[model.x]\ny = 1"),
        ]
    )

    assert [(p.code, p.message, p.place) for p in merged.problems] == [
        ("C110", "`train` is a single value here and a table in user.toml:1:2", "smol.toml:1:1"),
        ("C110", "`data` is a table here and a list in user.toml:3:3", "smol.toml:2:2"),
        ("C110", "`model.x` is a table here and a single value in user.toml:6:1", "smol.toml:4:8"),
    ]
    assert merged.data == {"train": 5, "data": {"path": "b"}, "model": {"x": {"y": 1}}}


def test_a_list_whose_element_is_named_gets_the_number_of_the_first():
    merged = merge([toml("[[data]]\npath = 'a'"), *overrides(["data.first.path=b"])])

    (problem,) = merged.problems
    assert problem.code == "C110"
    assert problem.fix == "name an element by its number: data.0 is the first"


def test_what_is_missing_is_missing_in_the_recipe_and_not_in_a_plugins_defaults():
    defaults = evolve(runtime({"models": {}}), layer="plugin", name="plugin models")
    tables = evolve(runtime({}), layer="recipe", name="recipe")
    missing = [Problem("C103", "missing", ("model",))]

    def place(*documents: Document) -> str | None:
        (problem,) = merge(documents).locate(missing)
        return problem.place

    assert place(defaults) is None
    assert place(defaults, tables) == "recipe"
    assert place(defaults, toml("a = 1", "project", "p.toml"), tables) == "recipe"
    assert place(defaults, toml("a = 1"), runtime({"a": 2})) == "smol.toml:1:1"


def test_a_conflict_with_a_layer_that_has_no_text_names_the_layer():
    merged = merge([runtime({"train": {"steps": 1}}), *overrides(["train=1"])])

    assert merged.problems[0].message.endswith("a table in runtime parameters")


def test_null_sets_aside_what_is_below_and_gives_way_to_what_is_above():
    merged = merge(
        [
            toml("[a]\nx = 1"),
            parse_yaml("a:\nb:\n", layer="recipe", name="x.yaml"),
            toml("[b]\ny = 1"),
        ]
    )

    assert merged.data == {"a": None, "b": {"y": 1}}
    assert merged.problems == ()


def test_a_problem_is_shown_where_its_setting_was_written_or_at_the_table_around_it():
    merged = merge(
        [
            toml("[train]\nsteps = 1", "user", "user.toml"),
            toml("# recipe\n[train]\nclip = 1"),
            *overrides(["train.epochs=1"]),
        ]
    )
    own = Problem("C109", "mine", origin=merged.origin(("train", "steps")))

    found = merged.locate(
        [
            Problem("C102", "wrong", ("train", "steps")),
            Problem("C103", "missing", ("train", "gone", "x")),
            Problem("C103", "missing", ("model",)),
            own,
        ]
    )

    assert [(p.place, p.at) for p in found] == [
        ("user.toml:2:9", "value"),
        ("smol.toml:2:2", "key"),
        ("smol.toml:1:1", "key"),
        ("user.toml:2:9", "value"),
    ]


def test_nothing_merged_has_no_origin():
    merged = merge([])

    assert merged.origin(("a",)) is None
    assert merged.locate([Problem("C103", "missing", ("a",))])[0].place is None


TREES: Any = st.recursive(
    st.one_of(st.integers(), st.text(max_size=2), st.lists(st.integers(), max_size=2)),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


def _leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _leaves(item, (*path, key)).items()}
    return {path: value}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), TREES, max_size=3), max_size=4))
def test_every_leaf_comes_from_the_strongest_layer_that_sets_it(trees):
    documents = [runtime(tree) for tree in trees]

    merged = merge(documents)

    for path, value in _leaves(merged.data).items():
        setters = [document for document in documents if _leaves(document.data).get(path) == value]
        found = merged.origins[path].document
        assert found is setters[-1]
    for path in merged.origins:
        assert not path or _has(merged.data, path)


def _has(value: Any, path: Path) -> bool:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def test_the_list_of_origins_has_a_row_for_each_setting():
    merged = merge(
        [
            toml(
                "name = 'x'\ntags = ['a', 'b']\nempty = {}\n[[data]]\npath = 'p'\n"
                "[serve]\napi_key = 'sk-1'\nport = 8321\n[batch]\ntokens = 4096"
            ),
            *overrides(["hub.token=hf_abc"]),
        ]
    )

    rows = {row.key: (row.text, row.origin) for row in show_origins(merged)}

    assert rows == {
        "name": ("x", "recipe smol.toml:1:8"),
        "tags": ('["a", "b"]', "recipe smol.toml:2:8"),
        "empty": ("{}", "recipe smol.toml:3:9"),
        "data.0.path": ("p", "recipe smol.toml:5:8"),
        "serve.api_key": ("••••••••", "recipe smol.toml:7:11"),
        "serve.port": ("8321", "recipe smol.toml:8:8"),
        "batch.tokens": ("4096", "recipe smol.toml:10:10"),
        "hub.token": ("••••••••", "--set hub.token=••••••"),
    }


def test_names_that_say_secret_are_secret_and_counts_of_tokens_are_not():
    for name in ("token", "hf_token", "api_key", "apikey", "client_secret", "password", "api_keys"):
        assert is_secret(("x", name)), name
    for name in ("tokens", "max_tokens", "tokenizer", "key", "secretary"):
        assert not is_secret(("x", name)), name
    assert is_secret(("secrets", 0, "hub"))


def test_the_value_of_a_secret_is_covered_in_any_line_of_a_file():
    assert cover('api_key = "sk-1 2"') == "api_key = ••••• ••"
    assert cover('  "hub_token": "abc",') == '  "hub_token": ••••••'
    assert cover("LLAMAHOME_HUB__TOKEN=abc") == "LLAMAHOME_HUB__TOKEN=•••"
    assert cover("--set hub.token=abc") == "--set hub.token=•••"
    assert cover("tokens = 4096") == "tokens = 4096"
    assert cover("[secret]") == "[secret]"


def test_another_source_of_a_model_drops_the_checksum_of_the_one_below():
    """The user's model under a known name is not held to the known model's checksum."""
    below = toml("[models.m]\nsource = 'a'\nchecksum = 'x'\nlicence = 'MIT'", "user", "user.toml")

    other = merge([below, toml("[models.m]\nsource = 'b'")])
    same = merge([below, toml("[models.m]\nsummary = 'text'")])

    assert other.data == {"models": {"m": {"source": "b"}}}
    assert same.data["models"]["m"]["checksum"] == "x"
