"""The JSON schema of recipes knows every component that is installed, for editors."""

from __future__ import annotations

import json

from llamahome_core import Component, hookimpl
from llamahome_core.schema import recipe_schema


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
    (adamw,) = optimizer["anyOf"]
    assert adamw["title"] == "adamw"
    assert adamw["properties"]["use"] == {"enum": ["adamw"], "description": "The adamw."}
    assert adamw["properties"]["learning_rate"]["default"] == 1e-3
    assert "use" not in adamw.get("required", [])


def test_what_may_stand_several_times_is_a_list(make_kernel):
    """Data sources have a role, and must say what they are."""
    schema = recipe_schema(make_kernel(Bells()).catalog)

    data = schema["properties"]["data"]
    assert data["type"] == "array"
    (rows,) = data["items"]["anyOf"]
    assert rows["required"] == ["use", "path"]
    assert rows["properties"]["role"]["enum"] == ["train", "evaluate"]
    for kind in ("monitor", "transform"):
        assert schema["properties"][kind]["type"] == "array"
        (choice,) = schema["properties"][kind]["items"]["anyOf"]
        assert choice["required"] == ["use"]
        assert "role" not in choice["properties"]


def test_a_model_is_a_name_and_the_settings_of_its_sources(make_kernel):
    model = recipe_schema(make_kernel().catalog)["properties"]["model"]

    assert model["required"] == ["from"]
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

    names = {choice["title"] for choice in schema["properties"]["adapter"]["anyOf"]}
    assert {"full", "lora"} <= names
    for reference in {part.split('"')[0] for part in text.split("#/definitions/")[1:]}:
        assert reference in schema["definitions"]
