"""What is removed is gone at once, and what crashes left is swept, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llamahome_core import StorageError, files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["file", "folder", "link to a folder", "nothing"])
def test_discard_removes_what_is_there(tmp_path, kind):
    """A link is removed, and what it points at stays."""
    path, kept = tmp_path / "thing", tmp_path / "kept"
    kept.mkdir()
    if kind == "file":
        path.write_text("")
    elif kind == "folder":
        (path / "sub").mkdir(parents=True)
    elif kind == "link to a folder":
        path.symlink_to(kept)

    files.discard(path)

    assert names(tmp_path) == ["kept"]


def test_a_removal_that_fails_half_way_leaves_no_half_folder(complete, monkeypatch):
    """It is renamed first; the next sweep removes the rest."""

    def fails(path: Path) -> None:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fails)
        with pytest.raises(StorageError, match=r"cannot remove .*thing: Input/output error"):
            files.discard(complete)
        assert not complete.exists()
        with pytest.raises(StorageError, match="cannot clean"):
            files.sweep(complete.parent)

    assert len(files.sweep(complete.parent)) == 1
    assert names(complete.parent) == []


def left_behind(folder: Path) -> None:
    (folder / ".a.tmp-1").mkdir()
    (folder / ".a.tmp-1" / "half").write_text("")
    (folder / ".b.tmp-2").write_text("")
    (folder / ".trash-3").mkdir()
    (folder / ".trash-4").write_text("")
    (folder / ".hidden").write_text("")
    (folder / "whole").write_text("")
    (folder / ".l.tmp-5").symlink_to(folder)


@pytest.mark.parametrize(
    ("chosen", "removed"),
    [
        ({}, [".a.tmp-1", ".b.tmp-2", ".l.tmp-5", ".trash-3", ".trash-4"]),
        ({"name": "a"}, [".a.tmp-1", ".trash-3", ".trash-4"]),
        ({"name": "none"}, [".trash-3", ".trash-4"]),
        ({"folders_only": True}, [".a.tmp-1", ".l.tmp-5", ".trash-3"]),
        ({"name": "a", "folders_only": True}, [".a.tmp-1", ".trash-3"]),
    ],
)
def test_sweep_removes_what_crashed_attempts_left_and_nothing_else(tmp_path, chosen, removed):
    """All of it, or that of one name, or only folders; hidden files of others stay."""
    left_behind(tmp_path)
    before = set(names(tmp_path))

    assert sorted(p.name for p in files.sweep(tmp_path, **chosen)) == removed
    assert set(names(tmp_path)) == before - set(removed)


def test_a_name_with_a_pattern_in_it_is_no_pattern(tmp_path):
    """``[ab]`` is a name like any other, and so is the start of a longer one."""
    (tmp_path / ".a.tmp-1").write_text("")
    (tmp_path / ".[ab].tmp-1").write_text("")
    (tmp_path / ".[ab]c.tmp-1").write_text("")

    assert [p.name for p in files.sweep(tmp_path, "[ab]")] == [".[ab].tmp-1"]


def test_sweeping_what_is_not_there_is_nothing_and_what_is_no_folder_an_error(tmp_path):
    """An empty list for a folder that nobody has made yet."""
    assert files.sweep(tmp_path / "none") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot clean .*file: Not a directory"):
        files.sweep(tmp_path / "file")


def test_what_another_process_sweeps_meanwhile_is_no_error(tmp_path, monkeypatch):
    """Two runs may clean one cache; each removes what is still there."""
    left_behind(tmp_path)
    rmtree = shutil.rmtree

    def too_late(path: Path) -> None:
        rmtree(path)
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", too_late)
    files.sweep(tmp_path)

    assert names(tmp_path) == [".hidden", "whole"]
