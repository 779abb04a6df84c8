"""The store ``local``: whole and verified, or not there; no key leads out of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

import llamahome_core
import llamahome_stores
from llamahome_core import Context as RunContext
from llamahome_core import Interrupted, Recipe, Stop, StorageError, Store, Workspace, files
from llamahome_core.testing import StoreContract
from llamahome_stores import plugin
from llamahome_stores.config import LocalConfig
from llamahome_stores.local import LocalStore

ROOTS = [str(Path(m.__file__ or "").parent.parent) for m in (llamahome_core, llamahome_stores)]


class TestContract(StoreContract):
    """It keeps to what every store keeps to."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], Store]:
        context: Any = SimpleNamespace(
            workspace=Workspace(tmp_path), stop=Stop(), warn=lambda _: None
        )
        return lambda: LocalStore(LocalConfig(root=tmp_path / "store"), context)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != files.MANIFEST
    }


def test_what_is_put_is_what_is_got(store, folder):
    """Every byte, and the digest is that of the manifest."""
    digest = store.put("my-model/v1/merged", folder)
    got = store.get("my-model/v1/merged")
    assert content(got) == content(folder)
    assert files.verify_folder(got).digest == digest
    assert store.keys() == ["my-model/v1/merged"]


def test_links_are_stored_as_what_they_lead_to(store, folder, tmp_path):
    """The hub's cache is full of links; a store must stand alone."""
    target = tmp_path / "blob"
    target.write_text("weights")
    (folder / "link.bin").symlink_to(target)
    store.put("a", folder)
    target.unlink()
    assert (store.get("a") / "link.bin").read_text() == "weights"


def test_keys_do_not_lie_inside_one_another(store, folder):
    """A folder that holds another key could be neither verified nor deleted."""
    store.put("a/b", folder)
    with pytest.raises(StorageError, match="'a/b/c/d' would lie inside the folder of 'a/b'"):
        store.put("a/b/c/d", folder)
    with pytest.raises(StorageError, match="something under 'a' already"):
        store.put("a", folder)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc",
        "..",
        "../out",
        "a/../../out",
        "a/..",
        "a//b",
        "a/",
        ".lock",
        ".a.tmp-1",
        "a/.hidden",
        "a\\b",
        "a b",
        "a\n",
        "a\0",
        "é",
        "a" * 101,
        "a/" * 8 + "a",
        "~",
        "$HOME",
        "-a",
    ],
)
def test_no_key_leads_out_of_the_store(store, folder, tmp_path, key):
    """Every way in refuses it, and nothing is touched."""
    before = sorted(tmp_path.rglob("*"))
    for act in (lambda: store.put(key, folder), lambda: store.get(key), lambda: store.delete(key)):
        with pytest.raises(StorageError, match="cannot be a key"):
            act()
    assert sorted(tmp_path.rglob("*")) == before


def test_keys_are_sorted_filtered_and_complete(store, folder):
    """Unfinished and foreign folders are not keys."""
    for key in ("b/v2", "b/v10", "a/v1", "bc"):
        store.put(key, folder)
    (store.root / ".b.tmp-1").mkdir()
    (store.root / ".b.tmp-1" / files.MANIFEST).write_text("{}")
    (store.root / "foreign").mkdir()
    assert store.keys() == ["a/v1", "b/v10", "b/v2", "bc"]
    assert store.keys("b") == ["b/v10", "b/v2", "bc"]
    assert store.keys("b/") == ["b/v10", "b/v2"]
    assert store.keys("x") == []


def test_a_store_that_does_not_exist_yet_has_no_keys(store):
    """And asking makes no folder."""
    assert store.keys() == []
    assert not store.root.exists()


def test_what_is_not_there_is_an_error_with_the_nearest_key(store, folder):
    """A prefix is not a key either."""
    store.put("my-model/v1", folder)
    for key in ("my-modle/v1", "my-model"):
        with pytest.raises(StorageError, match="nothing is stored") as caught:
            store.get(key)
        assert caught.value.hint == "did you mean my-model/v1?"
    with pytest.raises(StorageError, match="nothing is stored") as caught:
        store.get("zzz")
    assert str(store.root) in str(caught.value.hint)


def test_delete_removes_the_key_and_empty_folders_above_it(store, folder):
    """Nothing else, and a second time is no error."""
    store.put("a/b/v1", folder)
    store.put("a/v2", folder)
    store.delete("a/b/v1")
    store.delete("a/b/v1")
    assert store.keys() == ["a/v2"]
    assert not (store.root / "a" / "b").exists()
    store.delete("a/v2")
    assert sorted(p.name for p in store.root.iterdir()) == [".lock"]
    store.put("a/b/v1", folder)
    assert store.keys() == ["a/b/v1"]


def test_delete_of_a_damaged_folder_works_and_of_a_prefix_is_refused(store, folder):
    """One cannot delete a hundred versions by leaving out the number."""
    store.put("a/v1", folder)
    with pytest.raises(StorageError, match="'a' is not one folder"):
        store.delete("a")
    (store.root / "a" / "v1" / files.MANIFEST).unlink()
    store.delete("a/v1")
    assert not (store.root / "a").exists()


def test_an_empty_or_missing_folder_is_refused(store, tmp_path):
    """It is a mistake of the caller, and would be an empty version."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(StorageError, match="has no files to store"):
            store.put("a", tmp_path / name)
    assert not store.root.exists()


def test_a_relative_root_is_one_of_the_workspace(tmp_path, monkeypatch):
    """Not of the folder in which the command is given: the same versions are found from each."""
    context: Any = SimpleNamespace(workspace=Workspace(tmp_path / "ws"))
    monkeypatch.setenv("HOME", "/home/somebody")
    roots = {"../shared": tmp_path / "ws/../shared", "~/models": Path("/home/somebody/models")}
    for root, expected in roots.items():
        assert LocalStore(LocalConfig(root=Path(root)), context).root == expected


def test_the_lock_keeps_others_out_and_its_holder_in(tmp_path, folder):
    """Another store object of the same folder waits, and hears a stop; its own methods work."""
    warnings: list[str] = []
    stop = Stop()
    context: Any = SimpleNamespace(stop=stop, warn=warnings.append, workspace=Workspace(tmp_path))
    first, second = (LocalStore(LocalConfig(root=tmp_path / "store"), context) for _ in range(2))
    with first.lock():
        first.put("a", folder)
        first.delete("a")
        stop.request()
        with pytest.raises(Interrupted), second.lock():
            pass
    assert f"process {os.getpid()}" in warnings[0]
    with second.lock():
        second.put("a", folder)
    assert first.keys() == ["a"]


def test_the_root_is_the_workspace_if_none_is_set(tmp_path, folder):
    """Where published versions lie unless the user says otherwise."""
    (component,) = plugin.llamahome_stores()
    attrs.resolve_types(LocalConfig)
    catalog: Any = None
    recipe = Recipe(name="test", model="none")
    context = RunContext(recipe=recipe, workspace=Workspace(tmp_path / "ws"), catalog=catalog)
    made: Store = component.build(component.config(), context)
    made.put("a", folder)
    assert made.get("a") == tmp_path / "ws" / "data" / "models" / "a"
