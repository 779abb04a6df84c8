"""Our own records in JSON, read back as strictly as they were written, through cattrs.

Settings do not go through here: they need positions and all problems at once (``config``). A
record was written by LlamaHome itself: what does not fit is damage, or another version's work.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

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
            and ``list[…]``, ``tuple[…, ...]``, ``dict[str, …]`` and ``… | None`` of them. An int
            will do for a float.
        data: Plain values, such as ``json.loads`` returns.
        source: Where *data* was read, for the message; the name of the class if not given.

    Raises:
        IntegrityError: It does not fit; the message names everything that is wrong.
    """
    try:
        return _converter().structure(data, cls)
    except Exception as error:  # cattrs raises groups of whatever the classes raise
        from cattrs import transform_error

        wrong = "; ".join(transform_error(error, path="$", format_exception=_say))
        raise IntegrityError(f"{source or cls.__name__} is damaged: {wrong}") from error


def _say(error: BaseException, _: type | None) -> str:
    from cattrs.errors import ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        return f"unknown key {', '.join(sorted(map(repr, error.extra_fields)))}"
    if isinstance(error, KeyError):
        return "it is missing"
    if isinstance(error, AttributeError | TypeError):
        return "it has the wrong form"  # cattrs does not look before it iterates
    return str(error.args[0])  # validators of attrs put more behind the message


@functools.cache
def _converter() -> Converter:
    """Made when first used: its import costs more than a short command may."""
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    for scalar in (bool, int, float, str):
        converter.register_structure_hook(scalar, _exactly)
    converter.register_structure_hook(Path, lambda value, _: Path(_exactly(value, str)))
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook_func(
        _is_sequence, lambda value, cls: _sequence(converter, value, cls)
    )
    return converter


def _exactly(value: Any, cls: type) -> Any:
    """*value*, if it is a *cls*; cattrs itself would make 1 of "1" and true of "no"."""
    if cls is float and type(value) is int:
        return float(value)
    if type(value) is not cls:
        raise ValueError(f"{value!r} is no {cls.__name__}")
    return value


def _is_sequence(cls: Any) -> bool:
    return get_origin(cls) is list or get_origin(cls) is tuple


def _sequence(converter: Converter, value: Any, cls: Any) -> Any:
    """A list or tuple; cattrs itself would take a text or a mapping for one."""
    if not isinstance(value, list | tuple):
        raise TypeError
    of = get_args(cls)[0]
    items = [converter.structure(item, of) for item in value]
    return items if get_origin(cls) is list else tuple(items)
