"""What is installed: components, tables, plugins, what is unavailable or broken."""

from __future__ import annotations

import json

import pytest
from attrs import frozen

from llamahome_core import (
    Component,
    Stage,
)
from llamahome_core.discovery import Policy


def test_show_without_words_lists_every_kind_and_every_table(cli) -> None:
    text = cli("show").out
    document = json.loads(cli("show", "--json").out)

    assert "optimizer     adamw" in text
    assert "precision" in text
    assert document["kinds"]["adapter"] == ["full", "lora"]
    assert "steps" in document["tables"]["train"]


@pytest.mark.parametrize("word", ["data", "data-source"])
def test_a_kind_may_be_called_as_in_a_recipe(cli, word: str) -> None:
    document = json.loads(cli("show", word, "--json").out)

    assert document["kind"] == "data-source"
    assert [c["name"] for c in document["components"]] == ["jsonl"]
    assert "jsonl" in cli("show", word).out


def test_show_describes_every_setting_with_type_default_and_bounds(cli) -> None:
    text = cli("show", "adapter", "lora").out

    assert "rank: a whole number = 16" in text
    assert "Rank of each update" in text
    assert "greater than 0" in text
    assert "path: a path  (required)" in cli("show", "data", "jsonl").out
    assert "alpha: a number  (not set)" in text
    assert "It has no settings." in cli("show", "adapter", "full").out


def test_show_describes_a_table_and_one_of_its_settings(cli) -> None:
    assert "overlong:" in cli("show", "batch").out
    one = json.loads(cli("show", "batch", "overlong", "--json").out)["settings"]
    wrong = cli("show", "batch", "overlng")
    strange = cli("show", "batch", "zzz")

    assert [s["name"] for s in one] == ["overlong"]
    assert one[0]["choices"] == ["drop", "truncate", "split", "error"]
    assert (wrong.code, wrong.out) == (4, "")
    assert "did you mean 'overlong'?" in wrong.err
    assert "it has tokens" in strange.err


@frozen
class Indescribable:
    thing: object = None


def _lacking() -> list[Component]:
    return [
        Component(
            name="far",
            summary="Needs much.",
            factory="nowhere:Thing",
            needs=("no_such_module_here",),
            extra="llamahome-far",
        ),
        Component(name="odd", summary="Odd.", factory="nowhere:Thing", config=Indescribable),
    ]


def test_what_is_unavailable_is_listed_with_the_command_that_brings_it(
    cli, kernel, plugin, over
) -> None:
    more = over(kernel, plugin("far", llamahome_stores=_lacking))

    listed, shown = cli("plugins", over=more), cli("show", "store", "far", over=more)
    record = json.loads(cli("show", "store", "--json", over=more).out)["components"]

    row = next(line for line in listed.out.splitlines() if "unavailable" in line)
    assert row.split()[:3] == ["far", "unavailable", "embedded"]
    assert "pip install 'llamahome-far'" in row
    assert "unavailable: no_such_module_here missing" in shown.out
    assert "(unavailable)" in cli("show", "store", over=more).out
    assert [c["missing"] for c in record if c["name"] == "far"] == [["no_such_module_here"]]


def test_a_settings_class_that_cannot_be_described_is_its_plugins_fault(
    cli, kernel, plugin, over
) -> None:
    more = over(kernel, plugin("far", llamahome_stores=_lacking))

    result = cli("show", "store", "odd", over=more)

    assert (result.code, result.out) == (1, "")
    assert "error[P201]: plugin far" in result.err


def _breaks() -> list[Component]:
    raise RuntimeError("no luck")


def _clashes() -> list[Stage]:
    return [Stage(name="train", summary="Another.", run="nowhere:run")]


def test_a_plugin_that_breaks_late_is_shown_with_its_reason(cli, kernel, plugin, over) -> None:
    more = over(kernel, plugin("bad", llamahome_stores=_breaks))

    listed = cli("plugins", "list", over=more)
    checked = cli("plugins", "check", "bad", over=more)
    doctor = cli("doctor", over=over(kernel, plugin("bad", llamahome_commands=_breaks)))

    assert "RuntimeError: no luck (llamahome plugins check bad)" in listed.out
    assert (checked.code, checked.err) == (1, "")
    assert "Traceback" in checked.out
    assert "problem: the plugin is broken" in checked.out
    assert doctor.code == 3
    assert "bad (embedded) is broken: RuntimeError: no luck" in doctor.out


def test_the_list_of_plugins_survives_two_stages_of_one_name(cli, kernel, plugin, over) -> None:
    result = cli("plugins", over=over(kernel, plugin("twin", llamahome_stages=_clashes)))

    assert result.code == 0
    assert "twin" in result.out
    assert "warning: " in result.err


def test_check_of_a_plugin_imports_all_that_it_names(cli, kernel, plugin, over) -> None:
    good = json.loads(cli("plugins", "check", "caches", "--json").out)
    more = over(kernel, plugin("far", llamahome_stores=_lacking))
    bad = cli("plugins", "check", "far", over=more)

    assert (good["name"], good["problems"]) == ("caches", [])
    assert "offers, all of them importable" in cli("plugins", "check", "caches").out
    assert bad.code == 1
    assert "problem: store odd: cannot import 'nowhere:Thing'" in bad.out
    assert cli("plugins", "check", "cachess").code == 4


def test_check_says_what_keeps_a_plugin_out(cli, kernel, over) -> None:
    """It is not loaded to be checked: another has its name, or the policy forbids it."""
    blocking = over(kernel, policy=Policy(blocked=frozenset({"caches"})))
    wrong = over(kernel, environ={"LLAMAHOME_PLUGINS__ENABEL": "x"})
    next(p for p in kernel.plugins.all if p.name == "stores").status = "shadowed"

    blocked, shadowed = (
        cli("plugins", "check", "caches", over=blocking),
        cli("plugins", "check", "stores"),
    )

    told = "problem: the plugin is blocked: the program blocks it"
    assert (blocked.code, blocked.out.splitlines()[1]) == (1, told)
    assert (shadowed.code, shadowed.out.splitlines()[1]) == (1, "problem: the plugin is shadowed")
    assert cli("plugins", "check", "caches", over=wrong).code == 2


def test_plugins_alone_is_the_list(cli) -> None:
    assert cli("plugins").out == cli("plugins", "list").out
    document = json.loads(cli("plugins", "--json").out)
    found = {p["name"]: p for p in document["plugins"]}
    assert "llamahome" in found["training"]["origin"]
    assert {o["kind"] for o in found["models"]["offers"]} >= {"stage", "command", "service"}


def test_the_schema_names_every_component(cli) -> None:
    document = json.loads(cli("schema").out)

    assert document["$schema"].startswith("http://json-schema.org/draft-07")
    uses = document["properties"]["adapter"]["properties"]["use"]["enum"]
    assert uses[:2] == ["full", "lora"]
