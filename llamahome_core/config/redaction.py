"""Keeps secrets off screens: which settings are secret, and text with their values covered."""

from __future__ import annotations

import re

from llamahome_core.config.document import Document, Lines, Path

HIDDEN = "••••••••"
"""What stands in the place of a secret value."""

_SECRET = re.compile(r"(?:^|[_-])(?:secret|token|password|passphrase|api_?key|apikey)s?(?:$|[_-])")
_LINE = re.compile(
    r"""^(.*?(?:secret|token|password|passphrase|api[_-]?key)s?[\w-]*["']?\s*[=:]\s*)(\S.*)$""",
    re.IGNORECASE,
)


def is_secret(path: Path) -> bool:
    """Whether the setting's name, or that of a table around it, says that it is a secret.

    ``tokens``, a count in this field, is none.
    """
    names = (part.lower() for part in path if isinstance(part, str))
    return any(_SECRET.search(name) and not name.endswith("tokens") for name in names)


def cover(line: str) -> str:
    """*line* of a file with the value of a secret setting covered, sign by sign."""
    match = _LINE.match(line)
    if match is None:
        return line
    name = re.split(r"[\s.=:\"'{,]+", match[1].rstrip(" \t=:\"'"))[-1]
    if not is_secret((name.replace("__", "_"),)):
        return line
    return match[1] + re.sub(r"\S", "•", match[2])


def hide(document: Document) -> str:
    """The text of *document* with the values of secret settings covered, sign by sign.

    A value may stand below its key, so the marks are asked; a text that could not be read has not
    all of them, so the lines are looked at too.
    """
    text, lines = document.text, Lines(document.text)
    for path, mark in document.marks.items():
        if mark.value is not None and is_secret(path):
            start, end = lines.offsets(mark.value)
            text = text[:start] + re.sub(r"\S", "•", text[start:end]) + text[end:]
    return "\n".join(cover(line) for line in text.split("\n"))
