"""The cache that others get with ``context.get(Cache)``."""

from __future__ import annotations

from llamahome_core import Cache, Context


def make_cache(context: Context) -> Cache:
    """The cache that the recipe chooses.

    Raises:
        UnknownNameError: The recipe chooses none.
        UnavailableError: What it needs is not installed.
    """
    cache: Cache = context.build("cache")
    return cache
