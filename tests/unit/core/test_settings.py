"""Every layer of settings beats the one below it, and knows where each value came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import ConfigError, Defaults, Kernel, hookimpl
from llamahome_core.discovery import Plugin, Policy

RECIPE = """
name = "small"
[model]
from = "some:model"
[[data]]
use = "rows"
path = "rows.jsonl"
"""


class Brings:
    """A plugin with settings of its own."""

    def __init__(self, **tables: Any) -> None:
        self.tables = tables

    @hookimpl
    def llamahome_defaults(self) -> Any:
        yield Defaults(tables=self.tables)


@pytest.fixture
def write(workspace):
    """Writes a file of the workspace's ``.config``, or another."""

    def make(name: str, text: str, folder: Path | None = None) -> Path:
        path = (folder or workspace.config) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return make


LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("default", {}),
    ("plugin", {"extra": Brings(train={"log_every": 2})}),
    ("user", {"file": ("../user.toml", "[train]\nlog_every = 3")}),
    ("project", {"file": ("llamahome.toml", "[train]\nlog_every = 4")}),
    ("project", {"file": ("training_config.yaml", "train: {log_every: 5}")}),
    ("profile", {"file": ("dev.json", '{"train": {"log_every": 6}}')}),
    ("dotenv", {"file": ("../.env", "export LLAMAHOME_TRAIN__LOG_EVERY=7")}),
    ("environment", {"environ": {"LLAMAHOME_TRAIN__LOG_EVERY": "8"}}),
    ("recipe", {"recipe": "[train]\nlog_every = 9"}),
    ("runtime", {"parameters": {"train": {"log_every": 10}}}),
    ("command line", {"assignments": ["train.log_every=11"]}),
]


@pytest.mark.parametrize("count", range(1, len(LAYERS) + 1))
def test_every_layer_beats_all_below_it(make_kernel, write, tmp_path, count):
    """Default < plugin < user < project < profile < .env < variable < recipe < runtime < --set."""
    environ, recipe, extra = {"LLAMAHOME_ENV": "dev"}, RECIPE, []
    parameters, assignments = None, ()
    write("dev.toml", "")  # the profile is there, and may be empty
    for _, layer in LAYERS[:count]:
        if "extra" in layer:
            extra.append(layer["extra"])
        if "file" in layer:
            name, text = layer["file"]
            where = tmp_path if name == "../user.toml" else None
            write(name.removeprefix("../") if where else name, text, where)
        environ |= layer.get("environ", {})
        recipe += layer.get("recipe", "")
        parameters = layer.get("parameters", parameters)
        assignments = layer.get("assignments", assignments)
    path = write("small.toml", recipe, tmp_path)

    plan = make_kernel(*extra, environ=environ).plan(
        path, parameters=parameters, assignments=assignments
    )

    assert plan.recipe.train.log_every == count
    origin = plan.merged.origin(("train", "log_every"))
    name = LAYERS[count - 1][0]
    if count > 1:
        assert origin.layer == name
        assert len(origin.shadowed) == count - 2


def test_the_catalogue_of_models_is_a_file_of_its_own(make_kernel, write, tables):
    """``models.json`` holds only what is under ``models``, and errors point into it."""
    write("models.json", json.dumps({"tiny": {"source": "hub:acme/tiny", "licence": "MIT"}}))
    plan = make_kernel(Brings(models={"big": {"source": "hub:acme/big"}})).plan(tables)

    assert {name: e.source for name, e in plan.recipe.models.items()} == {
        "big": "hub:acme/big",
        "tiny": "hub:acme/tiny",
    }
    write("models.json", '{\n  "tiny": {\n    "sauce": "hub:acme/tiny"}}')
    with pytest.raises(ConfigError) as caught:
        make_kernel().plan(tables)
    found = [(p.code, p.origin and p.origin.span("key")) for p in caught.value.problems]
    assert {(code, span and span.line) for code, span in found} == {
        ("C101", 3),
        ("C103", 2),
    }


