"""Makes a JSON schema of a config class, for the completion and checks of editors."""

from __future__ import annotations

import pathlib
from typing import Any

import attrs
from attrs import define, field

from llamahome_core.config import constraints, kinds
from llamahome_core.config.description import default, field_docs
from llamahome_core.secrets import REFERENCE, is_marked

_PLAIN: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    pathlib.Path: {"type": "string", "minLength": 1},
    Any: {},
}
_OF_TEXT = ("minLength", "maxLength", "pattern")
_OF_LISTS = ("minItems", "maxItems")


@define
class Definitions:
    """The schemas of the tables that settings refer to, by the name of their class.

    Attributes:
        tables: The schemas.
    """

    tables: dict[str, Any] = field(factory=dict)
    _owners: dict[str, type[Any]] = field(factory=dict)

    def name(self, cls: type[Any]) -> str:
        """What *cls* is called here: two plugins may well have a class ``Settings``."""
        name = cls.__name__
        if self._owners.setdefault(name, cls) is cls:
            return name
        return f"{cls.__module__}.{cls.__qualname__}"


def json_schema(cls: type[Any], definitions: Definitions | None = None) -> dict[str, Any]:
    """The JSON schema (draft 7) of the attrs class *cls*.

    An optional setting has the schema of its value: leaving it out is the way to say nothing.

    Args:
        cls: The class.
        definitions: Gathers what the schema refers to; if not given, the schema holds it.

    Raises:
        TypeError: A field has a type that no setting can have; its author's mistake.
    """
    found = Definitions() if definitions is None else definitions
    schema = _table(cls, found)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": cls.__name__}
    inner = found.tables if definitions is None else {}
    return head | schema | ({"definitions": inner} if inner else {})


def _table(cls: type[Any], definitions: Definitions) -> dict[str, Any]:
    fields, texts = kinds.fields(cls), field_docs(cls)
    summary = (cls.__doc__ or "").split("\n")[0]
    schema: dict[str, Any] = {"type": "object"} | ({"description": summary} if summary else {})
    schema["properties"] = {
        setting.name: _property(setting, texts.get(setting.name, ""), definitions)
        for setting in fields
    }
    if required := [s.name for s in fields if s.default is attrs.NOTHING]:
        schema["required"] = required
    return schema | {"additionalProperties": False}


def _property(setting: attrs.Attribute[Any], text: str, definitions: Definitions) -> dict[str, Any]:
    schema = _of_type(setting.type or Any, definitions)
    kind, items = schema.get("type"), schema.get("items")
    for constraint in constraints.constraints(setting.validator):
        wrong = {"string": _OF_LISTS, "array": _OF_TEXT}.get(str(kind), ())
        schema |= {key: value for key, value in constraint.schema.items() if key not in wrong}
    if isinstance(items, dict) and schema["items"] is not items:
        schema["items"] = items | schema["items"]
    if is_marked(setting):
        schema["pattern"] = f"^({REFERENCE.pattern})$"
    if "$ref" in schema:
        schema = {"allOf": [schema]}  # draft 7 ignores what stands beside a $ref
    if text:
        schema["description"] = text
    if (value := default(setting)) is not None:
        schema["default"] = value
    return schema


def _of_type(type_: Any, definitions: Definitions) -> dict[str, Any]:
    arms = [arm for arm in kinds.arms(type_) if arm is not type(None)]
    if len(arms) > 1:
        return {"anyOf": [_of_type(arm, definitions) for arm in arms]}
    type_ = arms[0]
    if type_ in _PLAIN:
        return dict(_PLAIN[type_])
    if allowed := kinds.choices(type_):
        return {"enum": list(allowed)}
    if attrs.has(type_):
        return _reference(type_, definitions)
    return _of_collection(type_, definitions)


def _reference(cls: type[Any], definitions: Definitions) -> dict[str, Any]:
    name = definitions.name(cls)
    if name not in definitions.tables:
        definitions.tables[name] = {}  # a table that may hold itself finds its name taken
        definitions.tables[name] = _table(cls, definitions)
    return {"$ref": f"#/definitions/{name}"}


def _of_collection(type_: Any, definitions: Definitions) -> dict[str, Any]:
    found = kinds.element(type_)
    if found is None:
        items = kinds.parts(type_)
        if items is None:
            raise TypeError(f"{type_!r} cannot be the type of a setting")
        schemas = [_of_type(item, definitions) for item in items]
        size = len(schemas)
        return {"type": "array", "items": schemas, "minItems": size, "maxItems": size}
    kind, item = found
    inner = _of_type(item, definitions)
    if kind is dict:
        return {"type": "object", "additionalProperties": inner}
    return {"type": "array", "items": inner}
