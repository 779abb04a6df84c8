"""Takes the annotations of config classes apart, and says what people call each type."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    pathlib.Path: "a path",
    type(None): "nothing",
    Any: "anything",
}


def fields(cls: type[Any]) -> tuple[attrs.Attribute[Any], ...]:
    """The settings of *cls*, with their types resolved."""
    attrs.resolve_types(cls, include_extras=False)
    return tuple(field for field in attrs.fields(cls) if field.init)


def bare(type_: Any) -> Any:
    """*type_* without the ``NewType`` around it."""
    while hasattr(type_, "__supertype__"):
        type_ = type_.__supertype__
    return type_


def arms(type_: Any) -> tuple[Any, ...]:
    """The alternatives of a union; a type that is none is its only alternative."""
    type_ = bare(type_)
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return tuple(arm for part in typing.get_args(type_) for arm in arms(part))
    return (type_,)


def choices(type_: Any) -> tuple[Any, ...]:
    """The values that a ``Literal`` or an enumeration allows, as a file would hold them."""
    if typing.get_origin(type_) is typing.Literal:
        return typing.get_args(type_)
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return tuple(member.value for member in type_)
    return ()


def element(type_: Any) -> tuple[Any, Any] | None:
    """``(list, X)`` for ``list[X]`` and the like, ``(tuple, X)`` for ``tuple[X, ...]``.

    ``(dict, X)`` for ``dict[str, X]``; ``None`` for all that is no collection of one type.
    """
    origin, args = typing.get_origin(type_) or type_, typing.get_args(type_)
    if origin in (list, Sequence):
        return list, args[0] if args else Any
    if origin is tuple and (not args or (len(args) == 2 and args[1] is Ellipsis)):  # noqa: PLR2004  # tuple[X, ...]
        return tuple, args[0] if args else Any
    if origin in (dict, Mapping):
        return dict, args[1] if args else Any
    return None


def parts(type_: Any) -> tuple[Any, ...] | None:
    """``(X, Y)`` for ``tuple[X, Y]``; ``None`` for all else."""
    if typing.get_origin(type_) is tuple and element(type_) is None:
        return typing.get_args(type_)
    return None


def name(type_: Any) -> str:
    """What people call *type_*: ``a whole number``, ``a list``, ``"drop" or "error"``."""
    type_ = bare(type_)
    if type_ in _NAMES:
        return _NAMES[type_]
    if len(arms(type_)) > 1:
        return _either([name(arm) for arm in arms(type_) if arm is not type(None)])
    if allowed := choices(type_):
        return _either([literal(value) for value in allowed])
    found = element(type_)
    if attrs.has(type_) or (found is not None and found[0] is dict):
        return "a table"
    if found is not None or parts(type_) is not None:
        return "a list"
    raise TypeError(f"{type_!r} cannot be the type of a setting")


def _either(words: list[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def literal(value: Any) -> str:
    """*value* as TOML spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)
