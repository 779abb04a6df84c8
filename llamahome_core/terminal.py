"""Foreign text made harmless for a terminal: model answers and plugins are not trusted."""

from __future__ import annotations

import re

# Sequences that terminals obey: CSI, then the ones that carry a string, then the short ones. A
# string that does not end may not swallow the lines after it.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# C0 and C1, invisible signs, what turns the direction of writing, halves of surrogate pairs, and
# tags. The joiners and marks that Persian, Hebrew and emoji need stay.
_HARMFUL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str, keep: str = "") -> str:
    """*text* without anything that a terminal would obey.

    Escape sequences, control characters, invisible characters and those that override the
    direction of writing are dropped; the words of all languages stay.

    Args:
        text: Text of a model, a file, a plugin or a library.
        keep: Control characters that stay, such as a newline where there are several lines.
    """
    if text.isprintable():
        return text
    plain = _ESCAPES.sub("", text)
    return _HARMFUL.sub(lambda found: found[0] if found[0] in keep else "", plain)
