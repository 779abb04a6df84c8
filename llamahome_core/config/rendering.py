"""Shows problems to people: the line, a caret under what is wrong, and how to mend it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from llamahome_core.config.document import Span
from llamahome_core.config.problems import Problem
from llamahome_core.config.redaction import hide

_TAB = 4
_WIDTH = 100
_STYLES = {"error": "1;31", "frame": "34", "bold": "1", "fix": "36"}
_BIDI = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def render(problems: Sequence[Problem], *, color: bool) -> str:
    """All *problems*, in the order given, and a last line that counts them."""
    paint = _Painter(color=color)
    explained: set[str] = set()
    blocks = []
    for problem in problems:
        blocks.append("\n".join(_block(problem, paint, is_first=problem.code not in explained)))
        explained.add(problem.code)
    return "\n\n".join([*blocks, paint("bold", _summary(problems))])


class _Painter:
    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._color and text else text


def _block(problem: Problem, paint: _Painter, *, is_first: bool) -> list[str]:
    lines = [
        f"{paint('error', f'error[{problem.code}]')}{paint('bold', f': {_clean(problem.message)}')}"
    ]
    gutter, advice = 1, problem.advice
    if problem.place:
        span = problem.span
        gutter = len(str(span.line)) if span else 1
        lines.append(f"{' ' * gutter} {paint('frame', '-->')} {_clean(problem.place)}")
        if problem.origin and span and span.end_column > 1 and problem.origin.document.text:
            snippet, advice = _snippet(problem, span, advice, gutter, paint)
            lines += snippet
    for link in problem.extended:
        lines.append(f"{' ' * gutter} {paint('frame', '=')} note: extended in {_clean(link)}")
    if advice:
        lines.append(f"{' ' * gutter} {paint('frame', '=')} fix: {_clean(advice)}")
    if is_first:
        lines.append(f"{' ' * gutter} {paint('frame', '=')} docs: llamahome explain {problem.code}")
    return lines


def _snippet(
    problem: Problem, span: Span, advice: str | None, gutter: int, paint: _Painter
) -> tuple[list[str], str | None]:
    """The lines of text with the caret, and the advice if it did not fit beside it."""
    text = hide(problem.origin.document).split("\n") if problem.origin else []
    bar = paint("frame", "|")
    shown = [f"{' ' * gutter} {bar}"]
    if span.line > 1 and text[span.line - 2].strip():
        before, _, _ = _clip(text[span.line - 2], 1, 1)
        shown.append(f"{paint('frame', str(span.line - 1).rjust(gutter))} {bar} {before}".rstrip())
    line = text[span.line - 1]
    end = len(line) + 1 if span.end_line else span.end_column
    source, column, width = _clip(line, span.column, end)
    number = str(span.line) if problem.origin and problem.origin.path else ""
    shown.append(f"{paint('frame', number.rjust(gutter))} {bar} {source}")
    caret = " " * column + paint("error", "^" * max(width, 1))
    label = _clean(advice) if advice else ""
    if label and column + width + len(label) < _WIDTH:
        caret, advice = f"{caret} {paint('fix', label)}", None
    shown.append(f"{' ' * gutter} {bar} {caret}")
    return shown, advice


def _clip(line: str, column: int, end: int) -> tuple[str, int, int]:
    """The part of *line* around the caret, and the caret's place and width in terminal cells."""
    head, body, tail = line[: column - 1], line[column - 1 : end - 1], line[end - 1 :]
    head, body, tail = _cells(head), _cells(body, _width(_cells(head))), _cells(tail)
    if _width(head) > _WIDTH // 2:
        head = "…" + head[-_WIDTH // 3 :]
    if _width(body) > _WIDTH // 2:
        body = body[: _WIDTH // 2] + "…"
    room = _WIDTH - _width(head) - _width(body)
    if _width(tail) > room:
        tail = tail[: max(room - 1, 0)] + "…"
    return (head + body + tail).rstrip(), _width(head), _width(body)


def _cells(text: str, column: int = 0) -> str:
    """*text* with tabs as spaces, and with what would steer the terminal as visible signs."""
    shown = []
    for character in _clean(text, keep="\t"):
        if character == "\t":
            character = " " * (_TAB - column % _TAB)  # noqa: PLW2901  # the next column follows from it
        shown.append(character)
        column += _width(character)
    return "".join(shown)


def _clean(text: str, keep: str = "") -> str:
    signs = [
        chr(0x2400 + ord(sign))
        if sign < " " and sign not in keep
        else "\ufffd"
        if "\x7f" <= sign < "\xa0"
        else sign
        for sign in text
    ]
    return _BIDI.sub("\ufffd", "".join(signs))


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        for sign in text
    )


def _summary(problems: Sequence[Problem]) -> str:
    count = len(problems)
    names = list(dict.fromkeys(_clean(p.origin.name) for p in problems if p.origin))
    where = f" in {names[0]}" if names else ""
    if len(names) == 2:  # noqa: PLR2004  # two can be named in one line
        where += f" and {names[1]}"
    elif names[2:]:
        where += f" and {len(names) - 1} other places"
    return f"{count} {'error' if count == 1 else 'errors'}{where}; nothing was loaded."
