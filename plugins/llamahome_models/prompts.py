"""Tokenised prompts by content: the same question is asked of a model again and again."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import xxhash
from attrs import frozen

from llamahome_core import Cache, Message


@frozen
class PromptCache:
    """Token ids in whatever cache the recipe chooses."""

    cache: Cache

    def key(
        self, codec: str, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]
    ) -> str:
        """The prompt's identity: the codec's digest and the content, nothing else."""
        text = json.dumps([messages, list(tools)], sort_keys=True, default=str)
        return f"prompt/{codec}/{xxhash.xxh3_128_hexdigest(text.encode())}"

    def ids(self, key: str, make: Callable[[], list[int]]) -> list[int]:
        """The ids under *key*; what is not there, or is no list of ids, is made."""
        found = self.cache.get(key)
        ids = array("I")
        if found is not None and len(found) % ids.itemsize == 0:
            ids.frombytes(found)
            return ids.tolist()
        made = make()
        self.cache.put(key, array("I", made).tobytes())
        return made
