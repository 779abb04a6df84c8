"""Says in words what attrs' validators ask for, and which of them a value breaks.

attrs' own messages name the attribute in quotes and the comparison in signs. The classes of its
validators are private, so they are known here by name, and one that is not known speaks for itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

_SHOWN = 60
_COMMENT = re.compile(r"\(\?#([^)]*)\)")
_EXACT = 2**53
_OPS = {">": "greater than", ">=": "at least", "<": "less than", "<=": "at most"}
_SCHEMA_OPS = {
    ">": "exclusiveMinimum",
    ">=": "minimum",
    "<": "exclusiveMaximum",
    "<=": "maximum",
}


@frozen
class Constraint:
    """What one validator asks for.

    Attributes:
        text: ``at least 1``: what follows "must be".
        schema: The same as JSON schema.
        choices: The values allowed, where it is a list of them.
    """

    text: str
    schema: dict[str, Any]
    choices: tuple[Any, ...] = ()


def constraints(validator: Any) -> Iterator[Constraint]:
    """What *validator*, which may combine several, asks for as far as words can say it."""
    for part in parts(validator):
        reader = _READERS.get(type(part).__name__)
        if reader is not None:
            yield reader(part)


def parts(validator: Any) -> Iterator[Any]:
    """The single validators of a combined one."""
    name = type(validator).__name__
    if validator is None:
        return
    if name == "_AndValidator":
        for part in validator._validators:  # noqa: SLF001  # attrs offers no other way to see them
            yield from parts(part)
    elif name == "_OptionalValidator" and not isinstance(validator.validator, list | tuple):
        yield from parts(validator.validator)
    else:
        yield validator


def broken(validator: Any, instance: Any, attribute: Any, value: Any) -> Iterator[str]:
    """What each part of *validator* says against *value*, as what follows the setting's name.

    An `AttributeError` is silent: the validator looks at another setting, which is wrong itself.
    """
    if value is None and type(validator).__name__ == "_OptionalValidator":
        return
    for part in parts(validator):
        try:
            part(instance, attribute, value)
        except AttributeError:
            continue
        except (TypeError, ValueError) as error:
            member = getattr(part, "member_validator", None)
            items = value if member else ()
            wrong = (words for item in items for words in broken(member, instance, attribute, item))
            yield next(wrong, None) or _message(part, attribute.name, value, error)


def _message(validator: Any, name: str, value: Any, error: Exception) -> str:
    reader = _READERS.get(type(validator).__name__)
    if reader is not None:
        return f" must be {reader(validator).text}, got {_got(value)}"
    text = str(error.args[0]) if error.args else "has a value that is not allowed"
    plain = re.sub(rf"^['`\"]?{re.escape(name)}['`\"]?(?=\s)", "", text)
    return plain if plain != text else f": {text}"


def _got(value: Any) -> str:
    if isinstance(value, str):
        return (
            json.dumps(value, ensure_ascii=False)
            if len(value) <= _SHOWN
            else f"{len(value)} characters"
        )
    if isinstance(value, list | tuple | dict):
        return f"{len(value)} {'element' if len(value) == 1 else 'elements'}"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))  # the user wrote 0, not 0.0
    return str(value)


def _number(validator: Any) -> Constraint:
    op, bound = validator.compare_op, validator.bound
    return Constraint(f"{_OPS[op]} {bound}", {_SCHEMA_OPS[op]: bound})


def _length(word: str, attribute: str, schema: str) -> Callable[[Any], Constraint]:
    def read(validator: Any) -> Constraint:
        length = getattr(validator, attribute)
        return Constraint(
            f"{word} {length} long", {f"{schema}Length": length, f"{schema}Items": length}
        )

    return read


def _choice(validator: Any) -> Constraint:
    options = tuple(validator.options)
    words = ", ".join(_got(option) for option in options)
    return Constraint(f"one of {words}", {"enum": list(options)}, options)


def _pattern(validator: Any) -> Constraint:
    """A comment in the pattern, ``(?#such as this)``, is what people are told instead of it."""
    pattern, words = validator.pattern.pattern, _COMMENT.search(validator.pattern.pattern)
    pattern = _COMMENT.sub("", pattern)
    # A schema's pattern may match anywhere; attrs' matches all of the text unless told otherwise.
    anchors = {"fullmatch": ("^(?:", ")$"), "match": ("^(?:", ")")}
    before, after = anchors.get(validator.match_func.__name__, ("", ""))
    text = words[1] if words else f"text that matches {pattern}"
    return Constraint(text, {"pattern": f"{before}{pattern}{after}"})


def _each(validator: Any) -> Constraint:
    asked = list(constraints(validator.member_validator))
    items = {key: value for constraint in asked for key, value in constraint.schema.items()}
    words = " and ".join(constraint.text for constraint in asked)
    return Constraint(f"each {words}", {"items": items} if items else {})


_READERS: dict[str, Callable[[Any], Constraint]] = {
    "_NumberValidator": _number,
    "_MinLengthValidator": _length("at least", "min_length", "min"),
    "_MaxLengthValidator": _length("at most", "max_length", "max"),
    "_InValidator": _choice,
    "_MatchesReValidator": _pattern,
    "_DeepIterable": _each,
}
