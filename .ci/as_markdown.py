"""Turns docstrings (Google style) and settings into Markdown, for the reference pages."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from llamahome_core.config import Setting

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")


def inline(text: str) -> str:
    """Roles and double backticks of reStructuredText as Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return re.sub(r"``(.+?)``", r"`\1`", text)


def markdown(doc: str | None) -> str:
    """A Google-style docstring as Markdown."""
    lines = inspect.cleandoc(doc or "").splitlines()
    return "\n".join(_blocks(lines)).strip() + "\n"


def _blocks(lines: list[str]) -> Iterator[str]:
    rest = list(lines)
    while rest:
        line = rest.pop(0)
        if line.endswith("::") and not line.startswith(".."):
            title, code = line[:-2], _indented(rest)
            language = "python" if title == "Example" else "text"
            yield f"{title}:\n" if title else ""
            yield f"```{language}\n{code}\n```\n"
        elif line.removesuffix(":") in SECTIONS and line.endswith(":"):
            yield f"**{line}**\n\n{_entries(_indented(rest))}\n"
        elif line.startswith(".. versionadded:: "):
            yield f"*Since {line.rpartition(' ')[2]}.*"
        else:
            yield inline(line)


def _indented(rest: list[str]) -> str:
    """Take the lines that are indented or empty off the start of *rest*."""
    taken = []
    while rest and (not rest[0] or rest[0].startswith(" ")):
        taken.append(rest.pop(0))
    return textwrap.dedent("\n".join(taken)).strip("\n")


def _entries(text: str) -> str:
    """The entries of a section as a list; a continued line belongs to the entry above it."""
    joined = re.sub(r"\n\s+", " ", text)
    named = re.sub(r"^(\*{0,2}\w+): ", r"- `\1`: ", joined, flags=re.MULTILINE)
    return inline(re.sub(r"^(?!- )(?=\S)", "- ", named, flags=re.MULTILINE))


def settings_table(settings: list[Setting]) -> str:
    """The settings of a table as a Markdown table."""
    if not settings:
        return "It has no settings.\n"
    rows = ["| setting | value | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{s.name}` | {_value(s)} | {_default(s)} | {cell(s.help)} |" for s in settings]
    return "\n".join(rows) + "\n"


def cell(text: str) -> str:
    """*text* on one line, for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _value(setting: Setting) -> str:
    limits = f"; {setting.constraint}" if setting.constraint else ""
    return cell(f"{setting.type}{limits}")


def _default(setting: Setting) -> str:
    if setting.required:
        return "required"
    return "" if setting.default is None else f"`{_toml(setting.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
