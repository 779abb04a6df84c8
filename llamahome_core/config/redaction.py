"""Keeps secrets off screens: which settings are secret, and text with their values covered."""

from __future__ import annotations

import re

from llamahome_core.config.document import Document, Lines, Path
from llamahome_core.errors import edits
from llamahome_core.secrets import HIDDEN, redact, says_secret

__all__ = ["HIDDEN", "cover", "hide", "is_secret", "may_be_secret"]

_WORDS = ("secret", "token", "password", "passphrase", "api_key")
_LINE = re.compile(
    r"""^(.*?(?:secret|token|password|passphrase|api[_-]?key)s?[\w-]*["']?\s*[=:]\s*)(\S.*)$""",
    re.IGNORECASE,
)
_FOREIGN = re.compile(r"^((?!(?:export\s+)?LLAMAHOME_)[^=#\n]*=)(.*)$", re.MULTILINE)
"""A line of a ``.env`` that is no setting: whatever its name, it may be a secret of others."""


def is_secret(path: Path) -> bool:
    """Whether the setting's name, or that of a table around it, says that it is a secret.

    ``tokens``, a count in this field, is none.
    """
    return any(says_secret(part) for part in path if isinstance(part, str))


def may_be_secret(path: Path) -> bool:
    """The same, or the name is one letter off: it will be refused, and must not be shown first."""
    last = path[-1] if path else None
    near = isinstance(last, str) and not last.lower().endswith("tokens")
    name = str(last).lower()
    return is_secret(path) or (near and any(edits(name, word) <= 1 for word in _WORDS))


def cover(line: str) -> str:
    """*line* of a file with the value of a secret setting covered, sign by sign."""
    match = _LINE.match(line)
    if match is None:
        return line
    name = re.split(r"[\s.=:\"'{,]+", match[1].rstrip(" \t=:\"'"))[-1]
    if not is_secret((name.replace("__", "_"),)):
        return line
    return match[1] + re.sub(r"\S", "•", match[2])


def uncited(told: str, line: str) -> str:
    """*told* of a *line* without words of the value, if `cover` covers that."""
    if (shown := cover(line)) == line:
        return told
    value = line[shown.index("•") :]
    for word in sorted(re.findall(r"[^\s\"'`,]{3,}", value), key=len, reverse=True):
        told = told.replace(word, HIDDEN)
    return told


def hide(document: Document) -> str:
    """The text of *document* with the values of secret settings covered, sign by sign.

    A value may stand below its key, so the marks are asked; a text that could not be read has not
    all of them, so the lines are looked at too.
    """
    text, lines = document.text, Lines(document.text)
    for path, mark in document.marks.items():
        if mark.value is not None and may_be_secret(path):
            start, end = lines.offsets(mark.value)
            text = text[:start] + re.sub(r"\S", "•", text[start:end]) + text[end:]
    shown = "\n".join(cover(line) for line in text.split("\n"))
    if document.layer == "dotenv":
        shown = _FOREIGN.sub(lambda found: found[1] + re.sub(r"\S", "•", found[2]), shown)
    return redact(shown, lambda found: "•" * len(found))
