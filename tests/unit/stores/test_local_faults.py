"""The store ``local`` when things go wrong: flipped bytes, full disks, kill -9, two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import llamahome_core
import llamahome_stores
from llamahome_core import IntegrityError, StorageError, files

ROOTS = [str(Path(m.__file__ or "").parent.parent) for m in (llamahome_core, llamahome_stores)]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != files.MANIFEST
    }


@pytest.mark.parametrize("name", ["config.json", "deep/model.safetensors", files.MANIFEST])
def test_a_flipped_byte_is_found_when_it_is_got(store, folder, name):
    """A size proves nothing: every byte is read."""
    store.put("a", folder)
    path = store.root / "a" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError):
        store.get("a")


@pytest.mark.parametrize("name", ["config.json", files.MANIFEST])
def test_a_lost_file_is_found_when_it_is_got(store, folder, name):
    """With or without the manifest."""
    store.put("a", folder)
    (store.root / "a" / name).unlink()
    with pytest.raises(IntegrityError):
        store.get("a")


def test_a_copy_that_differs_never_appears(store, folder, monkeypatch):
    """The disk is not believed: what was written is read back and compared."""

    def lossy(_: Path, target: Path) -> None:
        (target / "config.json").write_text("{ }")

    monkeypatch.setattr(files, "copy_folder", lossy)
    with pytest.raises(StorageError, match=r"the copy of .*config\.json differs"):
        store.put("a", folder)
    assert store.keys() == []
    assert list(store.root.glob("*a*")) == []


def test_an_original_that_changes_while_it_is_copied_is_noticed(store, folder, monkeypatch):
    """The copy would be of neither state."""
    copy = files.copy_folder

    def late(source: Path, target: Path) -> None:
        (source / "new.txt").write_text("new")
        copy(source, target)

    monkeypatch.setattr(files, "copy_folder", late)
    with pytest.raises(StorageError, match=r"new\.txt differs"):
        store.put("a", folder)


def test_a_full_disk_leaves_nothing(store, folder, monkeypatch):
    """Not even a part of a copy."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "copy_folder", full)
    with pytest.raises(StorageError, match="No space left on device"):
        store.put("a/b", folder)
    assert store.keys() == []
    assert [p.name for p in (store.root / "a").iterdir()] == []


def test_a_root_that_is_no_folder_and_an_unreadable_file_are_told_in_one_line(
    store, folder, monkeypatch
):
    """Storage errors, not tracebacks."""
    store.root.write_text("a file")
    with pytest.raises(StorageError, match="cannot make"):
        store.put("a", folder)

    def fails(_: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "hash_file", fails)
    with pytest.raises(StorageError, match=r"cannot read .*: Permission denied"):
        store.put("a", folder)


PROGRAM = """
import sys, time, os
from pathlib import Path
from types import SimpleNamespace
from llamahome_core import Workspace, files
from llamahome_stores.config import LocalConfig
from llamahome_stores.local import LocalStore
def seal(*_):
    print("sealing", flush=True)
    time.sleep(60)
if sys.argv[1] == "copied":
    files.folders._seal = seal
else:
    files.folders.shutil.rmtree = seal
context = SimpleNamespace(workspace=Workspace(Path(sys.argv[2]).parent))
store = LocalStore(LocalConfig(root=Path(sys.argv[2])), context)
store.put("a/v2", Path(sys.argv[3])) if sys.argv[1] == "copied" else store.delete("a/v1")
"""


@pytest.mark.parametrize("moment", ["copied", "deleted"])
def test_kill_9_in_a_put_or_a_delete_leaves_no_half_folder(store, folder, moment):
    """What is left is no key, and the next writer sweeps it up."""
    store.put("a/v1", folder)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, moment, str(store.root), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)},
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"sealing\n"
        process.send_signal(signal.SIGKILL)
    hidden = [p.name for p in (store.root / "a").iterdir() if p.name.startswith(".")]
    assert len(hidden) == 1
    assert store.keys() == (["a/v1"] if moment == "copied" else [])
    started = time.monotonic()
    store.put("a/v2", folder)
    assert time.monotonic() - started < 30  # the dead process holds no lock
    assert [p.name for p in (store.root / "a").iterdir() if p.name.startswith(".")] == []
    assert content(store.get("a/v2")) == content(folder)


def test_files_of_others_are_not_swept(store, folder):
    """The registry may keep files beside the folders, and be writing one now."""
    store.put("a/v1", folder)
    other = store.root / "a" / ".tags.json.tmp-1"
    other.write_text("{}")
    store.put("a/v2", folder)
    assert other.read_text() == "{}"