def test_a_resolved_recipe_takes_nothing_from_settings(make_kernel, write, tmp_path, tables):
    """It holds every value; only the caller's own parameters and --set are added."""
    first = make_kernel().plan(tables)
    path = write("resolved.toml", first.resolved_toml(), tmp_path)
    write("llamahome.toml", "[train]\nclip = 0.5\n")
    write(".env", "LLAMAHOME_SEED=9", tmp_path / "workspace")
    kernel = make_kernel(Brings(seed=8), environ={"LLAMAHOME_SEED": "7"})

    again = kernel.plan(path)
    changed = kernel.plan(path, parameters={"seed": 5}, assignments=["train.clip=2.0"])

    assert again.recipe.train.clip == 1.0
    assert again.recipe.seed == 0
    assert again.resolved == first.resolved
    assert (changed.recipe.seed, changed.recipe.train.clip) == (5, 2.0)


def test_wrong_files_of_all_layers_are_reported_at_once(make_kernel, write, tmp_path):
    """A user mends them in one go."""
    write("user.toml", "= 1", tmp_path)
    write("llamahome.toml", "[train")
    write("training_config.yaml", "train: [")
    recipe = write("small.toml", "name = ", tmp_path)

    with pytest.raises(ConfigError) as caught:
        make_kernel(environ={"LLAMAHOME_A____B": "1"}).plan(
            recipe, parameters={"x": object()}, assignments=["oops"]
        )

    assert [p.origin and p.origin.layer for p in caught.value.problems] == [
        "user",
        "project",
        "project",
        "environment",
        "recipe",
        "runtime",
        "command line",
    ]


def test_a_profile_that_has_no_file_is_an_error(make_kernel, write, tables):
    """A misspelt one that is passed over would train with other settings than were meant."""
    write("production.toml", "seed = 3")
    assert make_kernel(environ={"LLAMAHOME_ENV": "production"}).plan(tables).recipe.seed == 3

    with pytest.raises(ConfigError, match="LLAMAHOME_ENV is 'prodution'") as caught:
        make_kernel(environ={"LLAMAHOME_ENV": "prodution"}).plan(tables)
    assert caught.value.hint == "did you mean production?"
    with pytest.raises(ConfigError) as caught:
        make_kernel(environ={"LLAMAHOME_ENV": "x"}).plan(tables)
    assert str(caught.value.hint).startswith("write ")


@pytest.mark.parametrize("name", ["../other", "a/b", ".", "/etc/x"])
def test_a_profile_is_a_plain_name(make_kernel, write, tables, workspace, name):
    """No file outside of the settings is read, not even to look for plugins that it blocks."""
    write("other.toml", "[plugins]\nblock = ['parts']\n", folder=workspace.root)

    kernel = make_kernel(environ={"LLAMAHOME_ENV": name})

    assert kernel.settings_error is None
    assert "parts" in kernel.plugins.active
    with pytest.raises(ConfigError, match=f"LLAMAHOME_ENV must be a plain name, got '{name}'"):
        kernel.plan(tables)


def test_settings_can_be_shown_without_a_recipe(make_kernel, write):
    """Merged and with their origins, not validated."""
    write("llamahome.toml", "seed = 3\nunknown = 1")

    merged = make_kernel().settings(assignments=["train.clip=2.0"])

    assert merged.data == {"seed": 3, "unknown": 1, "train": {"clip": 2.0}}
    assert merged.origins["seed",].place().endswith("llamahome.toml:1:8")


# --- The table ``plugins``


class Extra:
    """A plugin to be switched off."""


