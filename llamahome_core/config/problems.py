"""What can be wrong with a configuration, as records, and the error that carries them all."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from llamahome_core.config.document import LAYERS, At, Document, Mark, Origin, Path, Span
from llamahome_core.errors import LlamaHomeError, UnavailableError

CODES = {
    "C101": "unknown key",
    "C102": "wrong type",
    "C103": "missing key",
    "C104": "constraint broken",
    "C105": "unknown choice",
    "C106": "unknown component",
    "C107": "syntax error",
    "C108": "duplicate key",
    "C109": "unreadable file",
    "C110": "layers in conflict",
    "C111": "bad override",
}
"""What each code means, in a few words."""

_BARE_KEY = re.compile(r"(?![0-9]+$)[A-Za-z0-9_-]+")


@frozen
class Problem:
    """One thing that is wrong, and how to mend it.

    Attributes:
        code: One of `CODES`.
        message: What is wrong, as a sentence without its full stop.
        path: The setting.
        at: Whether the key or the value is to blame.
        fix: What to do about it.
        origin: Where the setting comes from, once that is known.
        edit: The value that should stand there instead, as TOML, JSON and YAML spell it. `advice`
            appends it to *fix*, in the syntax of the file that is to be edited.
    """

    code: str
    message: str
    path: Path = ()
    at: At = "value"
    fix: str | None = None
    origin: Origin | None = None
    edit: str | None = None

    @property
    def span(self) -> Span | None:
        """Where in its document the problem is."""
        return self.origin.span(self.at) if self.origin else None

    @property
    def advice(self) -> str | None:
        """*fix*, completed with an edit that can be pasted where there is one."""
        if self.fix is None or self.edit is None:
            return self.fix
        document = self.origin.document if self.origin else None
        return f"{self.fix}: {_spell(self.path, self.edit, document)}"

    @property
    def place(self) -> str | None:
        """``smol.toml:14:1``, or the name of a document that is no file."""
        return self.origin.place(self.at) if self.origin else None

    @property
    def extended(self) -> list[str]:
        """The places of the ``extends`` that lead to the document, the nearest first."""
        places = []
        link = self.origin.document.extended if self.origin else None
        while link is not None:
            places.append(link.place())
            link = link.document.extended
        return places


def _spell(path: Path, edit: str, document: Document | None) -> str:
    syntax = document.syntax if document else "toml"
    key = path[-1] if path else ""
    if syntax in {"env", "set"}:
        return _spell_override(path, edit, syntax)
    if not isinstance(key, str):
        return edit
    if syntax == "json":
        return f"{json.dumps(key, ensure_ascii=False)}: {edit}"
    return f"{key}: {edit}" if syntax == "yaml" else f"{quote_key(key)} = {edit}"


def _spell_override(path: Path, edit: str, syntax: str) -> str:
    if syntax == "set":
        return "--set " + shlex.quote(f"{path_text(path)}={edit}")
    name = "LLAMAHOME_" + "__".join(str(part) for part in path).upper()
    return f"{name}={shlex.quote(edit)}"


def quote_key(key: str) -> str:
    """*key* as TOML spells it: bare where it can be; in quotes also where it could be an index."""
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def path_text(path: Path) -> str:
    """``data.0.path``: the form that ``--set`` understands."""
    return ".".join(quote_key(part) if isinstance(part, str) else str(part) for part in path)


def in_table(path: Path) -> str:
    """Where the table at *path* is: ``in [adapter]``, ``in `data.0` `` or ``at the top level``."""
    if not path:
        return "at the top level"
    if any(isinstance(part, int) for part in path):
        return f"in `{path_text(path)}`"
    return f"in [{path_text(path)}]"


def duplicate(path: Path, first: Span | None, line: int) -> tuple[str, str]:
    """Message and fix for a key that stands at *first* and again in *line*."""
    where = f"`{path[-1]}` is set twice {in_table(path[:-1])}"
    if first is None or first.line == line:
        return where, "remove one of them"
    return f"{where}: first on line {first.line}", f"remove line {first.line} or line {line}"


def _order(problem: Problem) -> tuple[int, str, int, int]:
    origin, span = problem.origin, problem.span
    if origin is None:
        return len(LAYERS) + 1, "", 0, 0
    layer = LAYERS.index(origin.layer) if origin.layer in LAYERS else len(LAYERS)
    line, column = (span.line, span.column) if span else (0, 0)
    return layer, str(origin.path or origin.name), line, column


class ConfigError(LlamaHomeError):
    """A recipe or setting is wrong; all that is wrong is reported at once.

    Attributes:
        problems: What is wrong, weakest layer first, and in file order.
    """

    code = "C100"
    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=_order))
        if not self.problems:
            raise ValueError("a ConfigError needs at least one problem")  # a mistake of ours
        first = self.problems[0]
        message = f"{first.place}: {first.message}" if first.place else first.message
        if more := len(self.problems) - 1:
            message += f" (and {more} more {'problem' if more == 1 else 'problems'})"
        super().__init__(message, hint=first.advice, code=first.code)
        if all(problem.code == UnavailableError.code for problem in self.problems):
            # Nothing is wrong with the recipe: this machine lacks what it needs.
            self.exit_code = UnavailableError.exit_code

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


def problem_in(
    document: Document, code: str, message: str, span: Span | None, **more: Any
) -> Problem:
    """A problem of the text of *document* itself, at *span*."""
    return Problem(code, message, origin=Origin(document, Mark(None, span)), **more)


def to_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The problems as JSON values, with the same facts that people are shown."""
    return [_record(problem) for problem in problems]


def _record(problem: Problem) -> dict[str, Any]:
    origin, span = problem.origin, problem.span
    return {
        "code": problem.code,
        "message": problem.message,
        "path": path_text(problem.path),
        "at": problem.at,
        "fix": problem.advice,
        "layer": origin.layer if origin else None,
        "source": origin.name if origin else None,
        "file": str(origin.path) if origin and origin.path else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "end_line": (span.end_line or span.line) if span else None,
        "end_column": span.end_column if span else None,
        "extended": problem.extended,
    }
