"""The transform ``dedup``: of equal examples the first is kept."""

from __future__ import annotations

import json
from typing import Any

import xxhash

from llamahome_core import Context, Dropped, Example, Row


class Dedup:
    """Leaves out what has the same messages and tools, or the same text, as an example before.

    It remembers 16 bytes of each example, and not the example.
    """

    identity = "dedup/1"

    def __init__(self, config: Any, context: Context) -> None:
        self._seen: set[bytes] = set()

    def apply(self, example: Example, row: Row) -> Example | Dropped:
        """*example*, if it is the first of its kind."""
        content = json.dumps([example.messages, example.text, example.tools], sort_keys=True)
        digest = xxhash.xxh3_128_digest(content.encode())
        if digest in self._seen:
            return Dropped("duplicate")
        self._seen.add(digest)
        return example
