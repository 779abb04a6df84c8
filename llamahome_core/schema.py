"""JSON schemas of recipes and settings, with the settings of every component that is installed.

An editor completes, describes and checks with them. They refuse nothing that is right: what another
layer may add, such as ``[model] from`` or the ``use`` of a table, is never missed. What a schema
cannot say, such as which plugins are installed by then, is left to ``llamahome check``.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from attrs import fields

from llamahome_core.components import Command, Component, Kind
from llamahome_core.config import Definitions, json_schema
from llamahome_core.recipe import CatalogueEntry
from llamahome_core.registry import Catalog
from llamahome_core.root import ALTERNATIVES, Root

Schema = dict[str, Any]
Owned = tuple[str, Component]  # the plugin's name and what it offers


def recipe_schema(catalog: Catalog) -> Schema:
    """Draft-07 schema of a recipe, in any of the three formats."""
    return _root(catalog, "LlamaHome recipe", without=("plugins", "command"))


def settings_schema(catalog: Catalog) -> Schema:
    """Draft-07 schema of settings: ``.config/llamahome.toml`` and the like, the user's file."""
    return _root(catalog, "LlamaHome settings", without=("extends",))


def models_schema(_: Catalog) -> Schema:
    """Draft-07 schema of the catalogue, ``.config/models.json``: names, each with its entry."""
    entry = json_schema(CatalogueEntry)
    head = {"$schema": entry.pop("$schema"), "title": "LlamaHome catalogue of models"}
    entry.pop("title")
    return head | {"type": "object", "additionalProperties": entry}


SCHEMAS = {"recipe": recipe_schema, "settings": settings_schema, "models": models_schema}
"""What a file can be, and what makes its schema."""


def _root(catalog: Catalog, title: str, *, without: tuple[str, ...]) -> Schema:
    definitions = Definitions()
    schema = json_schema(Root, definitions)
    schema["title"] = title
    tables = schema["properties"]
    for name in without:
        del tables[name]
    if "command" in tables:
        tables["command"] |= _commands(catalog, definitions)
    for kind in Kind:
        owned = [(plugin.name, component) for plugin, component in catalog.components(kind)]
        text = {"description": tables[kind.value].get("description", "")}
        if kind is Kind.MODEL_SOURCE:
            tables[kind.value] = text | _model(catalog, owned, definitions)
        elif kind.many:
            items = _table(kind, owned, definitions)
            tables[kind.value] = text | {"type": "array", "items": items}
        else:
            tables[kind.value] = text | _table(kind, owned, definitions)
    for group in ALTERNATIVES:
        both = [list(pair) for pair in itertools.combinations([key for _, key in group], 2)]
        table = tables[group[0][0]]
        apart = ({"not": {"required": pair}, **_OPEN} for pair in both)
        table["allOf"] = [*table["allOf"], *apart]
    return schema | ({"definitions": definitions.tables} if definitions.tables else {})


def _commands(catalog: Catalog, definitions: Definitions) -> Schema:
    """The settings of commands, one table for each that has some."""
    found = {
        name: (_settings(command, definitions) or {}) | {"description": command.summary}
        for name, (_, command) in catalog.commands().items()
        if fields(command.config)
    }
    return {"properties": found, "additionalProperties": False}


def _settings(component: Component | Command, definitions: Definitions) -> Schema | None:
    """The schema of the component's settings; None if its author's class has none."""
    try:
        schema = json_schema(component.config, definitions)
    except Exception:  # noqa: BLE001  # `llamahome plugins check` says what its author did wrong
        return None
    return {key: value for key, value in schema.items() if key not in ("$schema", "title")}


def _names(owned: list[Owned]) -> list[list[str]]:
    """What ``use`` may say for each: its bare name, if it is the only one, and whose it is."""
    count = Counter(component.name for _, component in owned)
    return [
        ([c.name] if count[c.name] == 1 else []) + [f"{plugin}:{c.name}"] for plugin, c in owned
    ]


