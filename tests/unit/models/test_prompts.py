"""A prompt is tokenised once."""

from __future__ import annotations

from typing import Any

from llamahome_core import CacheStats, ModelFolder
from llamahome_models.codec import Codec
from llamahome_models.prompts import PromptCache


class Shelf:
    """A cache in a dict, as a third party would write one."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def stats(self) -> CacheStats:
        return CacheStats(entries=len(self.values))


QUESTION = [{"role": "user", "content": "How do I start?"}]


def test_a_prompt_from_the_cache_has_the_same_ids(tiny_model):
    """With a cache and without one, the first time and the second."""
    folder = ModelFolder(path=tiny_model, digest="sha256:0", name="tiny")
    plain = Codec(folder).encode(QUESTION, reply=True)
    cached = Codec(folder, shelf := Shelf())

    assert cached.encode(QUESTION, reply=True) == plain
    assert len(shelf.values) == 1
    assert cached.encode(QUESTION, reply=True) == plain


def test_a_known_prompt_is_not_made_again():
    """What is in the cache is taken from there."""
    cache = PromptCache(Shelf())
    cache.ids("key", lambda: [1, 2, 70000])

    assert cache.ids("key", fail) == [1, 2, 70000]


def fail() -> Any:
    raise AssertionError


def test_other_content_another_tokenizer_or_tools_make_another_key():
    """And the order of a mapping's keys does not."""
    key = PromptCache(Shelf()).key
    tool: dict[str, Any] = {"name": "clock", "type": "function"}
    keys = {
        key("a", QUESTION, ()),
        key("b", QUESTION, ()),
        key("a", [{"role": "user", "content": "How?"}], ()),
        key("a", QUESTION, [tool]),
    }

    assert len(keys) == 4
    assert key("a", QUESTION, [dict(reversed(tool.items()))]) in keys


def test_damaged_bytes_are_a_miss():
    """A value of a length that no list of ids has is made again."""
    shelf = Shelf()
    shelf.put("key", b"abc")

    assert PromptCache(shelf).ids("key", lambda: [7]) == [7]
