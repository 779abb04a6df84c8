"""Says in plain words what is wrong with a YAML text that does not parse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from llamahome_core.config.toml_errors import Explanation


def explain(error: Any, text: str) -> Explanation:
    """Explain *error*, a ``yaml.MarkedYAMLError`` about *text*."""
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(text)) if mark else 0
    opened = error.context_mark.index if error.context_mark else offset
    context = f"{error.context or ''} {error.problem or ''}".strip()
    if tab := _tab(text, offset):
        return tab
    for words, rule in _RULES.items():
        if words in context:
            return rule(text, offset, opened, context)
    if text[offset : offset + 1] in tuple("%@`|>"):
        message = f"a value cannot begin with `{text[offset]}`"
        return Explanation(message, offset, offset + 1, "put it in quotes")
    return Explanation(context, offset, offset + 1)


def _tab(text: str, offset: int) -> Explanation | None:
    start = text.rfind("\n", 0, offset) + 1
    indent = re.match(r"[ ]*\t\s*", text[start:])
    if not indent or offset > start + indent.end():
        return None
    tab = text.index("\t", start)
    return Explanation("YAML is indented with spaces, not tabs", tab, tab + 1, "replace the tab")


def _unclosed(text: str, offset: int, opened: int, context: str) -> Explanation:
    name, close = ("list", "]") if "flow sequence" in context else ("table", "}")
    line = text.count("\n", 0, opened) + 1
    if text.count("\n", 0, offset) + 1 == line and offset < len(text):
        message = f"`,` or `{close}` is missing before this"
        return Explanation(message, offset, offset + 1)
    message = f"the {name} opened on line {line} is not closed"
    return Explanation(message, opened, opened + 1, f"add the closing {close}")


def _quoted(text: str, offset: int, opened: int, context: str) -> Explanation:
    if "escaped unicode" in context or "Unicode character" in context:
        message = "this escape sequence is no character of Unicode"
        return Explanation(message, offset, offset + 1, "write the character itself")
    if "escape" in context:
        slash = text.rfind("\\", 0, offset + 1)
        message = f"`{text[slash : slash + 2]}` is not an escape sequence of YAML"
        fix = "write the text in single quotes, or double each backslash"
        return Explanation(message, slash, slash + 2, fix)
    line = text.count("\n", 0, opened) + 1
    message = f"the text opened on line {line} is not closed"
    return Explanation(message, opened, opened + 1, f"add the closing {text[opened]}")


def _unexpected_colon(text: str, offset: int, _opened: int, _context: str) -> Explanation:
    begin = text.rfind("\n", 0, offset) + 1
    before = text[begin:offset]
    if ": " in before:
        start = begin + before.index(": ") + 2
        line = text[start:].split("\n", 1)[0].rstrip()
        fix = "put it in quotes: " + json.dumps(line, ensure_ascii=False)
        return Explanation("text that contains `: ` needs quotes", start, start + len(line), fix)
    above = text[:begin].rstrip()
    start = above.rfind("\n") + 1
    start += len(text[start:]) - len(text[start:].lstrip())
    if above and not re.match(
        r"(?:- +)*(?:\"[^\"]*\"|'[^']*'|[^\s\"'][^:\n]*):(?:\s|$)", text[start:]
    ):
        return _no_colon(text, offset, start, "")
    indent = begin + len(before) - len(before.lstrip())
    message = "this line is indented differently from the settings around it"
    return Explanation(message, indent, offset, "align it with the line above")


def _no_colon(text: str, _offset: int, start: int, _context: str) -> Explanation:
    line = text[start:].split("\n", 1)[0].rstrip()
    message = f"`{line}` is not a setting: `:` and a value are missing"
    if match := re.match(r"([\w.-]+)\s*=\s*(.+)", line):
        message = "YAML puts `: ` between key and value, not `=`"
        return Explanation(message, start, start + len(line), f"write {match[1]}: {match[2]}")
    if match := re.match(r"([\w.-]+):(\S.*)", line):
        fix = f"write {match[1]}: {match[2]}"
        return Explanation("a space is missing after `:`", start, start + len(line), fix)
    return Explanation(message, start, start + len(line))


def _says(message: str, fix: str | None = None) -> Callable[[str, int, int, str], Explanation]:
    """A rule that always says the same about the place where the parser stopped."""
    return lambda _text, offset, _opened, _context: Explanation(message, offset, offset + 1, fix)


def _misaligned(text: str, offset: int, _opened: int, _context: str) -> Explanation:
    if text[text.rfind("\n", 0, offset) + 1 : offset].strip():
        message = "nothing but a comment may follow here"
        return Explanation(
            message, offset, offset + 1, "put all of the value in one pair of quotes"
        )
    message = "this line is indented differently from the settings around it"
    return Explanation(message, offset, offset + 1, "align it with the line above")


_RULES: dict[str, Callable[[str, int, int, str], Explanation]] = {
    "flow sequence": _unclosed,
    "flow mapping": _unclosed,
    "quoted scalar": _quoted,
    "mapping values are not allowed": _unexpected_colon,
    "sequence entries are not allowed": _says(
        "a list in lines begins below its key, not beside it", "begin it on the next line"
    ),
    "block scalar": _says("nothing may follow `|` or `>` on its line", "begin on the next line"),
    "directive": _says("a configuration file has no lines that begin with `%`", "remove the line"),
    "expected '-' indicator": _says("a line of a list begins with `- `"),
    "expected node content": _says("a value is missing before this"),
    "could not find expected ':'": _no_colon,
    "did not find expected key": _misaligned,
    "block mapping": _misaligned,
}
"""How to explain an error whose text holds these words; the first that fits."""
