"""Settings from environment variables and from ``.env`` files.

``LLAMAHOME_TRAIN__STEPS=100`` sets ``train.steps``, and ``LLAMAHOME_DATA__0__PATH`` edits the first
``[[data]]``.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Collection, Mapping

from attrs import frozen

from llamahome_core.config.assignments import parse_value
from llamahome_core.config.document import Document, Lines, Mark, Path, Span, nest
from llamahome_core.config.problems import ConfigError, Problem, problem_in

PREFIX = "LLAMAHOME_"
PUBLIC = tuple(
    f"{PREFIX}{name}" for name in ("HOME", "ENV", "PLUGINS", "STRICT", "LOCKED", "TRIAL")
)
"""Variables for users that are no settings."""
_TESTS = ("DEBUG", "REQUIRE", "FAILPOINT", "TRIALS", "TEST_SEED", "TEST_CACHE")
RESERVED = frozenset((*PUBLIC, *(f"{PREFIX}{name}" for name in _TESTS)))
"""Variables that speak to the program itself and are no settings."""

_ENTRY = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE = re.compile(r"'([^']*)'")
_BARE = re.compile(r"(?:[^\s#]|[ \t]+[^\s#]|(?<=\S)#)*")
_TAIL = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BLANK = re.compile(r"\s*(?:#[^\n]*(?:\n|\Z)\s*)*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def environment(
    environ: Mapping[str, str], *, reserved: Collection[str] = RESERVED
) -> list[Document]:
    """One document for each ``LLAMAHOME_…`` variable that is not *reserved*, by name.

    Raises:
        ConfigError: C111 for each variable whose name is no setting's.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for name in sorted(_settings(environ, reserved)):
        text = f"{name}={environ[name]}"
        lines = Lines(text)
        path = _path(name)
        mark = Mark(lines.span(0, len(name)), lines.span(len(name) + 1, len(text)))
        document = Document("environment", f"environment variable {name}", None, text, {}, {})
        if path is None:
            problems.append(_bad_name(document, name, mark.key))
            continue
        document.data.update(nest(path, parse_value(environ[name])))
        document.marks[path] = mark
        documents.append(document)
    if problems:
        raise ConfigError(problems)
    return documents


def _settings(names: Collection[str], reserved: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith(PREFIX) and name not in reserved]


def _path(name: str) -> Path | None:
    parts = name.removeprefix(PREFIX).lower().split("__")
    if not all(parts) or parts[0].isdigit():
        return None
    return tuple(int(part) if re.fullmatch(r"0|[1-9][0-9]*", part) else part for part in parts)


def _bad_name(document: Document, name: str, span: Span | None) -> Problem:
    fix = f"write {PREFIX}TABLE__KEY, with two underscores between table and key"
    return problem_in(document, "C111", f"`{name}` names no setting", span, fix=fix)


@frozen
class Variable:
    """One line of a ``.env`` file."""

    name: str
    value: str
    mark: Mark


def parse_dotenv(text: str, *, name: str, path: pathlib.Path | None = None) -> list[Variable]:
    """All variables of a ``.env`` file, also those that are no settings.

    Lines are ``KEY=VALUE`` or ``export KEY=VALUE``. Single quotes keep everything, double quotes
    read backslash escapes for line feed, tab, quote and backslash, and ``$NAME`` is not expanded.

    Raises:
        ConfigError: C107 for each line that cannot be read, C108 for a name that is set twice.
    """
    document = Document("dotenv", name, path, text, {}, {})
    lines = Lines(text)
    variables: dict[str, Variable] = {}
    problems: list[Problem] = []
    offset = 0
    while (offset := _skip_blank(text, offset)) < len(text):
        variable, end, problem = _entry(document, lines, offset)
        if variable is not None and variable.name in variables:
            problem = _set_twice(document, variables[variable.name], variable)
        if problem is not None:
            problems.append(problem)
        elif variable is not None:
            variables[variable.name] = variable
        offset = end
    if problems:
        raise ConfigError(problems)
    return list(variables.values())


def _skip_blank(text: str, offset: int) -> int:
    match = _BLANK.match(text, offset)
    return match.end() if match else offset


def _entry(
    document: Document, lines: Lines, offset: int
) -> tuple[Variable | None, int, Problem | None]:
    """The entry at *offset*, where the next one begins, and what is wrong with it."""
    text = document.text
    line_end = text.find("\n", offset) + 1 or len(text)
    entry = _ENTRY.match(text, offset)
    if entry is None:
        span = lines.span(offset, offset + len(text[offset:line_end].rstrip()))
        problem = problem_in(document, "C107", "this is not KEY=VALUE", span, fix="write KEY=VALUE")
        return None, line_end, problem
    start = entry.end()
    quote = text[start : start + 1]
    pattern = {'"': _DOUBLE, "'": _SINGLE}.get(quote, _BARE)
    value = pattern.match(text, start)
    if value is None:
        line, _ = lines.position(start)
        message = f"the text opened on line {line} is not closed"
        span = lines.span(start, start + 1)
        fix = f"add the closing {quote}"
        return None, line_end, problem_in(document, "C107", message, span, fix=fix)
    tail = _TAIL.match(text, value.end())
    if tail is None:
        span = lines.span(value.end(), value.end() + 1)
        message = "nothing but a comment may follow a value"
        line_end = text.find("\n", value.end()) + 1 or len(text)
        return None, line_end, problem_in(document, "C107", message, span)
    mark = Mark(lines.span(*entry.span(1)), lines.span(start, value.end()))
    content = _unescape(value[1]) if quote == '"' else value[1] if quote == "'" else value[0]
    return Variable(entry[1], content, mark), tail.end(), None


def _unescape(text: str) -> str:
    known = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}
    return _ESCAPE.sub(lambda match: known.get(match[1], match[0]), text)


def _set_twice(document: Document, first: Variable, second: Variable) -> Problem:
    line = first.mark.key.line if first.mark.key else 0
    message = f"`{second.name}` is set twice: first on line {line}"
    return problem_in(document, "C108", message, second.mark.key, fix="remove one of them")


def dotenv(
    variables: Collection[Variable],
    text: str,
    *,
    name: str,
    path: pathlib.Path,
    reserved: Collection[str] = RESERVED,
) -> list[Document]:
    """One document for each ``LLAMAHOME_…`` variable of a ``.env`` file.

    Raises:
        ConfigError: C111 for each variable whose name is no setting's.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    names = _settings([variable.name for variable in variables], reserved)
    for variable in (variable for variable in variables if variable.name in names):
        document = Document("dotenv", name, path, text, {}, {})
        setting = _path(variable.name)
        if setting is None:
            problems.append(_bad_name(document, variable.name, variable.mark.key))
            continue
        document.data.update(nest(setting, parse_value(variable.value)))
        document.marks[setting] = variable.mark
        documents.append(document)
    if problems:
        raise ConfigError(problems)
    return documents
