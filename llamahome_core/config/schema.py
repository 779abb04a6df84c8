"""Makes a JSON schema of a config class, for the completion and checks of editors."""

from __future__ import annotations

import pathlib
from typing import Any

import attrs

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


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """The JSON schema (draft 7) of the attrs class *cls*.

    An optional setting has the schema of its value: leaving it out is the way to say nothing.

    Raises:
        TypeError: A field has a type that no setting can have; its author's mistake.
    """
    definitions: dict[str, Any] = {}
    schema = _table(cls, definitions)
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": cls.__name__}
    return head | schema | ({"definitions": definitions} if definitions else {})


def _table(cls: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    fields, texts = kinds.fields(cls), field_docs(cls)
    summary = (cls.__doc__ or "").split("\n")[0]
    schema: dict[str, Any] = {"type": "object"} | ({"description": summary} if summary else {})
    schema["properties"] = {
        field.name: _property(field, texts.get(field.name, ""), definitions) for field in fields
    }
    if required := [field.name for field in fields if field.default is attrs.NOTHING]:
        schema["required"] = required
    return schema | {"additionalProperties": False}


def _property(
    field: attrs.Attribute[Any], text: str, definitions: dict[str, Any]
) -> dict[str, Any]:
    schema = _of_type(field.type or Any, definitions)
    kind = schema.get("type")
    for constraint in constraints.constraints(field.validator):
        wrong = {"string": _OF_LISTS, "array": _OF_TEXT}.get(str(kind), ())
        schema |= {key: value for key, value in constraint.schema.items() if key not in wrong}
    if is_marked(field):
        schema["pattern"] = f"^({REFERENCE.pattern})$"
    if "$ref" in schema:
        schema = {"allOf": [schema]}  # draft 7 ignores what stands beside a $ref
    if text:
        schema["description"] = text
    if (value := default(field)) is not None:
        schema["default"] = value
    return schema


def _of_type(type_: Any, definitions: dict[str, Any]) -> dict[str, Any]:
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


def _reference(cls: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = {}  # a table that may hold itself finds its name taken
        definitions[cls.__name__] = _table(cls, definitions)
    return {"$ref": f"#/definitions/{cls.__name__}"}


def _of_collection(type_: Any, definitions: dict[str, Any]) -> dict[str, Any]:
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
