"""Turns plain values into config classes, strictly, and finds all that is wrong at once.

cattrs is not used: of its work only the dispatch on types would be left. Every scalar, choice,
union and class needs a hook of ours so that nothing is coerced, and each validator must run by
itself to be reported by itself; its import would cost every command CPU time for nothing.
"""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import attrs
from attrs import evolve

from llamahome_core.config import constraints, kinds, scalars
from llamahome_core.config.document import Path
from llamahome_core.config.problems import Problem, in_table, path_text
from llamahome_core.config.redaction import is_secret
from llamahome_core.config.scalars import MISSING
from llamahome_core.errors import LlamaHomeError, edits, suggest
from llamahome_core.secrets import FORM, is_marked, is_reference

T = TypeVar("T")
Elsewhere = Callable[[str], Iterable[Path | str]]
"""Given an unknown key: the settings of that name in other tables, as paths or `train.steps`."""

_LISTED = 10


def structure(
    data: Any,
    cls: type[T],
    *,
    at: Path = (),
    elsewhere: Elsewhere | None = None,
    beside: Iterable[str] = (),
) -> tuple[T | None, list[Problem]]:
    """*data* as an instance of *cls*, or all the problems that stand in the way.

    Args:
        data: Plain values, as a reader returns them.
        cls: An attrs class. Its fields may be bool, int, float, str, Path, Literal, Enum, unions,
            lists, tuples and dicts of them, further attrs classes, and Any.
        at: Where *data* is in the whole configuration.
        elsewhere: Finds settings of the same name in other tables, for a key that is unknown here.
        beside: Keys of the same table that are no settings of *cls*, and may have been meant.

    Raises:
        TypeError: *cls* has a field of a type that no setting can have; its author's mistake.
    """
    reader = _Reader(elsewhere, {at: list(beside)})
    value = reader.read(data, cls, at)
    return (None if value is MISSING else cast("T", value)), reader.problems


