"""The cache ``lru``: never over its bounds, forgets the right one, counts, and may be shared."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamahome_caches import plugin
from llamahome_caches.config import LruConfig
from llamahome_caches.lru import LruCache
from llamahome_core import Cache, Context, Recipe, Selection, Workspace
from llamahome_core.discovery import from_object
from llamahome_core.testing import CacheContract

NO_CONTEXT: Any = None


def cache(**settings: Any) -> LruCache:
    return LruCache(LruConfig(**settings), NO_CONTEXT)


class TestContract(CacheContract):
    """It keeps to what every cache keeps to."""

    max_entries, max_bytes = 7, 1000

    @pytest.fixture
    def cache(self) -> LruCache:
        return cache(max_entries=self.max_entries, max_bytes=self.max_bytes)


class Model:
    """The same in the plainest form: a dict in order of use."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.values: OrderedDict[str, bytes] = OrderedDict()
        self.hits = self.misses = 0

    def get(self, key: str) -> bytes | None:
        if key not in self.values:
            self.misses += 1
            return None
        self.hits += 1
        self.values.move_to_end(key)
        return self.values[key]

    def put(self, key: str, value: bytes) -> None:
        self.values.pop(key, None)
        if len(value) > self.max_bytes:
            return
        self.values[key] = value
        while len(self.values) > self.max_entries or self.size() > self.max_bytes:
            self.values.popitem(last=False)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def size(self) -> int:
        return sum(map(len, self.values.values()))


keys = st.sampled_from("abcdefgh")
acts = st.lists(
    st.one_of(
        st.tuples(st.just("get"), keys),
        st.tuples(st.just("put"), keys, st.binary(max_size=12)),
        st.tuples(st.just("delete"), keys),
    ),
    max_size=60,
)


@given(acts, st.integers(1, 6), st.integers(1, 30))
def test_it_does_what_the_plain_model_does_and_is_never_over_its_bounds(acts, entries, size):
    """After every single act: the same answers, the same counters, within both bounds."""
    real, model = cache(max_entries=entries, max_bytes=size), Model(entries, size)
    for name, *arguments in acts:
        assert getattr(real, name)(*arguments) == getattr(model, name)(*arguments)
        stats = real.stats()
        assert stats.entries <= entries
        assert stats.size <= size
        assert attrs.astuple(stats) == (
            model.hits,
            model.misses,
            len(model.values),
            model.size(),
        )


def test_the_least_recently_used_goes_first():
    """Reading counts as use."""
    kept = cache(max_entries=2)
    kept.put("a", b"1")
    kept.put("b", b"2")
    assert kept.get("a") == b"1"
    kept.put("c", b"3")
    assert kept.get("b") is None
    assert kept.get("a") == b"1"
    assert kept.get("c") == b"3"


def test_a_value_over_the_bound_is_not_kept_and_harms_no_other():
    """One giant must not empty the cache; its older value is gone all the same."""
    kept = cache(max_bytes=10)
    kept.put("a", b"12345")
    kept.put("b", b"123")
    kept.put("a", b"x" * 11)
    assert kept.get("a") is None
    assert kept.get("b") == b"123"


def test_threads_share_it_without_loss_of_count():
    """Eight threads, each value tells its key: nobody gets another's, and bounds hold."""
    kept = cache(max_entries=16, max_bytes=1000)
    wrong: list[Any] = []
    rounds = 3000

    def work(seed: int) -> None:
        for i in range(rounds):
            key = str((i * 7 + seed * 13) % 40)
            if (found := kept.get(key)) not in (None, key.encode() * 10):
                wrong.append(found)
            kept.put(key, key.encode() * 10)
            if i % 5 == 0:
                kept.delete(key)
            stats = kept.stats()
            if stats.entries > 16 or stats.size > 1000:
                wrong.append(stats)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = kept.stats()
    assert wrong == []
    assert stats.hits + stats.misses == 8 * rounds
    assert stats.size == sum(len(value) for value in kept._values.values())


@pytest.mark.parametrize("wrong", [{"max_entries": 0}, {"max_bytes": 0}, {"max_bytes": -1}])
def test_bounds_must_be_positive(wrong):
    """A cache without room is a mistake."""
    attrs.resolve_types(LruConfig)
    with pytest.raises(ValueError, match="must be > 0"):
        LruConfig(**wrong)


def test_the_service_is_the_cache_that_the_recipe_chooses(tmp_path):
    """Who asks for a cache gets one and the same, with the recipe's settings."""
    (component,) = plugin.llamahome_caches()
    (service,) = plugin.llamahome_services()
    assert service.protocol is Cache

    class Catalog:
        def provider(self, protocol: type) -> Any:
            return from_object(plugin), service

    selection = Selection(
        kind="cache",
        name="lru",
        plugin="caches",
        component=component,
        config=LruConfig(max_entries=1),
    )
    recipe = Recipe(name="test", model="none", chosen={"cache": selection})
    catalog: Any = Catalog()
    context = Context(recipe=recipe, workspace=Workspace(tmp_path), catalog=catalog)
    found = context.get(Cache)
    found.put("a", b"1")
    found.put("b", b"2")
    assert context.get(Cache).get("a") is None
    assert context.get(Cache).get("b") == b"2"
