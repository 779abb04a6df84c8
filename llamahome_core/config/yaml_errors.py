"""Says in plain words what is wrong with a YAML text that does not parse."""

from __future__ import annotations

import json
import re
from typing import Any

from llamahome_core.config.toml_errors import Explanation

_CLOSE = {"flow sequence": ("list", "]"), "flow mapping": ("table", "}")}


def explain(error: Any, text: str) -> Explanation:
    """Explain *error*, a ``yaml.MarkedYAMLError`` about *text*."""
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(text)) if mark else 0
    opened = error.context_mark.index if error.context_mark else offset
    context = f"{error.context or ''} {error.problem or ''}"
    if tab := _tab(text, offset):
        return tab
    for kind, (name, close) in _CLOSE.items():
        if kind in context:
            return _unclosed(text, offset, opened, name, close)
    if "quoted scalar" in context:
        return _quoted(text, offset, opened, context)
    if "mapping values are not allowed" in context:
        return _unexpected_colon(text, offset)
    if "sequence entries are not allowed" in context:
        message = "a list in lines begins below its key, not beside it"
        return Explanation(message, offset, offset + 1, "begin it on the next line")
    if "could not find expected ':'" in context:
        return _no_colon(text, opened)
    if "did not find expected key" in context or "block mapping" in context:
        message = "this line is indented differently from the settings around it"
        return Explanation(message, offset, offset + 1, "align it with the line above")
    if "undefined alias" in context or "found undefined" in context:
        return Explanation("no anchor of this name is set before", offset, offset + 1)
    if text[offset : offset + 1] in ("%", "@", "`", "|", ">"):
        message = f"a value cannot begin with `{text[offset]}`"
        return Explanation(message, offset, offset + 1, "put it in quotes")
    return Explanation(context.strip(), offset, offset + 1)


def _tab(text: str, offset: int) -> Explanation | None:
    start = text.rfind("\n", 0, offset) + 1
    indent = re.match(r"[ ]*\t\s*", text[start:])
    if not indent or offset > start + indent.end():
        return None
    tab = text.index("\t", start)
    return Explanation("YAML is indented with spaces, not tabs", tab, tab + 1, "replace the tab")


def _unclosed(text: str, offset: int, opened: int, name: str, close: str) -> Explanation:
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
    if text[offset - 1 : offset] == "\\" or text[offset : offset + 1] == "\\":
        slash = offset if text[offset] == "\\" else offset - 1
        message = f"`{text[slash : slash + 2]}` is not an escape sequence of YAML"
        fix = "write the text in single quotes, or double each backslash"
        return Explanation(message, slash, slash + 2, fix)
    line = text.count("\n", 0, opened) + 1
    message = f"the text opened on line {line} is not closed"
    return Explanation(message, opened, opened + 1, f"add the closing {text[opened]}")


def _unexpected_colon(text: str, offset: int) -> Explanation:
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
        return _no_colon(text, start)
    indent = begin + len(before) - len(before.lstrip())
    message = "this line is indented differently from the settings around it"
    return Explanation(message, indent, offset, "align it with the line above")


def _no_colon(text: str, start: int) -> Explanation:
    line = text[start:].split("\n", 1)[0].rstrip()
    message = f"`{line}` is not a setting: `:` and a value are missing"
    if match := re.match(r"([\w.-]+)\s*=\s*(.+)", line):
        message = "YAML puts `: ` between key and value, not `=`"
        return Explanation(message, start, start + len(line), f"write {match[1]}: {match[2]}")
    if match := re.match(r"([\w.-]+):(\S.*)", line):
        fix = f"write {match[1]}: {match[2]}"
        return Explanation("a space is missing after `:`", start, start + len(line), fix)
    return Explanation(message, start, start + len(line))
