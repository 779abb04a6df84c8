"""Whole folders: they appear complete, with a manifest, and disappear at once."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llamahome_core import records
from llamahome_core.errors import StorageError
from llamahome_core.files.atomic import (
    fsync_file,
    fsync_folder,
    make_folder,
    temporary_beside,
    why,
    write_json,
)
from llamahome_core.files.manifests import MANIFEST, Record, inside, measure


@contextlib.contextmanager
def new_folder(
    target: Path, metadata: Callable[[], dict[str, Any]] | None = None
) -> Iterator[Path]:
    """Fill a folder that appears as *target*, complete and durable, when the block ends.

    On any error nothing appears. The files are hashed and synced, then the manifest is written,
    then the folder is renamed.

    Args:
        target: The folder to make; it must not exist.
        metadata: Called at the end of the block for what the manifest shall record.

    Yields:
        The temporary folder to write into.

    Raises:
        StorageError: *target* exists, or the disk failed or is full.
    """
    if target.exists():
        raise StorageError(f"{target} exists already")
    make_folder(target.parent)
    temporary = temporary_beside(target)
    try:
        temporary.mkdir()
        yield temporary
        _seal(temporary, metadata() if metadata else {})
        temporary.rename(target)
        try:
            fsync_folder(target.parent)
        except OSError:
            target.rename(temporary)  # it might vanish with the next power cut: then rather now
            raise
    except OSError as error:
        raise StorageError(f"cannot write {target}: {why(error, temporary)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _seal(folder: Path, metadata: dict[str, Any]) -> None:
    files = {}
    for path in inside(folder):
        name, files[name] = measure(folder, path)
        fsync_file(path)
    record = Record(schema=1, files=files, metadata=metadata)
    write_json(folder / MANIFEST, records.dump(record))
    for path in sorted(p for p in folder.rglob("*") if p.is_dir()):
        fsync_folder(path)


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of *source*, without its manifest, into the existing folder *target*."""
    for path in inside(source):
        into = target / path.relative_to(source)
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, into)


def discard(path: Path) -> None:
    """Remove a file or folder so that half a removal never looks like the whole thing.

    Raises:
        StorageError: It cannot be removed; what is left of it is swept later.
    """
    trash = path.with_name(f".trash-{uuid.uuid4().hex}")
    try:
        path.rename(trash)
        fsync_folder(path.parent)
        _remove(trash)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot remove {path}: {why(error)}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path, name: str | None = None, *, folders_only: bool = False) -> list[Path]:
    """Remove what crashed attempts left in *folder*, and what was removed by half.

    Call it only with the lock held under which those attempts were made. What another process
    removes meanwhile is no error, and neither is that there is no such *folder*.

    Args:
        folder: Where the attempts were made.
        name: Only attempts to make this file or folder: others are made under locks of their own.
        folders_only: Leave files alone: they are written under another lock.

    Returns:
        What was left there.

    Raises:
        StorageError: *folder* cannot be read, or something in it cannot be removed.
    """
    try:
        left = [
            path
            for path in folder.iterdir()
            if _is_left(path.name, name) and (path.is_dir() or not folders_only)
        ]
        for path in left:
            with contextlib.suppress(FileNotFoundError):
                _remove(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot clean {folder}: {why(error, folder)}") from error
    return left


def _is_left(found: str, name: str | None) -> bool:
    """Whether *found* is a name that `temporary_beside` or `discard` gives."""
    if found.startswith(".trash-"):
        return True
    return found.startswith("." if name is None else f".{name}.tmp-") and ".tmp-" in found
