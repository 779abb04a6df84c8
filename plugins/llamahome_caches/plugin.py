"""What the caches plugin offers: the cache ``lru``, and the cache that others ask for."""

from __future__ import annotations

from collections.abc import Iterable

from llamahome_caches.config import LruConfig
from llamahome_core import Cache, Component, Service, hookimpl


@hookimpl
def llamahome_caches() -> Iterable[Component]:
    """Kinds of cache."""
    yield Component(
        name="lru",
        summary="In memory; makes room by forgetting what was not used for longest.",
        config=LruConfig,
        factory="llamahome_caches.lru:LruCache",
    )


@hookimpl
def llamahome_services() -> Iterable[Service]:
    """The cache of a run: the one that its recipe chooses."""
    yield Service(
        protocol=Cache,
        factory="llamahome_caches.service:make_cache",
        summary="The cache that the recipe chooses in [cache].",
    )
