"""Our own records in JSON, read back as strictly as they were written, through cattrs.

Settings do not go through here: they need positions and all problems at once (``config``). A
record was written by LlamaHome itself: what does not fit is damage, or another version's work.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llamahome_core.errors import IntegrityError

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")


def dump(record: object) -> dict[str, Any]:
    """*record*, an instance of an attrs class, as plain values that JSON can hold."""
    plain: dict[str, Any] = _converter().unstructure(record)
    return plain


def load(cls: type[T], data: Any, source: object = None) -> T:
    """*data* as an instance of the attrs class *cls*; nothing is converted, dropped or guessed.

    Args:
        cls: Its fields may be bool, int, float, str, Path, Literal, Any, further attrs classes,
            and lists, tuples, dicts and unions with None of them. An int will do for a float.
        data: Plain values, such as ``json.loads`` returns.
        source: Where *data* was read, for the message; the name of the class if not given.

    Raises:
        IntegrityError: It does not fit; the message names everything that is wrong.
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:  # noqa: BLE001  # cattrs raises groups of whatever the classes raise
        from cattrs import transform_error

        wrong = "; ".join(transform_error(error, path="", format_exception=_say))
        raise IntegrityError(f"{source or cls.__name__} is damaged: {wrong}") from error


def _say(error: BaseException, _: type | None) -> str:
    from cattrs.errors import ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        return f"unknown key {', '.join(sorted(map(repr, error.extra_fields)))}"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    # validators of attrs put the attribute and the value behind the message
    return str(error.args[0]) if error.args else type(error).__name__


@functools.cache
def _converter() -> Converter:
    """Made when first used: its import costs more than a short command may."""
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    for scalar in (bool, int, float, str):
        converter.register_structure_hook(scalar, _exactly)
    converter.register_structure_hook(Path, lambda value, _: Path(_exactly(value, str)))
    converter.register_unstructure_hook(Path, str)
    # cattrs takes any iterable for a list and any mapping's items for a dict: text is both
    return converter


def _exactly(value: Any, cls: type) -> Any:
    """*value*, if it is a *cls*; cattrs itself would make 1 of "1" and true of "no"."""
    if cls is float and type(value) is int:
        return float(value)
    if type(value) is not cls:
        raise TypeError(f"must be {cls.__name__}, not {value!r}")
    return value