def _table(kind: Kind, owned: list[Owned], definitions: Definitions) -> Schema:
    """A table of components: ``use`` chooses the settings that may stand beside it.

    The settings of all of them stand in ``properties`` as well, for completion where there is no
    ``use`` yet; in a table that may stand alone, it may be in a weaker layer.
    """
    if not owned:
        return {"type": "object"}
    names = _names(owned)
    settings = [_settings(component, definitions) for _, component in owned]
    offered, shared = _offered([found["properties"] for found in settings if found])
    extra = {"role": _ROLE} if kind is Kind.DATA_SOURCE else {}
    known = ["use", *extra, *offered]
    chosen = [
        {
            "if": {"properties": {"use": {"enum": used}}, "required": ["use"]},
            "then": _then(found, ["use", *extra], shared, required=kind.many),
        }
        for used, found in zip(names, settings, strict=True)
        if found is not None
    ]
    table: Schema = {
        "type": "object",
        "properties": {"use": _use(owned, names), **extra, **offered},
    }
    table["allOf"] = chosen
    if kind.many:
        return table | {"required": ["use"]}
    if None not in settings:
        free = {
            "if": {"not": {"required": ["use"]}},
            "then": {"propertyNames": {"enum": known}, **_OPEN},
        }
        chosen.append(free)
    return table


_OPEN: Schema = {"additionalProperties": True}
"""For a part that lists no keys: tombi would take it for a table that has none."""
_ROLE: Schema = {
    "enum": ["train", "evaluate"],
    "default": "train",
    "description": "Whether the rows are trained on, or held out.",
}


def _use(owned: list[Owned], names: list[list[str]]) -> Schema:
    """Bare names first; editors show what each is, by one key or another."""
    pairs = [
        (name, c.summary) for (_, c), found in zip(owned, names, strict=True) for name in found
    ]
    pairs.sort(key=lambda pair: ":" in pair[0])
    texts = [text for _, text in pairs]
    return {
        "enum": [name for name, _ in pairs],
        "description": "\n".join(f"{name}: {text}" for name, text in pairs if ":" not in name)
        or "Which component; several plugins offer it.",
        "enumDescriptions": texts,
        "x-taplo": {"docs": {"enumValues": texts}},
    }


def _offered(tables: list[Schema]) -> tuple[Schema, set[str]]:
    """Every setting that some component has, and the names that mean the same to all that do."""
    offered: Schema = {}
    shared: set[str] = set()
    for name in dict.fromkeys(name for table in tables for name in table):
        found = [table[name] for table in tables if name in table]
        if all(schema == found[0] for schema in found):
            shared.add(name)
            offered[name] = found[0]
        else:
            texts = dict.fromkeys(schema.get("description", "") for schema in found)
            offered[name] = {"description": "\n".join(filter(None, texts))}
    return offered, shared


def _then(settings: Schema, beside: list[str], shared: set[str], *, required: bool) -> Schema:
    """What holds for the chosen component; what holds for all stands in the table itself."""
    properties = {
        name: {} if name in shared else schema for name, schema in settings["properties"].items()
    }
    free: Schema = {name: {} for name in beside}
    then: Schema = {"properties": free | properties, "additionalProperties": False}
    return then | (
        {"required": settings["required"]} if required and "required" in settings else {}
    )


def _model(catalog: Catalog, owned: list[Owned], definitions: Definitions) -> Schema:
    """``from`` and a table for each model source; all of them hold at once."""
    sources = {
        used[0]: _settings(component, definitions) or {"type": "object"}
        for used, (_, component) in zip(_names(owned), owned, strict=True)
    }
    known = [name for _, found in catalog.defaults() for name in found.tables.get("models", {})]
    text = "The model to start from: `name:tag`, `hub:org/name@revision`, a path, a name in models."
    name = {"type": "string", "minLength": 1, "description": text, "examples": known}
    return {
        "type": "object",
        "properties": {"from": name} | sources,
        "additionalProperties": False,
    }