def loaded(kernel: Kernel) -> set[str]:
    return set(kernel.plugins.active)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {"parts", "extra"}),
        ('[plugins]\nblock = ["extra"]', {"parts"}),
        ('[plugins]\nenable = ["extra"]', {"extra"}),
        ('[plugins]\nenable = ["extra", "parts"]\nblock = ["extra"]', {"parts"}),
        ("# plugins", {"parts", "extra"}),
    ],
)
def test_settings_say_which_plugins_load(make_kernel, write, text, names):
    """Before any is imported."""
    write("llamahome.toml", text)
    kernel = make_kernel(Extra())

    assert (loaded(kernel), kernel.settings_error) == (names, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[plugins]\nblock = "extra"', "block"),
        ("[plugins]\nblockk = [1]", "blockk"),
        ('plugins = "extra"', "plugins"),
        ("[plugins\nblock = 5", "llamahome.toml"),
        ('[plugins]\nblock = ["extra"]\n[train', "llamahome.toml"),
    ],
)
def test_settings_that_cannot_be_read_let_nothing_foreign_load(
    make_kernel, write, tables, text, message
):
    """What they block is not known; even a settled recipe, which asks no settings, is refused."""
    from importlib.metadata import EntryPoint

    write("llamahome.toml", text)
    entries = {"ours": "llamahome 4.0", "theirs": "llamahome-extra 1.0", "bare": "unknown"}
    plugins = [
        Plugin(name=name, origin=origin, entry=EntryPoint(name, "json", "llamahome"))
        for name, origin in entries.items()
    ]
    kernel = make_kernel(plugins=plugins, policy=Policy())

    assert loaded(kernel) == {"ours"}
    assert message in str(kernel.settings_error)
    for work in (kernel.context, lambda: kernel.plan(tables | {"resolved": True})):
        with pytest.raises(ConfigError, match=message):
            work()


def test_a_file_that_may_not_be_read_may_hold_a_policy(make_kernel, write, monkeypatch):
    write("llamahome.toml", "")

    def refuse(path: Path, *_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)

    assert "Permission denied" in str(make_kernel().settings_error)


def test_a_blocked_plugin_of_the_settings_is_never_imported(make_kernel, write):
    """In the user's file, ``.env`` and the environment as well."""
    from importlib.metadata import EntryPoint

    def kernel(**environ: str) -> Any:
        entry = EntryPoint("loud", "lh_no_such_module", "llamahome")
        return make_kernel(
            plugins=[Plugin(name="loud", origin="x", entry=entry)],
            environ=environ,
            policy=Policy(),
        )

    assert kernel().plugins.all[0].status == "broken"
    blocked = kernel(LLAMAHOME_PLUGINS__BLOCK='["loud"]')
    assert blocked.plugins.all[0].status == "blocked"
    write("../.env", "LLAMAHOME_PLUGINS__BLOCK='[\"loud\"]'")
    assert kernel().plugins.all[0].status == "blocked"


def test_strict_in_the_settings_is_strict(make_kernel, write):
    write("llamahome.toml", "[plugins]\nstrict = true")

    assert make_kernel(policy=Policy()).plugins.policy.strict


@pytest.mark.parametrize("where", ["recipe", "parameters", "assignments"])
def test_a_recipe_cannot_say_it_because_it_is_read_too_late(make_kernel, tables, where):
    """It would be ignored, and nothing is ignored."""
    wanted = {"plugins": {"block": ["extra"]}}
    arguments: dict[str, Any] = {
        "recipe": {"recipe": tables | wanted},
        "parameters": {"recipe": tables, "parameters": wanted},
        "assignments": {"recipe": tables, "assignments": ['plugins.block=["extra"]']},
    }[where]

    with pytest.raises(ConfigError, match="plugins are loaded before a recipe is read") as caught:
        make_kernel().plan(**arguments)
    assert "llamahome -p" in str(caught.value.hint)


@pytest.mark.parametrize("value", ["loud", [3], {"x": 1}])
def test_a_recipe_that_says_it_wrongly_is_told_once(make_kernel, tables, value):
    """The setting cannot stay, so how it should be written does not matter."""
    with pytest.raises(ConfigError) as caught:
        make_kernel().plan(tables | {"plugins": {"block": value}})
    assert [(p.code, p.path) for p in caught.value.problems] == [("C104", ("plugins", "block"))]


def test_an_assignment_that_edits_a_list_of_the_settings_is_told_too(make_kernel, tables, write):
    """Though the list itself is from where it may be."""
    write("llamahome.toml", '[plugins]\nblock = ["a"]')
    with pytest.raises(ConfigError) as caught:
        make_kernel().plan(tables, assignments=["plugins.block.0=b"])
    assert [(p.code, p.path) for p in caught.value.problems] == [("C104", ("plugins", "block", 0))]
