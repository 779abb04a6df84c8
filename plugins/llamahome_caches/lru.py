"""The cache ``lru``: in memory, forgets what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from llamahome_caches.config import LruConfig
from llamahome_core import CacheStats, Context


class LruCache:
    """Least recently used first out, bounded in entries and in bytes; safe to share by threads.

    At no moment does it hold more than its bounds: room is made before a value is taken in.
    """

    def __init__(self, config: LruConfig, context: Context) -> None:
        self._config = config
        self._lock = Lock()
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._hits = 0
        self._misses = 0

    def get(self, key: str) -> bytes | None:
        """The value, which becomes the most recently used, or None."""
        with self._lock:
            if (value := self._values.get(key)) is None:
                self._misses += 1
                return None
            self._hits += 1
            self._values.move_to_end(key)
            return value

    def put(self, key: str, value: bytes) -> None:
        """Keep *value* at the cost of the least recently used; one over ``max_bytes`` is not kept.

        An older value of *key* is gone in either case.
        """
        kept = bytes(value)  # a caller's bytearray may change later
        with self._lock:
            self._remove(key)
            if len(kept) > self._config.max_bytes:
                return
            self._make_room(len(kept))
            self._values[key] = kept
            self._size += len(kept)

    def delete(self, key: str) -> None:
        """Forget *key*, if it is there."""
        with self._lock:
            self._remove(key)

    def stats(self) -> CacheStats:
        """Counters since it was made; ``size`` is the bytes of all values."""
        with self._lock:
            return CacheStats(
                hits=self._hits, misses=self._misses, entries=len(self._values), size=self._size
            )

    def _remove(self, key: str) -> None:
        if (old := self._values.pop(key, None)) is not None:
            self._size -= len(old)

    def _make_room(self, size: int) -> None:
        config = self._config
        while len(self._values) >= config.max_entries or self._size + size > config.max_bytes:
            _, old = self._values.popitem(last=False)
            self._size -= len(old)
