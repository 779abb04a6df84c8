"""Contracts of what keeps things: caches and stores."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import (
    Cache,
    IntegrityError,
    StorageError,
    Store,
    files,
)
from llamahome_core.testing.processes import Forked


class CacheContract:
    """What every cache keeps to.

    Give the fixture ``cache``, an empty one, and say in ``max_entries`` and ``max_bytes`` what it
    is bounded by, if it is.
    """

    max_entries: int | None = None
    max_bytes: int | None = None

    @pytest.fixture
    def cache(self) -> Cache:
        """The cache, empty; the author's part."""
        raise NotImplementedError("give a fixture `cache`")

    def test_what_was_put_last_is_there_and_counted(self, cache: Cache) -> None:
        """A cache that forgets at once is none; the empty value is a value too."""
        for value in (b"one", b"two", b""):
            cache.put("key", value)
            assert cache.get("key") == value
        assert cache.stats().hits == 3

    def test_what_is_not_there_is_a_miss(self, cache: Cache) -> None:
        """Never an error, whatever the key is."""
        keys = ["key", "", "a/b", "../..", "é 你好", "a\nb\0c", "k" * 1000]

        assert [cache.get(key) for key in keys] == [None] * len(keys)
        assert cache.stats().misses == len(keys)

    def test_any_key_may_be_put(self, cache: Cache) -> None:
        """It comes back under its own key, or not at all."""
        keys = ["", "a/b", "../..", "é 你好", "a\nb\0c", "k" * 1000]
        for key in keys:
            cache.put(key, key.encode())
            assert cache.get(key) in {None, key.encode()}

    def test_what_was_deleted_is_gone(self, cache: Cache) -> None:
        """And to delete what is not there is no error."""
        cache.put("key", b"value")
        cache.delete("key")
        cache.delete("key")

        assert cache.get("key") is None

    def test_what_is_kept_does_not_change_with_the_callers_buffer(self, cache: Cache) -> None:
        """A bytearray is copied."""
        buffer: Any = bytearray(b"value")
        cache.put("key", buffer)
        buffer[0] = 0

        assert cache.get("key") == b"value"

    def test_it_is_never_over_its_bounds(self, cache: Cache) -> None:
        """Old values go, the newest stays."""
        most = self.max_entries or 100
        size = 1 + (self.max_bytes or 0) // 10
        for number in range(2 * min(most, 1000)):
            value = str(number).encode().ljust(size, b".")
            cache.put(f"key-{number}", value)
            stats = cache.stats()
            assert self.max_entries is None or stats.entries <= self.max_entries
            assert self.max_bytes is None or stats.size <= self.max_bytes
            assert cache.get(f"key-{number}") == value

    def test_a_value_over_the_bound_harms_no_other(self, cache: Cache) -> None:
        """It may be left out, but it is no error, and no older value of its key comes back."""
        cache.put("big", b"old")
        cache.put("big", b"x" * ((self.max_bytes or 10**6) + 1))

        assert cache.get("big") != b"old"
        assert self.max_bytes is None or cache.stats().size <= self.max_bytes

    def test_threads_share_it(self, cache: Cache) -> None:
        """Nobody gets the value of another key, and nothing fails."""
        wrong: list[object] = []

        def work(seed: int) -> None:
            try:
                for number in range(200):
                    key = str((number * 7 + seed) % 20)
                    if cache.get(key) not in {None, key.encode() * 5}:
                        wrong.append(key)
                    cache.put(key, key.encode() * 5)
                    if number % 5 == 0:
                        cache.delete(key)
            except Exception as error:  # noqa: BLE001  # it would end in its thread, unseen
                wrong.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert wrong == []


