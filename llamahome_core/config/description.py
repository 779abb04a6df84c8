"""Describes the settings of a config class, from its annotations, validators and docstrings."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import attrs
from attrs import frozen

from llamahome_core.config import constraints, kinds
from llamahome_core.config.structuring import unstructure
from llamahome_core.secrets import FORM, is_marked

if TYPE_CHECKING:
    import ast


@frozen(kw_only=True)
class Setting:
    """One setting of a config class.

    Attributes:
        name: The key in a file.
        type: What its value must be, in words.
        required: Whether it has no default.
        default: The default as a file would hold it; ``None`` where there is none.
        help: The docstring under the field.
        constraint: What its validators ask for, in words; empty if nothing.
        choices: The values allowed, where it is a list of them.
        settings: The settings of the table that it is, or of the tables in the list that it is.
    """

    name: str
    type: str
    required: bool
    default: Any
    help: str
    constraint: str
    choices: tuple[Any, ...]
    settings: tuple[Setting, ...]


def describe(cls: type[Any]) -> list[Setting]:
    """The settings of the attrs class *cls*, in order.

    Raises:
        TypeError: A field has a type that no setting can have; its author's mistake.
    """
    helps = field_docs(cls)
    return [_setting(field, helps.get(field.name, "")) for field in kinds.fields(cls)]


def _setting(field: attrs.Attribute[Any], text: str) -> Setting:
    asked = list(constraints.constraints(field.validator))
    arms = kinds.arms(field.type or Any)
    allowed = tuple(choice for arm in arms for choice in kinds.choices(arm))
    inner = table_class(field.type)
    return Setting(
        name=field.name,
        type=FORM if is_marked(field) else kinds.name(field.type or Any),
        required=field.default is attrs.NOTHING,
        default=default(field),
        help=_with_advice(text, field.metadata.get("deprecated")),
        constraint=" and ".join(constraint.text for constraint in asked),
        choices=allowed or next((c.choices for c in asked if c.choices), ()),
        settings=tuple(describe(inner)) if inner else (),
    )


def _with_advice(text: str, advice: str | None) -> str:
    return f"{text} Deprecated: {advice}.".strip() if advice else text


def table_class(type_: Any) -> type[Any] | None:
    """The config class that *type_* is, may be, or is a list of."""
    for arm in kinds.arms(type_ or Any):
        if attrs.has(arm):
            found: type[Any] = arm
            return found
        if (collection := kinds.element(arm)) is not None:
            return table_class(collection[1])
    return None


def default(field: attrs.Attribute[Any]) -> Any:
    """The default as plain values; ``None`` where there is none or it depends on other settings."""
    value: Any = field.default
    if value is attrs.NOTHING:
        return None
    factory = getattr(value, "factory", None)
    if factory is None:
        return unstructure(value)
    return None if value.takes_self else unstructure(factory())


def field_docs(cls: type[Any]) -> dict[str, str]:
    """The docstring under each field of *cls* and of the classes it inherits from.

    Empty where there is no source to read, as in a frozen application.
    """
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        texts |= _own_docs(base)
    return texts


def _own_docs(cls: type[Any]) -> dict[str, str]:
    import linecache
    import sys

    names = getattr(sys.modules.get(cls.__module__), "__dict__", {})
    lines = linecache.getlines(names.get("__file__") or "", names)
    return _docs_in("".join(lines)).get(cls.__qualname__, {})


@functools.cache
def _docs_in(source: str) -> dict[str, dict[str, str]]:
    """The docstrings under the fields of each class in *source*, by its qualified name.

    Each file is parsed once: `inspect.getsource` would do it for each class.
    """
    import ast

    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    found: dict[str, dict[str, str]] = {}

    def look(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                found[f"{prefix}{node.name}"] = _texts(node.body)
                look(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                look(node.body, f"{prefix}{node.name}.<locals>.")
            else:
                look([n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)], prefix)

    look(tree.body, "")
    return found


def _texts(body: list[ast.stmt]) -> dict[str, str]:
    import ast
    import inspect

    texts = {}
    for node, after in itertools.pairwise(body):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            texts[node.target.id] = inspect.cleandoc(after.value.value)
    return texts
