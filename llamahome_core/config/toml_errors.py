"""Says in plain words what is wrong with a TOML text that does not parse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

_WHERE = re.compile(r" at line \d+ col \d+$")
_STATEMENT = re.compile(
    r"[ \t]*(?:\[{1,2}[A-Za-z_][\w.-]*\]{1,2}[ \t]*(?:#|$)|[\w.\"'-]+[ \t]*=)", re.MULTILINE
)
_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on"), "true"),
    **dict.fromkeys(("false", "no", "off"), "false"),
}
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xa0\u2000-\u200b\u202f\u3000\ufeff]|\r(?!\n)"
)
_EMPTY_PART = re.compile(r"(?:^|\.)[ \t]*(?=\.|$)")
_TRIPLE = 3
_LINE_OPENINGS = {
    **dict.fromkeys(("//", "/*", ";", "--"), "a comment starts with `#`"),
    "=": "the key is missing before `=`",
    "[": "the table name is not closed",
    "{": "a TOML file holds lines of `key = value`, not JSON",
    "- ": "a TOML file holds lines of `key = value`; a list is written [1, 2]",
}
_NULLS = {"null", "none", "nil", "~"}


@frozen
class Explanation:
    """What is wrong with ``text[start:end]``, and how to mend it."""

    message: str
    start: int
    end: int
    fix: str | None = None


def explain(
    error: str,
    offset: int,
    text: str,
    openings: Sequence[tuple[str, int]],
    phase: tuple[str, int],
) -> Explanation:
    """Explain *error*, which tomlkit raised at *offset*.

    Args:
        error: tomlkit's own words, the last resort.
        offset: Where it stopped.
        text: All of the file.
        openings: Lists, inline tables and texts that were open, with the offset of each opening.
        phase: ``header``, ``key``, ``value`` or ``after`` (a value), and the offset where it began.
    """
    kind, start = phase
    if "nested more than" in error:
        return Explanation("this is nested more than 100 levels deep", offset, offset + 1)
    if openings and openings[-1][0] == "text":
        return _in_text(error, offset, text, openings[-1][1])
    for name, opened in reversed(openings):
        if _is_unclosed(offset, text, opened):
            return _unclosed(offset, text, name, opened)
    if _CONTROL.match(text, offset):
        return _control_character(offset, text, "here")
    rules: dict[str, Callable[[], Explanation | None]] = {
        "value": lambda: _in_value(offset, text, start),
        "header": lambda: _in_header(offset, text, start),
        "key": lambda: _in_key(text, start, is_inline=bool(openings)),
        "after": lambda: _after_value(offset, text, openings),
    }
    return rules[kind]() or Explanation(_plain(error), offset, offset + 1)


def _plain(error: str) -> str:
    message = _WHERE.sub("", error)
    return message[:1].lower() + message[1:]


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _rest(text: str, start: int) -> str:
    """The rest of the line without its comment and trailing space."""
    line = text[start:].split("\n", 1)[0]
    return line.split(" #", 1)[0].rstrip()


def _in_text(error: str, offset: int, text: str, start: int) -> Explanation:
    quote = text[start : start + 3]
    if len(set(quote)) > 1 or len(quote) < _TRIPLE:
        quote = text[start]
    if offset >= len(text) or (len(quote) == 1 and text[offset] == "\n"):
        message = f"the text opened on line {_line(text, start)} is not closed"
        return Explanation(
            message, start, start + len(_rest(text, start)), f"add the closing {quote}"
        )
    slash = text.rfind("\\", start, offset + 1)
    if quote[0] == '"' and slash >= 0 and ("in string" in error or "unicode" in error):
        message = f"`{text[slash : slash + 2]}` is not an escape sequence of TOML"
        fix = "write the text in single quotes, or double each backslash"
        return Explanation(message, slash, slash + 2, fix)
    found = _control_character(offset, text, "inside text")
    return evolve(found, fix=f"write it as \\u{ord(text[offset]):04x}")


def _control_character(offset: int, text: str, where: str) -> Explanation:
    message = f"the character U+{ord(text[offset]):04X} is not allowed {where}"
    return Explanation(message, offset, offset + 1)


def _is_unclosed(offset: int, text: str, start: int) -> bool:
    """Whether the file ended, or something that can only be a new line of settings followed."""
    if offset >= len(text):
        return True
    begin = text.rfind("\n", 0, offset) + 1
    return begin > start and _STATEMENT.match(text, begin) is not None


def _unclosed(offset: int, text: str, kind: str, start: int) -> Explanation:
    close = "]" if kind == "list" else "}"
    stop = "the end of the file" if offset >= len(text) else f"line {_line(text, offset)}"
    message = f"the {kind} opened on line {_line(text, start)} is not closed before {stop}"
    return Explanation(message, start, start + 1, f"add the closing {close}")


def _in_value(offset: int, text: str, start: int) -> Explanation:
    raw = _rest(text, start)
    if raw.startswith(("[", "{")):
        return Explanation(f"`{text[offset]}` is not expected here", offset, offset + 1)
    token = re.split(r"[,\]}]", raw, maxsplit=1)[0].rstrip()
    if not token or token.startswith("#"):
        return Explanation("a value is missing here", start, start + 1)
    end = start + len(token)
    if token.lower() in _BOOLEANS:
        fix = f"write {_BOOLEANS[token.lower()]}"
        return Explanation(f"`{token}` is neither true nor false", start, end, fix)
    if token.lower() in _NULLS:
        message = f"TOML has no `{token}`"
        return Explanation(
            message, start, end, "remove the line: a setting left out has its default"
        )
    return _in_token(token, start, end)


def _in_token(token: str, start: int, end: int) -> Explanation:
    if re.match(r"\d+[:-]\d+[:-]", token):
        return Explanation(f"`{token}` is no date and no time of day", start, end)
    if re.match(r"[+-]?\.?\d", token):
        return Explanation(f"`{token}` is not a number", start, end, _number_fix(token))
    if quoted := re.fullmatch(r"[\u2018-\u201f«»](.*)[\u2018-\u201f«»]", token):
        message = "these are not the quotes of TOML"
        return Explanation(message, start, end, f'write "{quoted[1]}"')
    fix = f"put it in quotes: {json.dumps(token, ensure_ascii=False)}"
    return Explanation(f"the text `{token}` needs quotes", start, end, fix)


def _number_fix(token: str) -> str:
    plain = token.replace("_", "")
    for repaired in (plain, plain.lstrip("0"), f"0{plain}", f"{plain}0"):
        if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", repaired):
            return f"write {repaired}"
    return f"put it in quotes if it is text: {json.dumps(token, ensure_ascii=False)}"


def _in_header(offset: int, text: str, start: int) -> Explanation | None:
    line = _rest(text, start)
    closing = line.find("]")
    if closing < 0 or (text[start - 2 : start] == "[[" and "]]" not in line):
        opening = "[[" if text[start - 2 : start] == "[[" else "["
        begin = start - len(opening)
        fix = f"add the closing {']' * len(opening)}"
        return Explanation("the table name is not closed", begin, start + len(line), fix)
    if not line[:closing].strip(" ["):
        return Explanation("the table has no name", start - 1, start + closing + 1)
    if offset > start + closing:
        message = "nothing but a comment may follow the name of a table"
        return Explanation(message, offset, start + len(line), "write it on a line of its own")
    return None


def _in_key(text: str, start: int, *, is_inline: bool) -> Explanation | None:
    line = _rest(text, start)
    if is_inline:
        line = re.split(r"[,}]", line, maxsplit=1)[0]
    indent = len(line) - len(line.lstrip())
    start, line = start + indent, line.strip()
    for opening, message in _LINE_OPENINGS.items():
        if line.startswith(opening):
            return Explanation(message, start, start + len(opening))
    if colon := re.match(r"([\w.-]+|\"[^\"]*\")[ \t]*:", line):
        message = "TOML puts `=` between key and value, not `:`"
        value = line[colon.end() :].strip()
        fix = f"write {colon[1]} = {value}" if value else f"write [{colon[1]}]"
        return Explanation(message, start + colon.end() - 1, start + colon.end(), fix)
    if double := re.match(r"[\w.\"'-]+[ \t]*=[ \t]*=", line):
        return Explanation("one `=` is enough", start + double.end() - 1, start + double.end())
    if "=" not in line:
        message = f"`{line}` is not a setting: `=` and a value are missing"
        return Explanation(message, start, start + len(line))
    return _in_name(line.split("=", 1)[0].rstrip(), start)


def _in_name(key: str, start: int) -> Explanation | None:
    if empty := _EMPTY_PART.search(key):
        message = "a part of the key is missing beside the dot"
        return Explanation(message, start + empty.end(), start + empty.end() + 1)
    if re.search(r"\s", key) or not re.fullmatch(r"[\w.-]+", key, re.ASCII):
        fix = f"put it in quotes: {json.dumps(key, ensure_ascii=False)}"
        return Explanation(f"`{key}` is not a key", start, start + len(key), fix)
    return None


def _after_value(offset: int, text: str, openings: Sequence[tuple[str, int]]) -> Explanation | None:
    rest = _rest(text, offset)
    if openings:
        close = "]" if openings[-1][0] == "list" else "}"
        message = f"`,` or `{close}` is missing before this"
        return Explanation(message, offset, offset + 1)
    if grouped := re.match(r",\d{3}\b", rest):
        message = "a number has no commas"
        return Explanation(message, offset, offset + grouped.end(), "write _ between thousands")
    if rest == ",":
        return Explanation(
            "no comma stands at the end of a setting", offset, offset + 1, "remove it"
        )
    message = "nothing but a comment may follow a value"
    return Explanation(message, offset, offset + max(len(rest), 1))
