"""The JSON schema of recipes knows every component that is installed, for editors."""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen, make_class
from jsonschema import Draft7Validator

from llamahome_core import Component, hookimpl
from llamahome_core.schema import models_schema, recipe_schema, settings_schema


class Bells:
    @hookimpl
    def llamahome_monitors(self):
        yield Component(name="bell", summary="Rings.", factory="a:b")

    @hookimpl
    def llamahome_transforms(self):
        yield Component(name="sieve", summary="Sieves.", factory="a:b")


def test_each_table_offers_its_components_with_their_settings(make_kernel):
    """``use`` is a list of names; it may be left out where there is a default."""
    schema = recipe_schema(make_kernel(Bells()).catalog)

    json.dumps(schema)
    assert schema["title"] == "LlamaHome recipe"
    optimizer = schema["properties"]["optimizer"]
    assert optimizer["description"] == "How gradients become updates."
    use = optimizer["properties"]["use"]
    (name, full) = use["enum"]
    assert (name, full.partition(":")[2]) == ("adamw", "adamw")
    assert use["enumDescriptions"] == use["x-taplo"]["docs"]["enumValues"] == ["The adamw."] * 2
    assert optimizer["properties"]["learning_rate"]["default"] == 1e-3
    assert "required" not in optimizer


def test_what_may_stand_several_times_is_a_list(make_kernel):
    """Data sources have a role, and must say what they are."""
    schema = recipe_schema(make_kernel(Bells()).catalog)

    data = schema["properties"]["data"]
    assert data["type"] == "array"
    assert data["items"]["required"] == ["use"]
    (rows,) = data["items"]["allOf"]
    assert rows["then"]["required"] == ["path"]
    assert data["items"]["properties"]["role"]["enum"] == ["train", "evaluate"]
    for kind in ("monitor", "transform"):
        assert schema["properties"][kind]["items"]["required"] == ["use"]
        assert "role" not in schema["properties"][kind]["items"]["properties"]


def test_a_model_is_a_name_and_the_settings_of_its_sources(make_kernel):
    """``from`` may come from another layer, so it is not missed."""
    model = recipe_schema(make_kernel().catalog)["properties"]["model"]

    assert "required" not in model
    assert model["additionalProperties"] is False
    assert "learning_rate" in model["properties"]["hub"]["properties"]


def test_a_kind_without_a_component_is_any_table(make_kernel):
    """A recipe that names one is told so by ``llamahome check``."""
    schema = recipe_schema(make_kernel().catalog)

    assert schema["properties"]["monitor"]["items"] == {"type": "object"}


def test_what_the_built_in_plugins_offer_is_in_it(kernel):
    """The definitions that settings refer to are the recipe's own."""
    schema = recipe_schema(kernel.catalog)
    text = json.dumps(schema)

    assert {"full", "lora"} <= set(schema["properties"]["adapter"]["properties"]["use"]["enum"])
    for reference in {part.split('"')[0] for part in text.split("#/definitions/")[1:]}:
        assert reference in schema["definitions"]


def test_a_recipe_chooses_no_plugins_and_settings_extend_nothing(make_kernel):
    catalog = make_kernel().catalog
    recipe, settings = recipe_schema(catalog), settings_schema(catalog)

    only_settings = settings["properties"].keys() - recipe["properties"].keys()
    assert only_settings == {"plugins", "command"}
    assert recipe["properties"].keys() - settings["properties"].keys() == {"extends"}


@frozen(kw_only=True)
class Account:
    """A table of one plugin."""

    name: str = ""
    """Whose."""


def other_account() -> type:
    @frozen(kw_only=True)
    class Account:
        """A table of another."""

        number: int = 0
        """Which."""

    return Account


def offering(name: str, table: type) -> Any:
    """A plugin with a monitor whose settings hold *table*."""
    fields = {"account": field(type=table, factory=table)}
    settings = make_class("Settings", fields, frozen=True, kw_only=True)

    class Plugin:
        @hookimpl
        def llamahome_monitors(self):
            yield Component(name=name, summary=name, factory="a:b", config=settings)

    return Plugin()


def test_two_plugins_may_have_classes_of_one_name(make_kernel):
    """Each monitor's `account` is that of its own plugin."""
    kernel = make_kernel(offering("one", Account), offering("two", other_account()))
    validator = Draft7Validator(recipe_schema(kernel.catalog))

    right = {"monitor": [{"use": "one", "account": {"name": "x"}}]}
    right["monitor"].append({"use": "two", "account": {"number": 1}})
    assert list(validator.iter_errors(right)) == []
    wrong = {"monitor": [{"use": "one", "account": {"number": 1}}]}
    assert list(validator.iter_errors(wrong))


def test_a_name_that_two_plugins_offer_needs_its_plugin(make_kernel):
    """``use = "one:bell"`` is right in the schema as well, and ``use = "bell"`` is not."""
    kernel = make_kernel(Bells(), OtherBells())
    use = recipe_schema(kernel.catalog)["properties"]["monitor"]["items"]["properties"]["use"]

    assert use["enum"] == ["bells:bell", "otherbells:bell"]


class OtherBells(Bells):
    """Another plugin with the same name for its monitor."""


def test_settings_that_cannot_be_described_are_left_open(make_kernel):
    """One broken plugin takes nobody's completion away."""

    @frozen(kw_only=True)
    class Broken:
        """Settings."""

        thing: complex = 1j
        """No setting can be one."""

    class Plugin:
        @hookimpl
        def llamahome_monitors(self):
            yield Component(name="odd", summary="Odd.", factory="a:b", config=Broken)

    validator = Draft7Validator(recipe_schema(make_kernel(Plugin(), Bells()).catalog))

    assert list(validator.iter_errors({"monitor": [{"use": "odd", "thing": 1}]})) == []
    assert list(validator.iter_errors({"monitor": [{"use": "bell", "thing": 1}]}))


def test_lengths_exclude_each_other_in_the_schema_too(kernel):
    validator = Draft7Validator(recipe_schema(kernel.catalog))

    assert list(validator.iter_errors({"train": {"steps": 1}})) == []
    assert list(validator.iter_errors({"train": {"steps": 1, "epochs": 2}}))
    assert list(validator.iter_errors({"batch": {"rows": 1, "tokens": 2}}))


def test_what_each_element_of_a_list_must_be_is_in_the_schema(kernel):
    validator = Draft7Validator(recipe_schema(kernel.catalog))

    assert list(validator.iter_errors({"publish": {"tags": ["latest"]}})) == []
    assert list(validator.iter_errors({"publish": {"tags": ["v1"]}}))


def test_the_catalogue_has_a_schema_of_its_own(kernel):
    validator = Draft7Validator(models_schema(kernel.catalog))

    assert list(validator.iter_errors({"bot": {"source": "hub:a/b"}})) == []
    entries: list[Any] = [{}, "hub:a/b", {"source": "x", "license": "MIT"}]
    for wrong in ({"bot": entry} for entry in entries):
        assert list(validator.iter_errors(wrong))
