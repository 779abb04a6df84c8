"""The JSON schema of recipes, with the settings of every component that is installed here."""

from __future__ import annotations

from typing import Any

from attrs import fields

from llamahome_core.components import Command, Component, Kind
from llamahome_core.config import json_schema
from llamahome_core.registry import Catalog
from llamahome_core.root import DEFAULTS, Root

Schema = dict[str, Any]


def recipe_schema(catalog: Catalog) -> Schema:
    """Draft-07 schema of a recipe: completion and checks in an editor."""
    schema = json_schema(Root)
    schema["title"] = "LlamaHome recipe"
    definitions = schema.setdefault("definitions", {})
    commands = {
        name: _settings(command, definitions) | {"description": command.summary}
        for name, (_, command) in catalog.commands().items()
        if fields(command.config)
    }
    schema["properties"]["command"] |= {"properties": commands, "additionalProperties": False}
    for kind in Kind:
        if kind is Kind.MODEL_SOURCE:
            schema["properties"]["model"] = _model(catalog, definitions)
            continue
        choices = [_component(kind, c, definitions) for _, c in catalog.components(kind)]
        one: Schema = {"type": "object", "anyOf": choices} if choices else {"type": "object"}
        described = {"description": schema["properties"][kind.value].get("description", "")}
        schema["properties"][kind.value] = described | (
            {"type": "array", "items": one} if kind.many else one
        )
    return schema


def _settings(component: Component | Command, definitions: Schema) -> Schema:
    """The settings' own schema; what it refers to goes to the recipe's definitions."""
    schema = json_schema(component.config)
    definitions.update(schema.pop("definitions", {}))
    for key in ("$schema", "title"):
        schema.pop(key, None)
    return schema


def _component(kind: Kind, component: Component, definitions: Schema) -> Schema:
    schema = _settings(component, definitions)
    use: Schema = {"enum": [component.name], "description": component.summary}
    schema["properties"] = {"use": use} | schema.get("properties", {})
    if kind is Kind.DATA_SOURCE:
        schema["properties"]["role"] = {"enum": ["train", "evaluate"], "default": "train"}
    if DEFAULTS.get(kind) != component.name:
        schema["required"] = ["use", *schema.get("required", [])]
    schema["title"] = component.name
    return schema


def _model(catalog: Catalog, definitions: Schema) -> Schema:
    sources = {
        component.name: _settings(component, definitions)
        for _, component in catalog.components(Kind.MODEL_SOURCE)
    }
    name = {"type": "string", "minLength": 1, "description": "The model to start from."}
    return {
        "type": "object",
        "properties": {"from": name} | sources,
        "required": ["from"],
        "additionalProperties": False,
    }
