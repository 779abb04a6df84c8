"""Settings of the caches."""

from __future__ import annotations

from attrs import field, frozen, validators


@frozen(kw_only=True)
class LruConfig:
    """Settings of the cache ``lru``."""

    max_entries: int = field(default=4096, validator=validators.gt(0))
    """Most entries that are kept."""
    max_bytes: int = field(default=64 * 2**20, validator=validators.gt(0))
    """Most bytes of all values together. A larger value is not kept at all."""
