"""Checks single values against single types, and coerces nothing."""

from __future__ import annotations

import datetime as dt
import enum
import math
import pathlib
import re
from typing import Any

import attrs
from attrs import frozen

from llamahome_core.config import kinds
from llamahome_core.errors import suggest

_SHOWN = 60
_NUMBER = re.compile(r"[-+]?(?:\d[\d_,]*)(?:\.\d*)?(?:[eE][-+]?\d+)?|[-+]?\.\d+(?:[eE][-+]?\d+)?")
_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


@frozen
class Wrong:
    """What is wrong with a value: the message is what follows the setting's name."""

    message: str
    fix: str | None = None
    edit: str | None = None
    code: str = "C102"


MISSING = object()
"""Stands for "no value of that type"."""


def check(value: Any, type_: Any) -> Any:
    """*value* as *type_*, one of the scalars, a choice or a path; `MISSING` if it is none."""
    if type_ is Any:
        return value
    if allowed := kinds.choices(type_):
        return _choice(value, type_, allowed)
    if type_ is float:
        return _number(value)
    if type_ is pathlib.Path:
        is_path = isinstance(value, str) and value and "\0" not in value
        return pathlib.Path(value) if is_path else MISSING
    return value if type(value) is type_ else MISSING


def _number(value: Any) -> Any:
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return MISSING
    return value if type(value) is float and math.isfinite(value) else MISSING


def _choice(value: Any, type_: Any, allowed: tuple[Any, ...]) -> Any:
    for option in allowed:
        if option == value and type(option) is type(value):
            is_enum = isinstance(type_, type) and issubclass(type_, enum.Enum)
            return type_(option) if is_enum else option
    return MISSING


def describe(value: Any) -> str:
    """*value* as a message shows it: ``the text "2e-4"``, ``true``, ``a table``."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
        return f"the text {kinds.literal(shown)}"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dt.date | dt.time):
        return f"the date or time {value}"
    return kinds.literal(value)


def explain(value: Any, type_: Any) -> Wrong:
    """Why *value* is not of *type_*, which may be a union."""
    arms = [arm for arm in kinds.arms(type_) if arm is not type(None)]
    if isinstance(value, float) and float in arms and not math.isfinite(value):
        return Wrong(f" must be a finite number, got {value}", code="C104")
    if type(value) is int and float in arms:
        return Wrong(" must be a number, got one that is too large", code="C104")
    allowed = [option for arm in arms for option in kinds.choices(arm)]
    if allowed and isinstance(value, str) and any(isinstance(option, str) for option in allowed):
        return _unknown_choice(value, type_, allowed)
    if allowed and len(arms) == 1 and type(value) in {type(option) for option in allowed}:
        return Wrong(f" must be {kinds.name(type_)}, got {kinds.literal(value)}", code="C105")
    fix, edit = _repair_brackets(value, arms) or _repair(value, arms, allowed)
    return Wrong(f" must be {kinds.name(type_)}, got {describe(value)}", fix, edit)


def _unknown_choice(value: str, type_: Any, allowed: list[Any]) -> Wrong:
    names = [option for option in allowed if isinstance(option, str)]
    close = suggest(value.lower(), names)
    message = f" must be {kinds.name(type_)}, got {kinds.literal(value)}"
    return Wrong(message, did_you_mean(close, quote=True), code="C105")


def did_you_mean(close: list[str], *, quote: bool = False) -> str | None:
    """Ask whether one of *close* was meant; ``None`` if there is none."""
    if not close:
        return None
    words = [kinds.literal(name) if quote else f"`{name}`" for name in close]
    return f"did you mean {' or '.join(words)}?"


def _repair(value: Any, arms: list[Any], allowed: list[Any]) -> tuple[str | None, str | None]:
    """How to mend it, and the value that should stand there."""
    if value is None:
        return "give it a value, or remove the line", None
    if found := _repair_single(value, arms):
        return "put it in brackets", found
    if isinstance(value, list):
        is_inside = len(value) == 1 and any(check(value[0], arm) is not MISSING for arm in arms)
        return ("remove the brackets", kinds.literal(value[0])) if is_inside else (None, None)
    if isinstance(value, str):
        return _repair_text(value, arms, allowed)
    textual = str in arms or pathlib.Path in arms
    if textual and isinstance(value, bool | int | float | dt.date | dt.time):
        return "put it in quotes", kinds.literal(_spelling(value))
    is_whole = type(value) is float and int in arms and value.is_integer()
    return ("write", str(int(value))) if is_whole else (None, None)


def _repair_brackets(value: Any, arms: list[Any]) -> tuple[str, str | None] | None:
    """For a text that was to be a list or a table and is no TOML, such as ``[a`` or ``[a, b]``."""
    if not isinstance(value, str):
        return None
    value, found = value.strip(), list(filter(None, map(kinds.element, arms)))
    if value.startswith("[") and any(collection is not dict for collection, _ in found):
        words = [word.strip(" \t\"'") for word in value.strip("[]").split(",")]
        is_text = any(str in kinds.arms(item) for _, item in found)
        items = [kinds.literal(word) if is_text else word for word in words if word]
        return "write a list, each text in quotes", f"[{', '.join(items)}]"
    is_table = any(map(attrs.has, arms)) or any(collection is dict for collection, _ in found)
    if value.startswith("{") and is_table:
        return 'write a table, each text in quotes, such as {key = "value"}', None
    return None


def _repair_single(value: Any, arms: list[Any]) -> str | None:
    """*value* as a list, where it is an element of one."""
    if isinstance(value, dict | list):
        return None
    for collection, item in filter(None, map(kinds.element, arms)):
        if collection is not dict and any(
            check(value, arm) is not MISSING for arm in kinds.arms(item)
        ):
            return f"[{kinds.literal(value)}]"
    return None


def _spelling(value: Any) -> str:
    return kinds.literal(value) if isinstance(value, bool | int | float) else str(value)


def _repair_text(value: str, arms: list[Any], allowed: list[Any]) -> tuple[str | None, str | None]:
    word = value.strip().lower()
    if bool in arms and word in _WORDS:
        return "remove the quotes" if word in ("true", "false") else "write", kinds.literal(
            _WORDS[word]
        )
    number = word.replace(",", "").replace("_", "")
    numeric = [option for option in allowed if type(option) in (int, float)]
    if (int in arms or float in arms or numeric) and _NUMBER.fullmatch(word):
        clean = number == word
        whole = re.fullmatch(r"[-+]?\d+", number)
        if float in arms or (whole and (int in arms or int(number) in numeric)):
            return "remove the quotes" if clean else "write", number.lstrip("+")
    if pathlib.Path in arms:
        nul = "take the character NUL out of it: no path has one"
        return (nul if value else "name a file or folder"), None
    return None, None
