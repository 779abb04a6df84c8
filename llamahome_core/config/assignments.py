"""Settings from the command line (``--set a.b.c=value``) and from the caller of an embedding."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from llamahome_core.config.document import Document, Lines, Mark, Path, nest
from llamahome_core.config.problems import ConfigError, Problem, path_text, problem_in
from llamahome_core.config.redaction import cover
from llamahome_core.config.structuring import unstructure

MAX_DEPTH = 100
"""Deepest nesting, as in files."""

_PART = re.compile(r"[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([A-Za-z0-9_-]+))[ \t]*")
_INDEX = re.compile(r"0|[1-9][0-9]*")
_NEGATIVE = re.compile(r"-[0-9]+")


def parse_value(text: str) -> Any:
    """*text* as a TOML value; as it is, when it is none.

    Dates stay text: no setting is a date, and a name such as 2024-05-01 should not need quotes.
    """
    stripped = text.strip()
    if not re.match(r"[\"'\[{tf0-9+.-]|inf|nan", stripped):
        return text
    import tomlkit  # 20 ms that most commands need not spend
    from tomlkit.exceptions import TOMLKitError

    try:
        value = tomlkit.value(stripped).unwrap()
    except TOMLKitError:
        return text
    return text if isinstance(value, dt.date | dt.time) else value


def parse_key(text: str) -> Path:
    """The setting that *text*, such as ``train.steps`` or ``data.0.path``, names.

    Raises:
        ConfigError: C111 if it names none.
    """
    document = Document("command line", text, None, text, {}, {})
    path, offset = _parse_key(document, Lines(text))
    if offset < len(text):
        span = Lines(text).span(offset, len(text))
        raise ConfigError([problem_in(document, "C111", "nothing may follow the name", span)])
    return path


def overrides(assignments: Iterable[str]) -> list[Document]:
    """One document for each ``--set``, in order.

    Raises:
        ConfigError: C111 for each that is no ``key=value`` text.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    given: Any  # an embedding program may hand over anything
    for given in assignments:
        if not isinstance(given, str):
            message = f"an assignment must be text, got {type(given).__name__}"
            problems.append(Problem("C111", message, fix='write "table.key=value"'))
            continue
        try:
            documents.append(_override(given))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return documents


def _override(text: str) -> Document:
    document = Document("command line", f"--set {cover(text)}", None, text, {}, {})
    lines = Lines(text)
    path, offset = _parse_key(document, lines)
    name = text[:offset].strip()
    if not text[offset + 1 :].strip():
        message, fix = "`=` and a value are missing", f"write --set {name}=VALUE"
        if offset < len(text):
            message = "the value after `=` is missing"
            fix += f", or --set '{name}=\"\"' where it may be empty"
        span = lines.span(0, len(text))
        raise ConfigError([problem_in(document, "C111", message, span, fix=fix)])
    key = lines.span(0, len(text[:offset].rstrip()))
    mark = Mark(key, lines.span(offset + 1, len(text)))
    return attrs.evolve(
        document, data=nest(path, parse_value(text[offset + 1 :])), marks={path: mark}
    )


def _parse_key(document: Document, lines: Lines) -> tuple[Path, int]:
    """The path left of ``=``, and where the ``=`` stands."""
    text, offset = document.text, 0
    path: list[str | int] = []
    while match := _PART.match(text, offset):
        if _NEGATIVE.fullmatch(match[3] or ""):
            raise _no_index(document, lines, tuple(path), match)
        path.append(_part(match))
        offset = match.end()
        if text[offset : offset + 1] != ".":
            break
        offset += 1
    at_part = match is None
    if at_part or text[offset : offset + 1] not in ("=", "") or isinstance(path[0], int):
        span = lines.span(offset, offset + 1)
        message = (
            "the name of a setting is expected here" if at_part else "this is no name of a setting"
        )
        fix = (
            "write --set table.key=value, and quote a name that has more than letters, digits, _, -"
        )
        raise ConfigError([problem_in(document, "C111", message, span, fix=fix)])
    return tuple(path), offset


def _no_index(document: Document, lines: Lines, path: Path, match: re.Match[str]) -> ConfigError:
    message = f"there is no element {match[3]}: elements of a list are counted from 0"
    rest = document.text[match.end(3) :].partition("=")[0].strip()
    fix = f"write --set {path_text((*path, 0))}{rest}=VALUE for the first; put a name in quotes"
    span = lines.span(match.start(3), match.end(3))
    return ConfigError([problem_in(document, "C111", message, span, fix=fix)])


def _part(match: re.Match[str]) -> str | int:
    basic, literal, bare = match.groups()
    if bare is not None:
        return int(bare) if _INDEX.fullmatch(bare) else str(bare)
    if basic is None:
        return str(literal)
    try:
        return str(json.loads(f'"{basic}"'))
    except ValueError:
        return str(basic)


def runtime(parameters: Mapping[str, Any]) -> Document:
    """The document of the parameters of an embedding call: nested mappings of plain values.

    Config objects and paths are taken too, in the form in which a file would hold them.

    Raises:
        ConfigError: C111 for what is no mapping, a key that is not text, or a value that no file
            could hold.
    """
    document = Document("runtime", "runtime parameters", None, "", {}, {})
    given: Any = parameters
    if not isinstance(given, Mapping):
        message = f"runtime parameters must be a mapping, got {type(given).__name__}"
        fix = 'write a mapping such as {"train": {"steps": 100}}'
        raise ConfigError([Problem("C111", message, fix=fix)])
    problems: list[Problem] = []
    document.data.update(_plain(parameters, (), document, problems))
    if problems:
        raise ConfigError(problems)
    return document


def _plain(value: Any, path: Path, document: Document, problems: list[Problem]) -> Any:
    if attrs.has(type(value)):
        return unstructure(value)
    if len(path) > MAX_DEPTH:  # perhaps it holds itself
        message = f"this is nested more than {MAX_DEPTH} levels deep"
        problems.append(problem_in(document, "C111", message, None, path=path[:3]))
        return None
    if isinstance(value, Mapping):
        for key in (key for key in value if not isinstance(key, str)):
            message = f"a key must be text, got {key!r}"
            problems.append(problem_in(document, "C111", message, None, path=path))
        items = ((key, item) for key, item in value.items() if isinstance(key, str))
        return {key: _plain(item, (*path, key), document, problems) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item, (*path, i), document, problems) for i, item in enumerate(value)]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if not isinstance(value, str | int | float | dt.date | dt.time | None):
        message = f"`{path_text(path)}` cannot be a {type(value).__name__}"
        problems.append(problem_in(document, "C111", message, None, path=path))
    return value
