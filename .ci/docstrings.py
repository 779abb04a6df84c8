"""Turns Google-style docstrings into Markdown, for the reference pages."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

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