class _Reader:
    def __init__(self, elsewhere: Elsewhere | None, beside: Mapping[Path, list[str]]) -> None:
        self.problems: list[Problem] = []
        self._elsewhere = elsewhere
        self._beside = beside

    def read(self, value: Any, type_: Any, at: Path) -> Any:
        """*value* as *type_*; `MISSING`, and a problem noted, if it is none."""
        for arm in kinds.arms(type_):
            found = self._container(value, arm, at)
            if found is None:
                found = scalars.check(value, arm)
                if found is not MISSING:
                    return found
            else:
                return found[0]
        self._refuse(value, type_, at)
        return MISSING

    def _container(self, value: Any, type_: Any, at: Path) -> tuple[Any] | None:
        """The value in a tuple, if *type_* is a container and *value* has its outer form."""
        if attrs.has(type_):
            return (self._instance(value, type_, at),) if isinstance(value, Mapping) else None
        found = kinds.element(type_)
        if found is not None and found[0] is dict:
            return (self._dict(value, found[1], at),) if isinstance(value, Mapping) else None
        if not isinstance(value, list | tuple):
            return None
        if found is not None:
            items = [self.read(item, found[1], (*at, i)) for i, item in enumerate(value)]
            return (MISSING if _has_missing(items) else found[0](items),)
        wanted = kinds.parts(type_)
        return None if wanted is None else (self._tuple(value, wanted, at),)

    def _dict(self, value: Mapping[str, Any], type_: Any, at: Path) -> Any:
        items = {key: self.read(item, type_, (*at, key)) for key, item in value.items()}
        return MISSING if _has_missing(items.values()) else items

    def _tuple(self, value: Any, wanted: tuple[Any, ...], at: Path) -> Any:
        if len(value) != len(wanted):
            message = f"`{path_text(at)}` must have {len(wanted)} elements, got {len(value)}"
            self.problems.append(Problem("C104", message, at))
            return MISSING
        pairs = enumerate(zip(value, wanted, strict=True))
        items = tuple(self.read(item, type_, (*at, i)) for i, (item, type_) in pairs)
        return MISSING if _has_missing(items) else items

    def _refuse(self, value: Any, type_: Any, at: Path) -> None:
        wrong = scalars.explain(value, type_)
        message = wrong.message
        if is_secret(at):
            message, wrong = f" must be {kinds.name(type_)}", evolve(wrong, edit=None)
        name = f"`{path_text(at)}`" if at else "the configuration"
        self.problems.append(
            Problem(wrong.code, name + message, at, fix=wrong.fix, edit=wrong.edit)
        )

    # --- config classes

    def _instance(self, data: Mapping[str, Any], cls: type[Any], at: Path) -> Any:
        before = len(self.problems)
        fields = kinds.fields(cls)
        values: dict[str, Any] = {}
        for field in fields:
            if field.name in data:
                read = self._secret if is_marked(field) else self.read
                value = read(data[field.name], field.type or Any, (*at, field.name))
                if value is not MISSING:
                    values[field.name] = value
            elif field.default is attrs.NOTHING:
                self._missing_key(field, at)
        names = [field.name for field in fields]
        for key in data:
            if key not in names:
                self._unknown_key(key, names, at)
        self._validate(fields, values, at)
        if len(self.problems) > before:
            return MISSING
        return self._build(
            cls, {f.alias or f.name: values[f.name] for f in fields if f.name in values}, at
        )

    def _missing_key(self, field: attrs.Attribute[Any], at: Path) -> None:
        name = kinds.name(field.type or Any)
        message = f"`{field.name}` is missing {in_table(at)}; it must be {name}"
        edit = '"…"' if name in ("text", "a path") else "…"
        path = (*at, field.name)
        self.problems.append(Problem("C103", message, path, "key", fix="add", edit=edit))

    def _unknown_key(self, key: str, known: list[str], at: Path) -> None:
        message = f"unknown key `{key}` {in_table(at)}"
        self.problems.append(
            Problem("C101", message, (*at, key), "key", self._advise(key, known, at))
        )

    def _advise(self, key: str, known: list[str], at: Path) -> str | None:
        found = self._elsewhere(key) if self._elsewhere else ()
        paths = [tuple(path.split(".")) if isinstance(path, str) else path for path in found]
        homes = [path for path in paths if path[:-1] != at]
        close = suggest(key.lower().replace("-", "_"), [*known, *self._beside.get(at, ())])
        if homes and not (close and edits(key, close[0]) == 1):
            places = " or ".join(in_table(path[:-1]).removeprefix("in ") for path in homes[:2])
            return f"`{key}` belongs {'' if places.startswith('at ') else 'in '}{places}"
        if close := _initials(key, known) or close:
            return scalars.did_you_mean(close)
        if 0 < len(known) <= _LISTED:
            return f"known here: {', '.join(known)}"
        return None if known else "remove it: nothing can be set here"

    def _secret(self, value: Any, _: Any, at: Path) -> Any:
        """Refuse one that is written down: a recipe is copied into the run's folder."""
        if not is_secret(at[-1:]):
            raise TypeError(f"{path_text(at)} is a secret: its name must say so, to hide it")
        if value is None or is_reference(value):
            return value
        message = f"`{path_text(at)}` is a secret: the settings say only where it is"
        self.problems.append(Problem("C104", message, at, fix=f"write {FORM}"))
        return MISSING

    def _validate(
        self, fields: Iterable[attrs.Attribute[Any]], values: dict[str, Any], at: Path
    ) -> None:
        """Run each validator by itself, so that each is reported by itself.

        A field with a converter is left to `_build`: its validator sees what the converter returns.
        """
        partial = _Partial(fields, values)
        for field in fields:
            if field.name not in values or field.converter is not None:
                continue
            path = (*at, field.name)
            for words in constraints.broken(field.validator, partial, field, values[field.name]):
                text = words.split(", got ")[0] if is_secret(path) else words
                self.problems.append(Problem("C104", f"`{path_text(path)}`{text}", path))

    def _build(self, cls: type[Any], values: dict[str, Any], at: Path) -> Any:
        try:
            return cls(**values)
        except LlamaHomeError as error:
            message, fix = error.message, error.hint
        except (TypeError, ValueError) as error:
            message, fix = str(error.args[0] if error.args else error), None
        where = f"{in_table(at).removeprefix('in ')}: " if at else ""
        self.problems.append(Problem("C104", f"{where}{message}", at, "key", fix))
        return MISSING


class _Partial:
    """What validators see as ``self`` before there is one: the settings that are right so far."""

    def __init__(self, fields: Iterable[attrs.Attribute[Any]], values: dict[str, Any]) -> None:
        for field in fields:
            is_made = hasattr(field.default, "factory")
            if field.name in values:
                setattr(self, field.name, values[field.name])
            elif field.default is not attrs.NOTHING and not is_made:
                setattr(self, field.name, field.default)


def _initials(key: str, known: list[str]) -> list[str]:
    """``learning_rate`` for ``lr``."""
    return [
        name for name in known if "_" in name and key == "".join(w[:1] for w in name.split("_"))
    ]


def _has_missing(items: Iterable[Any]) -> bool:
    return any(item is MISSING for item in items)


def unstructure(value: Any) -> Any:
    """Plain values for a config object: the inverse of `structure`.

    Settings that are ``None`` are left out, as TOML has no null; so the round trip is exact for
    classes whose optional settings default to ``None``.
    """
    if attrs.has(type(value)):
        pairs = ((f.name, getattr(value, f.name)) for f in kinds.fields(type(value)))
        return {name: unstructure(item) for name, item in pairs if item is not None}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): unstructure(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [unstructure(item) for item in value]
    return str(value) if isinstance(value, pathlib.PurePath) else value