class StoreContract:
    """What every store keeps to.

    Give the fixture ``open_store``: a function that opens the same place each time it is called,
    as another process would. The place is empty at first.
    """

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        """Opens the store; the author's part."""
        raise NotImplementedError("give a fixture `open_store`")

    @pytest.fixture
    def stored(self, open_store: Callable[[], Store]) -> Store:
        """The store, empty."""
        return open_store()

    @pytest.fixture
    def content(self, tmp_path: Path) -> Path:
        """A folder to put in."""
        return make_folder(tmp_path / "content", "x")

    def test_what_is_put_is_what_is_got(
        self, stored: Store, content: Path, open_store: Callable[[], Store]
    ) -> None:
        """Every file with every byte, in this process and for whoever opens the store later."""
        stored.put("bot/v1/merged", content)

        for store in (stored, open_store()):
            assert content_of(store.get("bot/v1/merged")) == content_of(content)
            assert store.keys() == ["bot/v1/merged"]

    def test_the_digest_is_that_of_the_content(self, stored: Store, content: Path) -> None:
        """Not of the key, nor of the time."""
        first, second = stored.put("a", content), stored.put("b", content)
        (content / "config.json").write_text("[]", encoding="utf-8")

        assert first == second
        assert stored.put("c", content) != first

    def test_what_is_got_has_a_manifest_of_that_digest(self, stored: Store, content: Path) -> None:
        """Versions are recorded with it, and found out by it if they are not what they were."""
        digest = stored.put("a", content)

        assert files.read_manifest(stored.get("a")).digest == digest

    def test_a_key_is_put_once(self, stored: Store, content: Path) -> None:
        """What is stored does not change under those who use it."""
        stored.put("a", content)
        before = content_of(stored.get("a"))
        (content / "config.json").write_text("[]", encoding="utf-8")

        with pytest.raises(StorageError):
            stored.put("a", content)
        assert content_of(stored.get("a")) == before

    def test_a_put_that_fails_leaves_nothing(self, stored: Store, tmp_path: Path) -> None:
        """Such as one of a folder that is not there."""
        with pytest.raises(StorageError):
            stored.put("a", tmp_path / "missing")
        assert stored.keys() == []

    @pytest.mark.parametrize("key", ["", ".", "..", "/out", "../out", "a/../../out", "a\\..\\b"])
    def test_no_key_leads_out_of_the_store(self, stored: Store, content: Path, key: str) -> None:
        """Each way in refuses it."""
        before = sorted(content.parent.iterdir())
        acts = (lambda: stored.put(key, content), lambda: stored.get(key))

        for act in (*acts, lambda: stored.delete(key)):
            with pytest.raises(StorageError):
                act()
        assert sorted(content.parent.iterdir()) == before

    def test_what_is_not_there_is_a_storage_error(self, stored: Store, content: Path) -> None:
        """A part of a key is not one either."""
        stored.put("bot/v1", content)

        for key in ("bot", "bot/v2", "none"):
            with pytest.raises(StorageError):
                stored.get(key)

    def test_damage_never_goes_unnoticed(
        self, stored: Store, content: Path, open_store: Callable[[], Store]
    ) -> None:
        """A flipped byte, of the same length and time: an error, or the right content again."""
        stored.put("a", content)
        path = stored.get("a") / "deep" / "model.safetensors"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)

        for store in (stored, open_store()):
            try:
                again = store.get("a")
            except IntegrityError:
                continue
            assert content_of(again) == content_of(content)

    def test_keys_are_sorted_and_filtered(self, stored: Store, content: Path) -> None:
        """By their beginning."""
        for key in ("b/v2", "b/v10", "a/v1", "bc"):
            stored.put(key, content)

        assert stored.keys() == ["a/v1", "b/v10", "b/v2", "bc"]
        assert stored.keys("b/") == ["b/v10", "b/v2"]
        assert stored.keys("x") == []

    def test_what_was_deleted_is_gone_and_its_key_is_free(
        self, stored: Store, content: Path
    ) -> None:
        """Nothing else goes with it."""
        stored.put("a/v1", content)
        stored.put("a/v2", content)
        stored.delete("a/v1")

        assert stored.keys() == ["a/v2"]
        with pytest.raises(StorageError):
            stored.get("a/v1")
        stored.put("a/v1", content)
        assert content_of(stored.get("a/v1")) == content_of(content)

    def test_of_two_processes_that_put_one_key_one_wins(
        self, open_store: Callable[[], Store], tmp_path: Path
    ) -> None:
        """The other is told, and the content is of one of them, not a mixture."""
        folders = [make_folder(tmp_path / name, name, number=20) for name in "xy"]
        puts = [Forked(lambda f=folder: open_store().put("a", f)) for folder in folders]  # type: ignore[misc]  # a default of a lambda

        said = sorted(put.wait() for put in puts)
        found = content_of(open_store().get("a"))

        assert said == ["StorageError", "done"]
        assert found in [content_of(folder) for folder in folders]

    def test_the_lock_keeps_other_processes_out(
        self, open_store: Callable[[], Store], stored: Store, content: Path, tmp_path: Path
    ) -> None:
        """While it is held, and no longer; its holder can use the store."""

        def enter() -> None:
            # Forked before the lock is taken: a lock on a file is inherited with the file.
            while not (tmp_path / "held").exists():
                time.sleep(0.01)
            with open_store().lock():
                (tmp_path / "entered").touch()

        other = Forked(enter)
        with stored.lock():
            (tmp_path / "held").touch()
            stored.put("a", content)
            stored.delete("a")
            time.sleep(0.3)
            entered = (tmp_path / "entered").exists()

        assert other.wait() == "done"
        assert not entered


def make_folder(path: Path, letter: str, number: int = 1) -> Path:
    """A folder with *number* files of *letter*, and something below."""
    (path / "deep").mkdir(parents=True)
    (path / "config.json").write_text("{}", encoding="utf-8")
    for index in range(number):
        (path / f"{index}.txt").write_text(letter * 1000, encoding="utf-8")
    (path / "deep" / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    """Each file but the manifest, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != files.MANIFEST
    }
